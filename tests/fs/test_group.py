# SPDX-License-Identifier: MIT
"""One folder for several peers: a tree goes to each member at its own speed, from one copy, through kills; who joins late gets what is there."""
import errno
import os

import pytest

import harness
import trees
from harness import MIB, run, wait_state, wait_until

CODES = {"B": "1-bravo", "C": "2-charlie", "D": "3-delta"}


class Team:
    """A sends to B, C and D; B and C are the members of outbox/team."""

    def __init__(self, make_node, **a_options):
        options = {"links": "all"}
        self.peers = {name: make_node(name, options=options, debug=False) for name in CODES}
        self.a = make_node("A", peers=[node.port for node in self.peers.values()], options=a_options, debug=False)
        for node in self.peers.values():
            node.peers = [self.a.port]
        for node in (self.a, *self.peers.values()):
            node.start()
        for name, code in CODES.items():
            os.mkdir(self.a.outbox(code))
            os.mkdir(self.peers[name].inbox(code))
        self.wait_connected(*CODES)
        self.ctl(f"group team = {CODES['B']} {CODES['C']}")

    def ctl(self, line):
        with open(os.path.join(self.a.mount, ".ftx/ctl"), "wb", buffering=0) as ctl:
            ctl.write(line.encode() + b"\n")

    def leave(self, code):
        """The others are asked first whether they have what is not here."""
        def left():
            try:
                self.ctl(f"group team - {code}")
            except BlockingIOError:
                return False
            return True
        wait_until(left, f"{code} to leave")

    def wait_connected(self, *names):
        for name in names:
            wait_state(self.a.outbox(CODES[name]), "connected", timeout=30)

    def sent(self, *parts):
        return self.a.outbox("team", *parts)

    def got(self, name, *parts):
        return self.peers[name].inbox(CODES[name], "team", *parts)

    def wait_tree(self, source, top, *names):
        for name in names:
            for path in trees.files(source):
                wait_state(os.path.join(os.fsencode(self.got(name, top)), path), "complete", timeout=60)
            wait_until(lambda peer=name: not trees.differences(source, os.fsencode(self.got(peer, top)), contents=False), f"the tree at {name}")
            trees.compare_trees(source, os.fsencode(self.got(name, top)), True)

    def wait_file(self, data, file, *names):
        for name in names:
            wait_state(self.got(name, file), "complete", timeout=60)
            with open(self.got(name, file), "rb") as got:
                assert got.read() == data


@pytest.fixture
def team(make_node):
    return Team(make_node)


@pytest.fixture
def releasing_team(make_node):
    return Team(make_node, release_after=1)


def objects_room(node):
    top = os.path.join(node.store, ".ftx/objects")
    return sum(os.lstat(os.path.join(folder, name)).st_blocks * 512 for folder, _, names in os.walk(top) for name in names)


@pytest.mark.main_path
def test_a_tree_goes_to_all_members_from_one_copy(team, scratch):
    source = os.path.join(scratch, "zoo")
    trees.make_zoo(source)
    trees.write_random(os.path.join(source, "large"), 8 * MIB)
    run("cp", "-a", source, team.sent())
    team.wait_tree(source, "zoo", "B", "C")
    wait_state(team.sent("zoo/large"), "delivered")
    assert harness.xattr(team.sent("zoo/large"), "members") == f"{CODES['B']}=delivered {CODES['C']}=delivered"
    assert objects_room(team.a) < 1.5 * trees.room(source) + MIB
    assert not os.path.exists(team.got("D")) and not os.path.exists(team.a.outbox(CODES["D"], "team"))
    assert harness.state(team.a.outbox(CODES["B"], "team/zoo/large")) == "delivered"
    digest = trees.sha256(os.path.join(source, "large"))
    mirror = team.a.outbox(CODES["B"], "team/zoo/large")
    assert harness.xattr(mirror, "sha256") == harness.xattr(mirror, "peer_sha256") == harness.xattr(team.got("B", "zoo/large"), "peer_sha256") == digest
    assert harness.xattr(team.sent("zoo/large"), "peer_sha256") is None
    with pytest.raises(PermissionError):
        os.unlink(team.a.outbox(CODES["B"], "team/zoo/large"))
    team.ctl(f"group team + {CODES['D']}")
    wait_until(lambda: os.path.exists(team.a.outbox(CODES["D"], "team")), "a folder whose absence the kernel knew")


def test_each_at_its_own_speed_through_a_kill(team, scratch):
    source = os.path.join(scratch, "many")
    trees.make_many(source, 300, folders=5)
    trees.write_random(os.path.join(source, "large"), 24 * MIB)
    team.peers["C"].stop()
    wait_state(team.a.outbox(CODES["C"]), "offline")
    run("cp", "-a", source, team.sent())
    team.wait_tree(source, "many", "B")
    assert harness.state(team.sent("many/large")) == "queued"
    team.a.kill9()
    team.a.start()
    team.peers["C"].start()
    team.wait_connected("B", "C")
    team.wait_tree(source, "many", "C")
    wait_state(team.sent("many/large"), "delivered")
    group, = team.a.status()["groups"]
    assert group["name"] == "team" and [member["name"] for member in group["members"]] == [CODES["B"], CODES["C"]]
    wait_until(lambda: team.a.status()["groups"][0]["queue"] == {"files": 0, "bytes": 0}, "nothing to be left")


def test_who_joins_late_gets_released_bytes_from_another_and_who_leaves_nothing_more(releasing_team):
    team, data = releasing_team, trees.random_bytes(6 * MIB, 2)
    with open(team.sent("first"), "wb") as out:
        out.write(data)
    team.wait_file(data, "first", "B", "C")
    wait_until(lambda: objects_room(team.a) < MIB, "the room to be given back")
    team.ctl(f"group team + {CODES['D']}")
    team.wait_file(data, "first", "D")
    team.leave(CODES["B"])
    with open(team.sent("second"), "wb") as out:
        out.write(b"later")
    team.wait_file(b"later", "second", "C", "D")
    team.wait_file(data, "first", "B")
    assert not os.path.exists(team.got("B", "second")) and not os.path.exists(team.a.outbox(CODES["B"], "team"))
    with pytest.raises(OSError) as caught:
        team.ctl(f"group team - {CODES['B']}")
    assert caught.value.errno == errno.EALREADY
    wait_state(team.sent("second"), "delivered")
    with open(team.sent("first"), "rb") as file:
        assert file.read() == data
    team.ctl("ungroup team")
    wait_until(lambda: not os.path.exists(team.sent()), "the folder to be gone")
    team.wait_file(data, "first", "B", "C", "D")


def test_the_members_of_a_large_group_can_be_read(make_node):
    node = make_node(debug=False).start()
    codes = [f"{number:02}-{'x' * 61}" for number in range(64)]
    for code in codes:
        os.mkdir(node.outbox(code))
    with open(os.path.join(node.mount, ".ftx/ctl"), "wb", buffering=0) as ctl:
        ctl.write(f"group team = {' '.join(codes)}\n".encode())
    assert harness.xattr(node.outbox("team"), "members").split() == [f"{code}=waiting" for code in codes]
