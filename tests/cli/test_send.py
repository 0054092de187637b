# SPDX-License-Identifier: MIT
"""ftx send to a group."""
import json
import os

import pytest

import harness
import trees
from command import ftx, good, refused, start
from harness import MIB, SLOW, wait_state


@pytest.fixture(scope="module")
def team(scratch_root):
    """A, and outbox/team for two peers."""
    base = os.path.join(scratch_root, "team")
    peers = [harness.Node(base, name, debug=False) for name in "BC"]
    a = harness.Node(base, "A", peers=[node.port for node in peers], debug=False)
    try:
        for node in (a, *peers):
            node.start()
        for code, node in zip(("1-bravo", "2-charlie"), peers):
            os.mkdir(a.outbox(code))
            os.mkdir(node.inbox(code))
            wait_state(a.outbox(code), "connected", timeout=30)
        good("group", "team", "=", "1-bravo", "2-charlie", mount=a.mount)
        yield a, *peers
    finally:
        for node in (a, *peers):
            node.destroy()


def test_a_group_has_it_when_all_have_it(team, scratch):
    a, b, c = team
    film = os.path.join(scratch, "film")
    trees.write_random(film, 3 * MIB)
    c.stop()
    sender = start("--json", "send", "--to", "team", film, mount=a.mount)
    try:
        wait_state(a.outbox("1-bravo/team/film"), "delivered")
        assert sender.poll() is None
        c.start()
        out, complaints = sender.communicate(timeout=60 * SLOW)
    finally:
        sender.kill()
        sender.wait()
    assert sender.returncode == 0 and not complaints
    said = [json.loads(line) for line in out.splitlines()]
    assert {"message": "2-charlie: the other end is away; it goes on when it is back"} in said and said[-1]["delivered"]["files"] == 1
    for node, code in ((b, "1-bravo"), (c, "2-charlie")):
        assert trees.sha256(node.inbox(code, "team/film")) == trees.sha256(film)


def test_who_of_a_group_does_not_take_it_is_named(team, scratch):
    a, b, c = team
    good("config", "2-charlie", "deny_ext=exe", mount=c.mount)
    tool = os.path.join(scratch, "tool.exe")
    trees.write_random(tool, 1000)
    done = ftx("send", "--to", "team", tool, mount=a.mount)
    assert done.returncode == 1 and b"tool.exe: refused by 2-charlie" in done.stderr and b"did not arrive everywhere" in done.stderr
    assert trees.sha256(b.inbox("1-bravo/team/tool.exe")) == trees.sha256(tool)


def test_a_group_without_members_is_nobody(team):
    a = team[0]
    good("group", "void", "=", "1-bravo", mount=a.mount)
    good("group", "void", "-", "1-bravo", mount=a.mount)
    refused(4, "send", "--to", "void", "/etc/hostname", mount=a.mount, words=("nobody is in that group",))
