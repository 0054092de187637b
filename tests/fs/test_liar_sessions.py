# SPDX-License-Identifier: MIT
"""A peer that holds real keys: honest transfers in each role and direction (docs/protocol.md is enough to write a peer), then lies about
sessions, acknowledgements, what it has and what it wants, floods, and an end that takes nothing. Afterwards as in test_liar.py."""
import contextlib
import os
import select
import threading
import time

import pytest

import peer
from ftxp import RECEIVER, SENDER
from harness import MIB, state, wait_state, wait_until, xattr
from liar import NOBODYS, everything, memory, paired, read, tell, world, write  # noqa: F401 fixtures
from peer import FOLDER, LAST, SYMLINK, attr, drop, extent, hole, make, move, op, seal
from trees import random_bytes


def received(s, name):
    """Our copy of the other end's item; None if it has not come."""
    return next((item for item in s.link.received.values() if item.name == name), None)


def tell_quietly(s, *messages):
    """What asks for no ACK; the session must still answer after it."""
    mark = len(s.messages)
    s.send(*messages, peer.ping(mark))
    s.first("PONG", since=mark, token=mark)


# -- honest --------------------------------------------------------------------------------------


@pytest.mark.lines(9)
@pytest.mark.parametrize("role, code", [(SENDER, "82-honest"), (RECEIVER, "83-honest")], ids=["S", "R"])
def test_honest_peer_sends_and_receives(world, role, code):
    node = world.node
    link = paired(node, code, role)
    sent, got = random_bytes(3 * MIB + 5), random_bytes(2 * MIB + 7)
    with link.connect() as s:
        wait_state(node.inbox(code), "connected")
        folder, renamed, symlink = (next(link.items) for _ in range(3))
        s.send(s.op(make(folder, b"folder", FOLDER)), s.op(make(symlink, b"symlink", SYMLINK, target=b"folder/file")))
        file = s.send_file(b"file", sent, parent=folder, mode=0o640)
        s.send(s.op(peer.xattr(file, b"mime_type", b"text/plain")), s.op(make(renamed, b"first name")), s.op(attr(folder, 0o700)))
        s.send(s.op(move(renamed, b"second name", parent=folder)), hole(renamed, 1, 0, 5 * MIB), seal(renamed, 1, 5 * MIB, 0o600))
        s.wait_ack(s.send(extent(file, 2, 1000, b"changed"), seal(file, 2, 2 * MIB, 0o604, peer.TIME + 1)))
        assert read(node.inbox(code, "symlink")) == (sent[:1000] + b"changed" + sent[1007:])[:2 * MIB]
        info = os.stat(node.inbox(code, "folder/file"))
        assert (info.st_mode & 0o7777, info.st_mtime_ns) == (0o604, peer.TIME + 1)
        assert os.getxattr(node.inbox(code, "folder/file"), "user.mime_type") == b"text/plain"
        assert sorted(os.listdir(node.inbox(code, "folder"))) == ["file", "second name"]
        assert read(node.inbox(code, "folder/second name")) == bytes(5 * MIB)
        assert os.stat(node.inbox(code, "folder/second name")).st_blocks < 100

        os.mkdir(node.outbox(code, "there"))
        write(node.outbox(code, "there/file"), got)
        os.setxattr(node.outbox(code, "there/file"), "user.a", b"b")
        os.symlink("file", node.outbox(code, "there/symlink"))
        assert s.receive_file(b"file").sealed == got
        os.rename(node.outbox(code, "there/file"), node.outbox(code, "renamed"))
        with open(node.outbox(code, "renamed"), "r+b") as out:
            out.seek(100)
            out.write(b"again")
        file = s.wait(lambda: received(s, b"renamed"))
        s.wait(lambda: file.sealed == got[:100] + b"again" + got[105:])
        s.wait(lambda: state(node.outbox(code, "renamed")) == "delivered")
        assert bytes.fromhex(received(s, b"symlink").values["target"]) == b"file"
        assert file.xattrs == {b"a": b"b"} and file.values["parent"] == 0
        os.unlink(node.outbox(code, "renamed"))
        s.wait(lambda: received(s, b"renamed") is None)
        s.send(peer.goodbye(1))
    wait_state(node.inbox(code), "offline")
    world.before = world.outside()


@pytest.mark.lines(0)
def test_reader_is_served_first(world):
    """WANT says what a parked reader waits for."""
    with world.link.connect() as s:
        item = world.number()
        tell(s, [s.op(make(item, b"wanted-%d" % item)), extent(item, 1, 0, b"x", size_now=2 * MIB)])
        found = []
        reader = threading.Thread(target=lambda: found.append(read(world.inbox(f"wanted-{item}"))[-1:]))
        reader.start()
        want = s.first("WANT", stream=item)
        assert want["offset"] <= 2 * MIB and want["length"] >= 1
        s.wait_ack(s.send(extent(item, 1, 1, bytes(MIB)), hole(item, 1, MIB + 1, MIB - 2)))
        s.wait_ack(s.send(extent(item, 1, 2 * MIB - 1, b"z"), seal(item, 1, 2 * MIB)))
        reader.join(15)
        assert found == [b"z"]
        s.leave()


# -- lies about sessions -------------------------------------------------------------------------


@pytest.mark.lines(0)
@pytest.mark.parametrize("number", ["the last one", "0"])
def test_start_with_an_old_session_number(world, number):
    link = world.link
    with link.connect() as running, link.connect(begin=False) as s:
        s.send(peer.start(link.session if number != "0" else 0, link.op_durable))
        assert s.wait_end() == 2
        tell_quietly(running)
        running.leave()


FIRST = {
    "OP": lambda link: op(1, make(1, b"early")), "HAVE_END": lambda link: peer.have_end(), "PING": lambda link: peer.ping(1),
    "EXTENT": lambda link: extent(1, 1, 0, b"x"), "SEAL": lambda link: seal(1, 1, 0), "ACK": lambda link: peer.ack(0, 0),
    "HAVE": lambda link: peer.have(1, 1, (0, 1, 1, bytes(16))), "unknown": lambda link: peer.message(99),
    "JOIN of no session": lambda link: peer.join(link.session), "JOIN of session 0": lambda link: peer.join(0),
    "JOIN of 2^64-1": lambda link: peer.join(2**64 - 1),
}


@pytest.mark.parametrize("lie", FIRST)
def test_session_that_begins_with_something_else(world, lie):
    with world.link.connect(begin=False) as s:
        s.send(FIRST[lie](world.link))
        assert s.wait_end() is None
    assert "early" not in os.listdir(world.inbox())


@pytest.mark.lines(2)
@pytest.mark.parametrize("wrong", [1, -1, 2**63], ids=["next", "last", "far"])
def test_join_with_a_wrong_session(world, wrong):
    """The session itself goes on."""
    with world.link.connect() as running, world.link.connect(begin=False) as s:
        s.send(peer.join(world.link.session + wrong))
        assert s.wait_end() is None
        tell_quietly(running)
        running.leave()


@pytest.mark.parametrize("lie", ["OP", "SEAL", "HAVE_END", "WANT", "FETCH", "START"])
def test_data_connection_carries_only_data(world, lie):
    link = world.link
    with link.connect() as s, link.connect(begin=False) as data:
        item = world.number()
        tell(s, [s.op(make(item, b"joined-%d" % item))])
        data.send(peer.join(link.session))
        data.first("JOIN", session=link.session)
        data.wait_ack(data.send(extent(item, 1, 0, b"over the other")), durable=False)
        tell(s, [seal(item, 1, 14)])
        assert read(world.inbox(f"joined-{item}")) == b"over the other"
        data.send({"OP": s.op(make(item, b"early")), "SEAL": seal(item, 1, 1), "HAVE_END": peer.have_end(),
                   "WANT": peer.want(1, 0, 1), "FETCH": peer.fetch(1, 0, 1), "START": peer.start(2**40, 0)}[lie])
        assert data.wait_end() is None
        assert s.wait_end() is None  # a session ends with any of its connections
    assert "early" not in os.listdir(world.inbox())


@pytest.mark.parametrize("count", [2**40, 2**64 - 1], ids=["2^40", "2^64-1"])
def test_op_durable_beyond_what_was_sent(world, count):
    with world.link.connect(begin=False) as s:
        s.send(peer.start(world.link.session + 1, count))
        world.link.session += 1
        assert s.wait_end() == 3


def test_op_durable_that_went_back(world):
    """As after a backup was put back: the operations are gone here."""
    with world.link.connect(begin=False) as s:
        s.send(peer.start(world.link.session + 1, 0))
        world.link.session += 1
        assert s.wait_end() == 3
    wait_state(world.inbox(), "lost")


@pytest.mark.parametrize("reason", [1, 2, 3])
def test_every_goodbye_is_an_end(world, reason):
    with world.link.connect() as s:
        s.send(peer.goodbye(reason))
        s.wait_end()
    wait_state(world.inbox(), "lost" if reason == 3 else "offline")


# -- lies of a receiver --------------------------------------------------------------------------


@pytest.fixture
def unfinished(world):
    """A file of our own that the liar has neither acknowledged nor, in its next session, received."""
    name, data = f"unfinished-{world.n_proofs}", random_bytes(2 * MIB + 100)
    with world.link.connect(acknowledge=False) as s:
        write(world.outbox(name), data)
        item = s.wait(lambda: received(s, name.encode()))
        number = item.values["item"]
        s.wait(lambda: len(item.data) == len(data))
        world.link.op_durable = s.op_seen  # the operation is: only its content is in question
        s.send(peer.ack(0, 0))
        s.leave()
    yield name, number, data
    os.unlink(world.outbox(name))


def extents_of(s, number):
    return sorted((values["offset"], values["raw_length"]) for values in s.messages if values["type"] == "EXTENT"
                  and values["stream"] == number)


def delivered(world, s, name, data):
    """It arrives all the same."""
    s.wait(lambda: state(world.outbox(name)) == "delivered", "it to be delivered")
    assert received(s, name.encode()).sealed == data


HAVES = {
    "of other bytes": lambda number, data: [peer.have(number, 1, (0, MIB, 1, peer.digest(b"no")))],
    "of another length": lambda number, data: [peer.have(number, 1, (0, 1000, 1, peer.digest(data[:1000])))],
    "of another place": lambda number, data: [peer.have(number, 1, (MIB, MIB, 1, peer.digest(data[:MIB])))],
    "of a hole": lambda number, data: [peer.have(number, 1, (0, MIB, 2, bytes(16)))],
    "of a hole over all": lambda number, data: [peer.have(number, 1, (0, LAST, 2, bytes(16)))],
    "beyond the end": lambda number, data: [peer.have(number, 1, (2**50, 1, 1, peer.digest(b"x")))],
    "of unknown streams": lambda number, data: [peer.have(stream, 1, (0, MIB, 1, peer.digest(data[:MIB])))
                                                for stream in (0, NOBODYS, 2**64 - 1)],
    "of 10000 ranges": lambda number, data: [peer.have(number, 2**32 - 1, *[(n, 1, 1, bytes(16)) for n in range(10_000)])],
}


@pytest.mark.lines(0)
@pytest.mark.parametrize("lie", HAVES)
def test_claims_that_do_not_match_leave_nothing_out(world, unfinished, lie):
    name, number, data = unfinished
    received_before = world.link.received[number]
    received_before.data, received_before.sealed = bytearray(), None
    with world.link.connect(begin=False) as s:
        s.exchange_start()
        for claim in HAVES[lie](number, data):
            s.send(claim)
        s.send(peer.have_end())
        delivered(world, s, name, data)
        assert sum(length for _, length in extents_of(s, number)) == len(data)
        s.leave()


BAD_HAVES = {
    "kind 0": (0, 1, 0, bytes(16)), "kind 3": (0, 1, 3, bytes(16)), "no bytes": (0, 0, 1, bytes(16)),
    "over 1 MiB": (0, MIB + 1, 1, bytes(16)), "up to 2^63": (LAST, 1, 1, bytes(16)), "a hole with a hash": (0, 1, 2, b"x" * 16),
    "a hole up to 2^63": (1, LAST, 2, bytes(16)),
}


@pytest.mark.parametrize("lie", BAD_HAVES)
def test_have_out_of_range_ends_the_connection(world, lie):
    with world.link.connect(begin=False) as s:
        s.exchange_start()
        s.send(peer.have(1, 1, BAD_HAVES[lie]))
        assert s.wait_end() is None


def test_have_of_10001_ranges_ends_the_connection(world):
    with world.link.connect(begin=False) as s:
        s.exchange_start()
        s.send(peer.have(1, 1, *[(n, 1, 1, bytes(16)) for n in range(10_001)]))
        assert s.wait_end() is None


@pytest.mark.lines(0)
def test_claimed_and_then_missed(world, unfinished):
    """What was claimed with its true hash is not sent; what is missed then, is."""
    name, number, data = unfinished
    world.link.received[number].data = bytearray(data)
    world.link.received[number].sealed = None
    with world.link.connect(begin=False, acknowledge=False) as s:
        s.exchange_start()
        places = [(0, MIB), (MIB, MIB), (2 * MIB, 100)]
        s.send(peer.have(number, 1, *[(at, size, 1, peer.digest(data[at:at + size])) for at, size in places]), peer.have_end())
        first = s.first("SEAL", stream=number)
        assert extents_of(s, number) == []
        s.send(peer.missing(number, first["version"], (5, 10), (MIB, LAST - MIB), (5, 10), (0, 1)))
        s.acknowledge = True
        s.send(peer.ack(s.into.count, s.into.count))
        s.wait(lambda: any(values["type"] == "SEAL" and values["version"] > first["version"] for values in s.messages))
        delivered(world, s, name, data)
        assert extents_of(s, number)
        s.leave()


@pytest.mark.lines(0)
def test_missed_again_and_again(world, unfinished):
    """Each MISSING costs the sender one more version, no more."""
    name, number, data = unfinished
    with world.link.connect() as s:
        for _ in range(20):
            seals = [values for values in s.messages if values["type"] == "SEAL" and values["stream"] == number]
            version = seals[-1]["version"] if seals else s.first("SEAL", stream=number)["version"]
            mark = len(s.messages)
            s.send(*[peer.missing(number, version, (0, LAST))] * 5)
            if state(world.outbox(name)) == "delivered":
                break
            with contextlib.suppress(AssertionError):
                s.first("SEAL", since=mark, timeout=1, stream=number)
        delivered(world, s, name, data)
        s.leave()


@pytest.mark.lines(0)
def test_durable_and_then_lost(world):
    """MISSING for what was acknowledged as durable: it is sent again, or stays delivered; nothing is stuck."""
    with world.link.connect() as s:
        write(world.outbox("lost"), b"x" * 100_000)
        s.receive_file(b"lost")
        s.wait(lambda: state(world.outbox("lost")) == "delivered")
        number, version = received(s, b"lost").values["item"], s.first("SEAL")["version"]
        tell_quietly(s, peer.missing(number, version, (0, 100_000)))
        s.wait(lambda: state(world.outbox("lost")) == "delivered")
        write(world.outbox("lost"), b"y" * 50_000)
        s.wait(lambda: received(s, b"lost").sealed == b"y" * 50_000)
        s.wait(lambda: state(world.outbox("lost")) == "delivered")
        s.leave()
    os.unlink(world.outbox("lost"))


WISHES = {
    "unknown": lambda number: [peer.want(stream, 0, 10) for stream in (0, NOBODYS, 2**64 - 1)],
    "huge": lambda number: [peer.want(number, 0, LAST)] * 3,
    "beyond the end": lambda number: [peer.want(number, 2**50, 10)],
    "descending": lambda number: [peer.want(number, at, 1) for at in range(20_000, 0, -1)],
    "repeated": lambda number: [peer.want(number, 7, 1)] * 20_000,
    "MISSING of unknown streams": lambda number: [peer.missing(stream, 1, (0, 10)) for stream in (0, NOBODYS, 2**64 - 1)],
    "MISSING of another version": lambda number: [peer.missing(number, version, (0, LAST)) for version in (0, 77, 2**32 - 1)],
    "MISSING in descending order": lambda number: [peer.missing(number, 1, *[(at, 9) for at in range(4096, 0, -1)])] * 10,
    "REFUSED of unknown streams": lambda number: [peer.refused(stream, 5) for stream in (0, NOBODYS, 2**64 - 1)],
    "PONG unasked": lambda number: [peer.pong(token) for token in range(1000)],
}


@pytest.mark.lines(0)
@pytest.mark.parametrize("lie", WISHES)
def test_wishes_that_make_no_sense_change_nothing(world, unfinished, lie):
    name, number, data = unfinished
    with world.link.connect() as s:
        s.send(*WISHES[lie](number))
        delivered(world, s, name, data)
        s.leave()


@pytest.mark.lines(0)
def test_items_of_other_links_cannot_be_named(world):
    """REFUSED, MISSING, WANT and DROP for every number there may be: the other link's files stay as they are."""
    pair = world.pair
    path, other = pair.b.outbox(pair.code, "of ours"), pair.a.inbox(pair.code, "of ours")
    write(path, b"to the other")
    wait_until(lambda: state(other) == "complete", "it to arrive")
    wait_state(path, "delivered")
    with world.link.connect() as s:
        numbers = range(1, 6000)
        mine = {item.values["item"] for item in world.link.received.values()}
        s.send(*[message for number in numbers if number not in mine
                 for message in (peer.refused(number, 5), peer.want(number, 0, 10), peer.missing(number, 1, (0, 10)))])
        unused = range(world.number() + 1, 6000)
        s.wait_ack(s.send(*[s.op(drop(number)) for number in unused]))
        s.leave()
    assert state(path) == "delivered" and read(path) == b"to the other" == read(other)
    write(path, b"once more")
    wait_until(lambda: state(other) == "complete" and read(other) == b"once more", "its update")
    os.unlink(path)


# -- floods, and ends that do not read -----------------------------------------------------------


def shout(s, data, patience=1.0):
    """Sends without ever reading; true if all of it went."""
    view, since = memoryview(data), time.monotonic()
    while view:
        if not select.select([], [s.connection], [], patience)[1] or time.monotonic() - since > 20:
            return False
        try:
            view = view[s.connection.send(view):]
        except OSError:
            return False
    return True


FLOODS = {
    "PING": lambda world, item, turn: peer.ping(turn) * 80_000,
    "SEAL of unknown streams": lambda world, item, turn: b"".join(seal(NOBODYS + turn * 20_000 + n, 1, 1) for n in range(20_000)),
    "SEAL of what is missing": lambda world, item, turn: b"".join(seal(item, 2 + turn * 2000 + n, 20_000) for n in range(2000)),
    "WANT": lambda world, item, turn: b"".join(peer.want(n, turn, 1) for n in range(30_000)),
    "zeros as data": lambda world, item, turn: extent(item, 1, turn * MIB, bytes(MIB)),
}


@pytest.mark.lines(2)
@pytest.mark.parametrize("flood", FLOODS)
def test_flood_of_an_end_that_does_not_read(world, flood):
    before = memory(world.node)
    with world.link.connect(acknowledge=False) as s:
        item = world.number()
        s.wait_ack(s.send(s.op(make(item, b"flooded-%d" % item)), *[hole(item, 1, 2 * n, 1) for n in range(5000)]), durable=False)
        most = 0
        for turn in range(30):
            if not shout(s, s.box(FLOODS[flood](world, item, turn))):
                break
            most = max(most, memory(world.node))
        assert most - before < 100
        assert world.node.running() and "anchor" in os.listdir(world.inbox())
    os.unlink(world.inbox(f"flooded-{item}"))


@pytest.mark.lines(9)  # watchers may miss some of it
def test_large_folder_moved_again_and_again(world):
    """Costs no look at all that is in it each time: that would take half a minute, with the store's lock held."""
    with world.link.connect() as s:
        top, other, low = (world.number() for _ in range(3))
        files = [world.number() for _ in range(40_000)]
        s.send(s.op(make(top, b"top", FOLDER)), s.op(make(other, b"other", FOLDER)), s.op(make(low, b"low", FOLDER, parent=top)))
        for at in range(0, len(files), 10_000):
            s.send(*[s.op(make(item, b"%d" % item, parent=low)) for item in files[at:at + 10_000]])
        s.wait_ack(s.send(*[s.op(move(top, b"top", parent=other if turn % 2 else 0)) for turn in range(10_000)]))
        assert len(os.listdir(world.inbox("other", "top", "low"))) == len(files)
        for at in range(0, len(files), 10_000):
            s.wait_ack(s.send(*[s.op(drop(item)) for item in files[at:at + 10_000]]))
        s.wait_ack(s.send(s.op(drop(low)), s.op(drop(top)), s.op(drop(other))))
        assert "other" not in os.listdir(world.inbox())
        s.leave()


@pytest.mark.lines(9)
def test_folders_that_step_aside_in_great_number(world):
    """NAME.kept, NAME.kept2 ...: the next free one is found without trying them all."""
    with world.link.connect() as s:
        parent, n = world.number(), 28_000
        s.send(s.op(make(parent, b"crowded", FOLDER)))
        for _ in range(0, n, 4000):
            told = []
            for _ in range(4000):
                folder, file, instead = (world.number() for _ in range(3))
                told += [s.op(make(folder, b"K", FOLDER, parent)), s.op(make(file, b"x", parent=folder)),
                         s.op(make(instead, b"K", parent=parent)), s.op(drop(instead))]
            record = s.send(*told)
        s.wait_ack(record)
        assert set(os.listdir(world.inbox("crowded"))) == {"K.kept", *[f"K.kept{number}" for number in range(2, n + 1)]}
        s.leave()


@pytest.mark.lines(0)
def test_receiver_that_never_acknowledges(world):
    """The writer goes on, what is under way is bounded, the daemon's memory too; then all of it arrives."""
    before, data = memory(world.node), random_bytes(MIB)
    with world.link.connect(acknowledge=False) as s:
        with open(world.outbox("endless"), "wb") as out:
            for _ in range(100):
                out.write(data)
        s.wait(lambda: sum(values["type"] == "EXTENT" for values in s.messages) >= 60)
        for _ in range(10):
            s.pump(0.05)
        under_way = sum(values["raw_length"] for values in s.messages if values["type"] == "EXTENT")
        assert under_way <= 65 * MIB
        assert memory(world.node) - before < 80
        assert received(s, b"endless").sealed is None
        s.leave()
    with world.link.connect() as s:
        s.wait(lambda: state(world.outbox("endless")) == "delivered", timeout=60)
        assert received(s, b"endless").sealed == data * 100
        s.leave()
    os.unlink(world.outbox("endless"))
