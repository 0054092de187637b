# SPDX-License-Identifier: MIT
"""ftx send through a mount: once more what the peer has taken, without what cannot be sent, to a group."""
import json
import os
import socket

import pytest

import harness
import trees
from command import environment, ftx, good, lines, refused, start
from harness import MIB, SLOW, run, wait_state


# Root without its leave to read everything.
AS_OTHERS = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--") if os.geteuid() == 0 else ()


@pytest.fixture
def odd(scratch):
    """A folder of which two files can be sent and seven things cannot, and words about each."""
    top = os.path.join(scratch, "odd")
    for folder in ("shut", "bad\nfolder", "/".join(["d"] * 64)):
        os.makedirs(os.path.join(top, folder))
    for name in ("good", "shut/inside", "bad\nfolder/inside", "red\x1b[31m", "secret", "zoo"):
        with open(os.path.join(top, name), "w", encoding="ascii") as out:
            out.write(name)
    os.mkfifo(os.path.join(top, "fifo"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(top, "socket"))
    shut = [os.path.join(top, name) for name in ("secret", "shut")]
    for path in shut:
        os.chmod(path, 0)
    yield top, ("bad\\x0afolder: ", "red\\x1b[31m: ", "fifo: ", "socket: ", "/d: it stands", "secret: Permission denied", "shut: Permission denied")
    for path in shut:
        os.chmod(path, 0o700)


def send_odd(odd, *words, mount=None, env=None):
    """Sends it: a line about each of the seven, their number at the end, nothing that a terminal obeys."""
    top, left = odd
    sender = start("--json", "send", *words, top, mount=mount, within=AS_OTHERS, env=env)
    out, complaints = (text.decode() for text in sender.communicate(timeout=60 * SLOW))
    said = complaints.splitlines()
    assert len(said) == len(left) + 1 and said[-1] == "ftx: 7 left out; see above", complaints
    for what in left:
        assert any(what in line and line.endswith("; left out") for line in said), (what, complaints)
    assert complaints.replace("\n", "").isprintable()
    delivered = json.loads(out.splitlines()[-1])["delivered"]
    assert sender.returncode == 1 and delivered["files"] == 2 and delivered["left_out"] == 7, out


def deliver(pair, *paths, to=None):
    assert lines("send", "--to", to or pair.code, *paths, mount=pair.a.mount)[-1]["delivered"]


def deliver_again(pair, path):
    """Until it is: what is made in a folder whose removal the sender has not heard of yet is refused as removed, too."""
    def delivered():
        done = ftx("send", "--to", pair.code, path, mount=pair.a.mount)
        assert done.returncode == 0 or b"was removed at the peer" in done.stderr, done.stderr
        return done.returncode == 0
    harness.wait_until(delivered, f"{path} to arrive again")


def test_what_was_taken_comes_again(shared_pair, scratch):
    pair, top = shared_pair, os.path.join(scratch, "tree")
    os.makedirs(os.path.join(top, "empty"))
    for name, size in (("film", 3 * MIB), ("note", 10), ("nothing", 0)):
        trees.write_random(os.path.join(top, name), size)
    os.symlink("note", os.path.join(top, "link"))
    deliver(pair, top)
    run("mv", pair.got("tree"), os.path.join(scratch, "taken"))
    deliver_again(pair, top)
    pair.wait_tree(top, "tree")
    trees.compare_trees(top, os.path.join(scratch, "taken"))
    for path in ("film", "nothing", "link"):
        os.unlink(pair.got("tree", path))
    os.rmdir(pair.got("tree", "empty"))
    deliver_again(pair, top)
    pair.wait_tree(top, "tree")


def test_what_the_peer_has_is_not_sent_again(make_pair, scratch):
    pair, film = make_pair(through_proxy=True, debug=False), os.path.join(scratch, "film")
    trees.write_random(film, 8 * MIB)
    deliver(pair, film)
    before = pair.proxy.count["up"]
    deliver(pair, film)
    assert pair.proxy.count["up"] - before < MIB / 10
    os.setxattr(pair.sent("film"), "user.ftx-send", b"1 8388608 1")  # as a run leaves it that was cut off then
    os.unlink(pair.got("film"))
    deliver(pair, film)  # goes on with that run, which had sent it
    assert pair.proxy.count["up"] - before < MIB / 10 and os.listdir(pair.got()) == []
    deliver(pair, film)
    pair.wait_complete("film")
    assert trees.sha256(pair.got("film")) == trees.sha256(film)


def test_a_send_that_was_ended_goes_on_with_its_code(shared_pair, scratch):
    film, env = os.path.join(scratch, "film"), environment(XDG_STATE_HOME=os.path.join(scratch, "state"))
    trees.write_random(film, MIB)

    def send():
        sender = start("--json", "send", film, mount=shared_pair.a.mount, env=env)
        return sender, json.loads(sender.stdout.readline())["code"]
    first, code = send()
    wait_state(shared_pair.a.outbox(code, "film"), "queued")
    first.kill()
    first.communicate()
    second, same = send()
    os.mkdir(shared_pair.b.inbox(code))
    second.communicate(timeout=60 * SLOW)
    assert same == code and second.returncode == 0
    third, other = send()
    third.kill()
    third.communicate()
    assert other != code and trees.sha256(shared_pair.b.inbox(code, "film")) == trees.sha256(film)


def test_a_link_that_is_refused_is_no_success(team, scratch):
    """There is no state of it to be read."""
    top = os.path.join(scratch, "tree")
    os.mkdir(top)
    os.symlink("/etc/passwd", os.path.join(top, "out"))
    for to in ("1-bravo", "1-bravo", "team"):
        done = ftx("send", "--to", to, top, mount=team[0].mount)
        assert done.returncode == 1 and b"tree/out: refused: the peer does not take" in done.stderr, done
    os.unlink(os.path.join(top, "out"))
    os.symlink("in", os.path.join(top, "out"))
    assert good("send", "--to", "1-bravo", top, mount=team[0].mount).startswith("delivered")


def test_what_cannot_be_sent_is_named_and_the_rest_arrives(shared_pair, odd):
    send_odd(odd, "--to", shared_pair.code, mount=shared_pair.a.mount)
    assert sorted(trees.files(shared_pair.got("odd"))) == [b"good", b"zoo"]
    done = ftx("send", "--to", shared_pair.code, os.path.join(odd[0], "fifo"), mount=shared_pair.a.mount)
    assert done.returncode == 1 and not done.stdout and done.stderr.count(b"\n") == 2 and b"nothing to send" in done.stderr


def test_what_cannot_be_sent_is_named_without_a_mount(make_node, scratch, odd):
    node = make_node("B", debug=False).start()
    os.mkdir(node.inbox("7-odd-things"))
    env = environment(XDG_STATE_HOME=os.path.join(scratch, "state"))
    send_odd(odd, "--no-mount", "--no-lan", "--no-portmap", "--listen", "none", "--peer", f"127.0.0.1:{node.port}", "--to", "7-odd-things", env=env)
    assert sorted(trees.files(node.inbox("7-odd-things", "odd"))) == [b"good", b"zoo"]
    assert os.listdir(os.path.join(scratch, "state/ftxfs/send")) == []  # all that could be sent is there


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
