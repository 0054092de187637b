# SPDX-License-Identifier: MIT
"""A paired peer that holds real keys and lies: in names, kinds, sizes, numbers, records. Each lie ends its connection or is refused as
docs/protocol.md says; nothing outside the link's folder changes, and honest transfers work right after it (liar.World.prove)."""
import contextlib
import os
import time

import pytest

import peer
from ftxp import SENDER
from harness import MIB, SLOW, state, wait_state, wait_until
from liar import LIAR, NOBODYS, everything, memory, paired, read, tell, world, write  # noqa: F401 fixtures
from peer import FILE, FOLDER, LAST, SYMLINK, Ended, attr, drop, extent, frame, halt, hole, make, move, op, packed, seal, xattr

WHOLE_RECORD = 16 + 1_052_672


@pytest.fixture(scope="module", autouse=True)
def silent(everything):
    """Sessions that say nothing any more: after the handshake, after START, after HAVE_END. The last test sees them end."""
    sessions = []
    for number in range(3):
        s = paired(everything.node, f"9{number}-silent", SENDER).connect(begin=False)
        everything.hushed.append("%s:%d " % s.connection.getsockname())
        if number == 1:
            s.exchange_start()
        elif number == 2:
            s.begin()
        sessions.append((s, time.monotonic()))
    everything.before = everything.outside()
    return sessions


# -- lies that end the connection ----------------------------------------------------------------

BAD_NAMES = {"dot": b".", "two dots": b"..", "empty": b"", "slash": b"a/b", "root": b"/", "up": b"../canary/file", "NUL": b"a\0b",
             "newline": b"a\nb", "escape": b"\x1b]0;title\x07", "DEL": b"a\x7f", "256 bytes": b"n" * 256, "control folder": b".ftx",
             "in the control folder": b".ftx/status"}

OPERATIONS = {f"MAKE {name}": (lambda i, n=value: [make(i, n)]) for name, value in BAD_NAMES.items()}
OPERATIONS |= {f"MOVE {name}": (lambda i, n=value: [make(i, b"moved-%d" % i), move(i, n)]) for name, value in BAD_NAMES.items()}
OPERATIONS |= {
    "name longer than the operation": lambda i: [make(i, b"short", name_length=200)],
    "256 as name_length 0": lambda i: [make(i, b"n" * 256, name_length=0)],
    "MAKE of nothing": lambda i: [make(i, b"kind", what=0)],
    "MAKE of a device": lambda i: [make(i, b"kind", what=4)],
    "MAKE of 255": lambda i: [make(i, b"kind", what=255)],
    "MAKE setuid": lambda i: [make(i, b"mode", mode=0o4755)],
    "MAKE setgid folder": lambda i: [make(i, b"mode", FOLDER, mode=0o2755)],
    "MAKE sticky": lambda i: [make(i, b"mode", mode=0o1777)],
    "MAKE with a file type in its mode": lambda i: [make(i, b"mode", mode=0o100644)],
    "ATTR setuid": lambda i: [make(i, b"attr-%d" % i), attr(i, 0o4755)],
    "ATTR 65535": lambda i: [make(i, b"attr-%d" % i), attr(i, 65535)],
    "symlink without target": lambda i: [make(i, b"link", SYMLINK)],
    "symlink of 4096 bytes": lambda i: [make(i, b"link", SYMLINK, target=b"t" * 4096)],
    "symlink of 60000 bytes": lambda i: [make(i, b"link", SYMLINK, target=b"t" * 60000)],
    "NUL in a target": lambda i: [make(i, b"link", SYMLINK, target=b"anchor\0/etc")],
    "file with a target": lambda i: [make(i, b"link", FILE, target=b"/etc/passwd")],
    "folder with a target": lambda i: [make(i, b"link", FOLDER, target=b"/etc")],
    "MAKE of item 0": lambda i: [make(0, b"item 0")],
    "MOVE of item 0": lambda i: [move(0, b"item 0")],
    "DROP of item 0": lambda i: [drop(0)],
    "ATTR of item 0": lambda i: [attr(0, 0o777)],
    "HALT of item 0": lambda i: [halt(0)],
    "XATTR of item 0": lambda i: [xattr(0, b"a", b"")],
    "XATTR without name": lambda i: [xattr(i, b"", b"value")],
    "XATTR of ours": lambda i: [make(i, b"xattr-%d" % i), xattr(i, b"ftx.state", b"complete")],
    "XATTR with NUL": lambda i: [xattr(i, b"a\0b", b"value")],
    "XATTR name of 251": lambda i: [xattr(i, b"n" * 251, b"")],
    "XATTR name longer than the operation": lambda i: [xattr(i, b"n", b"", name_length=9)],
    "XATTR value of 65531": lambda i: [xattr(i, b"n", bytes(65531))],
    "DROP with a byte more": lambda i: [drop(i) + b"\0"],
    "DROP with a byte less": lambda i: [drop(i)[:-1]],
    "MOVE cut before its name": lambda i: [move(i, b"x")[:25]],
    "operation 0": lambda i: [bytes(25)],
    "operation 9": lambda i: [b"\x09" + bytes(24)],
    "operation 255": lambda i: [b"\xff" + bytes(24)],
    "operation of nothing": lambda i: [b""],
    "operation of 65542 bytes": lambda i: [b"\x06" + bytes(65541)],
}


@pytest.mark.parametrize("lie", OPERATIONS)
def test_operation_out_of_range_ends_the_connection(world, lie):
    with world.link.connect() as s:
        s.send(*map(s.op, OPERATIONS[lie](world.number())))
        assert s.wait_end() is None
    assert not {"kind", "mode", "link", "item 0", "short"} & set(os.listdir(world.inbox()))


ZEROS = bytes(4096)


def rle_frame(says, blocks):
    """A frame by hand that says to hold so many bytes, and holds 128 KiB in each block."""
    head = bytes.fromhex("28b52ffde0") + says.to_bytes(8, "little")
    return head + b"".join((128 * 1024 << 3 | 1 << 1 | (number == blocks - 1)).to_bytes(3, "little") + b"x" for number in range(blocks))


MESSAGES = {
    "EXTENT up to 2^63": lambda i: [extent(i, 1, LAST, b"x", size_now=1)],
    "EXTENT beyond 2^63": lambda i: [extent(i, 1, 2**63, b"x", size_now=1)],
    "EXTENT over 2^64": lambda i: [extent(i, 1, 2**64 - 1, b"xx", size_now=1)],
    "EXTENT size_now 2^63": lambda i: [extent(i, 1, 0, b"x", size_now=2**63)],
    "EXTENT size_now 2^64-1": lambda i: [extent(i, 1, 0, b"x", size_now=2**64 - 1)],
    "EXTENT of nothing": lambda i: [extent(i, 1, 0, b"")],
    "EXTENT over 1 MiB": lambda i: [extent(i, 1, 0, bytes(MIB + 1))],
    "raw_length over 1 MiB": lambda i: [extent(i, 1, 0, b"x", raw_length=MIB + 1)],
    "raw_length 2^32-1": lambda i: [extent(i, 1, 0, b"x", raw_length=2**32 - 1)],
    "raw_length 0 with data": lambda i: [extent(i, 1, 0, b"x", raw_length=0)],
    "raw_length above the data": lambda i: [extent(i, 1, 0, b"0123456789", raw_length=11)],
    "raw_length below the data": lambda i: [extent(i, 1, 0, b"0123456789", raw_length=9)],
    "encoding 1": lambda i: [extent(i, 1, 0, b"0123456789", encoding=1)],
    "encoding 7": lambda i: [extent(i, 1, 0, b"0123456789", encoding=7)],
    "encoding 1 of raw bytes": lambda i: [extent(i, 1, 0, bytes(100), raw_length=4096, encoding=1)],
    "frame of noise": lambda i: [packed(i, 1, 0, ZEROS, its_frame=frame(ZEROS)[:5] + os.urandom(60))],
    "frame for fewer bytes": lambda i: [packed(i, 1, 0, ZEROS, raw_length=4095)],
    "frame for more bytes": lambda i: [packed(i, 1, 0, ZEROS, raw_length=4097)],
    "frame of a MiB for 4096 bytes": lambda i: [packed(i, 1, 0, ZEROS, its_frame=frame(bytes(MIB)))],
    "frame of a GiB": lambda i: [packed(i, 1, 0, ZEROS, its_frame=rle_frame(2**30, blocks=8192))],
    "frame of 2^62 bytes": lambda i: [packed(i, 1, 0, ZEROS, its_frame=rle_frame(2**62, blocks=1))],
    "frame of more than it says": lambda i: [packed(i, 1, 0, bytes(MIB), its_frame=rle_frame(MIB, blocks=9))],
    "frame of less than it says": lambda i: [packed(i, 1, 0, bytes(MIB), its_frame=rle_frame(MIB, blocks=7))],
    "frame without its size": lambda i: [packed(i, 1, 0, ZEROS, its_frame=frame(ZEROS, write_content_size=0))],
    "frame with a window": lambda i: [packed(i, 1, 0, bytes(MIB), its_frame=frame(bytes(MIB), window_log=19))],
    "frame and a byte": lambda i: [packed(i, 1, 0, ZEROS, its_frame=frame(ZEROS) + b"\0")],
    "two frames": lambda i: [packed(i, 1, 0, 2 * ZEROS, its_frame=2 * frame(ZEROS))],
    "frame cut": lambda i: [packed(i, 1, 0, ZEROS, its_frame=frame(ZEROS)[:-1])],
    "frame of nothing": lambda i: [packed(i, 1, 0, ZEROS, its_frame=b"")],
    "skippable frame": lambda i: [packed(i, 1, 0, ZEROS, its_frame=bytes.fromhex("502a4d180400000066747866"))],
    "frame as long as its bytes": lambda i: [packed(i, 1, 0, b"0123456789", its_frame=frame(b"0123456789"))],
    "hash of the frame": lambda i: [extent(i, 1, 0, frame(ZEROS), raw_length=4096, encoding=1)],
    "wrong hash": lambda i: [extent(i, 1, 0, b"0123456789", wrong_hash=bytes(16))],
    "hash of one bit less": lambda i: [extent(i, 1, 0, b"0123456789", wrong_hash=peer.digest(b"0123456788"))],
    "HOLE of nothing": lambda i: [hole(i, 1, 0, 0)],
    "HOLE up to 2^63": lambda i: [hole(i, 1, 1, LAST, size_now=0)],
    "HOLE over 2^64": lambda i: [hole(i, 1, 2**63, 2**63, size_now=0)],
    "HOLE at 2^64-1": lambda i: [hole(i, 1, 2**64 - 1, 1, size_now=0)],
    "SIZE 2^63": lambda i: [peer.size(i, 1, 2**63)],
    "SEAL 2^63": lambda i: [seal(i, 1, 2**63)],
    "SEAL setuid": lambda i: [seal(i, 1, 0, mode=0o4755)],
    "SEAL without attributes": lambda i: [seal(i, 1, 0, attributes=b"")],
    "SEAL with 64 bytes of attributes": lambda i: [seal(i, 1, 0, attributes=bytes(64))],
    "SEAL with 65 bytes of attributes": lambda i: [seal(i, 1, 0, attributes=bytes(65))],
    "HAVE after HAVE_END": lambda i: [peer.have(i, 1, (0, 1, 1, peer.digest(b"x")))],
    "HAVE_END twice": lambda i: [peer.have_end()],
    "HAVE_END with a body": lambda i: [peer.message(4, b"x")],
    "START twice": lambda i: [peer.start(2**40, 0)],
    "JOIN on the control connection": lambda i: [peer.join(1)],
    "OP 0": lambda i: [op(0, make(i, b"number"))],
    "OP far ahead": lambda i: [op(2**50, make(i, b"number"))],
    "OP 2^64-1": lambda i: [op(2**64 - 1, make(i, b"number"))],
    "ACK of what was not sent": lambda i: [peer.ack(2**40, 0)],
    "ACK 2^64-1": lambda i: [peer.ack(2**64 - 1, 2**64 - 1)],
    "ACK durable above received": lambda i: [peer.ack(0, 1)],
    "MISSING without ranges": lambda i: [peer.missing(i, 1)],
    "MISSING of 4097 ranges": lambda i: [peer.missing(i, 1, *[(2 * n, 1) for n in range(4097)])],
    "MISSING of a part of a range": lambda i: [peer.message(11, bytes(12 + 15))],
    "MISSING of no bytes": lambda i: [peer.missing(i, 1, (0, 0))],
    "MISSING beyond 2^63": lambda i: [peer.missing(i, 1, (1, LAST))],
    "WANT of no bytes": lambda i: [peer.want(i, 0, 0)],
    "WANT beyond 2^63": lambda i: [peer.want(i, 2**63, 2**63)],
    "FETCH of no bytes": lambda i: [peer.fetch(i, 0, 0)],
    "FETCH over 1 MiB": lambda i: [peer.fetch(i, 0, MIB + 1)],
    "FETCH beyond 2^63": lambda i: [peer.fetch(i, LAST, 1)],
    "65 FETCHes at once": lambda i: [peer.fetch(i, n, 1) for n in range(65)],
    "FETCHED that nobody asked for": lambda i: [peer.fetched(i, 0, 1, 1, b"x")],
    "FETCHED of an encoded hole": lambda i: [peer.fetched(i, 0, 1, 2, encoding=1)],
    "FETCHED that nobody asked for, encoded": lambda i: [peer.fetched(i, 0, 4096, 1, ZEROS, 1, frame(ZEROS))],
    "FETCHED of a hole with data": lambda i: [peer.fetched(i, 0, 1, 2, b"x")],
    "REFUSED for no reason": lambda i: [peer.refused(i, 0)],
    "REFUSED for reason 11": lambda i: [peer.refused(i, 11)],
    "GOODBYE 0": lambda i: [peer.goodbye(0)],
    "GOODBYE 4": lambda i: [peer.goodbye(4)],
    "GOODBYE 255": lambda i: [peer.goodbye(255)],
    "message type 0": lambda i: [peer.message(0)],
    "ADDRESSES without a port": lambda i: [peer.addresses((bytes(16), 0))],
    "17 ADDRESSES": lambda i: [peer.addresses(*[(bytes(16), 15820)] * 17)],
    "half an ADDRESSES": lambda i: [peer.message(19, bytes(17))],
    "DIGEST of nobody's stream": lambda i: [peer.ask_digest(i, 3)],
    "DIGEST with a byte less": lambda i: [peer.message(20, bytes(8))],
    "two DIGESTs at once": lambda i: [peer.ask_digest(i, 1), peer.ask_digest(i, 1)],
    "DIGESTED that nobody asked for": lambda i: [peer.told_digest(i, 1, 2)],
    "HOLD in a session that runs": lambda i: [peer.hold()],
    "message type 99": lambda i: [peer.message(99, bytes(8))],
    "message type 255": lambda i: [peer.message(255, bytes(8))],
    "PING with a byte more": lambda i: [peer.message(14, bytes(9))],
    "PING with a byte less": lambda i: [peer.message(14, bytes(7))],
    "PING cut": lambda i: [peer.ping(1)[:-1]],
    "half a head": lambda i: [peer.ping(1), b"\x0e\x08"],
    "message longer than its record": lambda i: [peer.message(14, bytes(8), length=2**24 - 1)],
    "zeros behind the last message": lambda i: [peer.ping(1), bytes(3)],
}


@pytest.mark.parametrize("lie", MESSAGES)
def test_message_out_of_range_ends_the_connection(world, lie):
    with world.link.connect() as s:
        item = world.number()
        s.send(s.op(make(item, b"range-%d" % item)), *MESSAGES[lie](item))
        assert s.wait_end() is None
    path = world.inbox(f"range-{item}")
    assert not os.path.exists(path) or (state(path), os.stat(path).st_blocks) == ("arriving", 0)
    assert "number" not in os.listdir(world.inbox())


@pytest.mark.lines(2)
def test_operation_numbers_skip_and_repeat(world):
    for wrong in (1, -1):
        with world.link.connect() as s:
            items = [world.number() for _ in range(2)]
            s.send(s.op(make(items[0], b"counted-%d" % items[0])), op(s.next_op + wrong, make(items[1], b"number")))
            assert s.wait_end() is None
            world.prove()
    assert "number" not in os.listdir(world.inbox())




@pytest.mark.parametrize("count", [2, 10000], ids=["2 MiB", "10 GiB"])
def test_record_that_would_be_too_long_unpacked_ends_the_connection(world, count):
    """Each of its extents is fine; one MiB of them may arrive."""
    with world.link.connect() as s:
        item, zeros = world.number(), bytes(MIB)
        its_frame = frame(zeros)
        s.send(s.op(make(item, b"unpacked-%d" % item)), *[packed(item, 1, n * MIB, zeros, its_frame=its_frame) for n in range(count)])
        assert s.wait_end() is None
    path = world.inbox(f"unpacked-{item}")
    assert not os.path.exists(path) or (state(path) == "arriving" and os.stat(path).st_blocks <= MIB // 512)


def test_acknowledgements_that_shrink(world):
    write(world.outbox("shrinks"), b"x" * 100)  # before the session: the seal that waits for no acknowledgement is in the record of its extent
    with world.link.connect(acknowledge=False) as s:
        s.receive_file(b"shrinks")
        world.link.op_durable = s.op_seen
        s.send(peer.ack(s.into.count, s.into.count))
        s.send(peer.ack(s.into.count, s.into.count - 1))
        assert s.wait_end() is None
    os.unlink(world.outbox("shrinks"))


# -- lies in records -----------------------------------------------------------------------------


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def empty_box(s):
    head = peer.number(4, 16)
    cipher, its_nonce = s.out.next()
    return head + cipher.encrypt(its_nonce, b"", head)


RECORDS = {
    "length 0": lambda s: bytes(4),
    "length 15": lambda s: peer.number(4, 15) + bytes(15),
    "a box of nothing": empty_box,
    "a byte over the limit": lambda s: s.box(bytes(WHOLE_RECORD - 16 + 1)),
    "length 2^32-1": lambda s: b"\xff" * 4 + bytes(1000),
    "zeros of the greatest length": lambda s: peer.number(4, WHOLE_RECORD) + bytes(WHOLE_RECORD),
    "a flipped bit in the box": lambda s: flipped(s.box(peer.ping(1)), 9),
    "a flipped bit in the tag": lambda s: flipped(s.box(peer.ping(1)), -1),
    "a flipped bit in the length": lambda s: flipped(s.box(peer.ping(1) * 20), 0) + bytes(16),
    "the same record twice": lambda s: s.box(peer.ping(1)) * 2,
    "a record left out": lambda s: (s.box(peer.ping(1)), s.box(peer.ping(2)))[1],
    "two records exchanged": lambda s: (lambda a, b: b + a)(s.box(peer.ping(1)), s.box(peer.ping(2))),
    "our own direction's key": lambda s: peer.Session.box(reflected(s), peer.ping(1)),
}


def reflected(s):
    s.out, s.into = s.into, s.out
    return s


@pytest.mark.parametrize("lie", RECORDS)
def test_bad_record_ends_the_connection(world, lie):
    with world.link.connect() as s:
        with contextlib.suppress(Ended):
            s.send_bytes(RECORDS[lie](s))
        with contextlib.suppress(Exception):  # what comes meanwhile is of no interest
            s.wait_end()
        assert s.closed


def processor_flags():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        return set(next((line.split(":")[1] for line in file if line.startswith("flags")), "").split())


@pytest.mark.parametrize("aes", [True, False], ids=["AES if it is quick there", "ChaCha20"])
def test_largest_record_and_new_keys_every_1024_are_fine(world, aes):
    """What the lies above are one step away from."""
    with world.link.connect(aes=aes) as s:
        assert s.out.cipher == s.into.cipher == ("aes" if aes and {"aes", "pclmulqdq", "avx"} <= processor_flags() else "chacha")
        item = world.number()
        filler = peer.ping(7) * 200
        messages = [s.op(make(item, b"large-%d" % item)), extent(item, 1, 0, bytes(MIB)), seal(item, 1, MIB)]
        padding = WHOLE_RECORD - 16 - len(b"".join(messages)) - len(filler)
        messages.append(filler + peer.op(s.next_op, xattr(item, b"pad", bytes(padding - 4 - 8 - 9 - 4))))
        s.next_op += 1
        plain = b"".join(messages)
        assert len(plain) == WHOLE_RECORD - 16
        s.wait_ack(s.send(plain))
        assert state(world.inbox(f"large-{item}")) == "complete"
        for token in range(2100):
            s.send(peer.ping(token))
        s.first("PONG", token=2099)


# -- what is refused, and what has no effect -----------------------------------------------------


def nested(i, depth, name=b"d", top=b"deep-%d"):
    """MAKEs of folders below each other; the items' numbers."""
    items = [i() for _ in range(depth)]
    names = [top % items[0]] + [name] * (depth - 1)
    return items, [make(item, its, FOLDER, parent=up) for item, its, up in zip(items, names, [0, *items])]


def too_deep(i):
    items, makes = nested(i, 66)
    return makes, {items[64]: 1, items[65]: 8}


def too_long(i):
    """250 bytes and a slash, 16 times: 4016; then 80 bytes and a slash: 4097."""
    items, makes = nested(i, 16, b"l" * 250, b"%0250d")
    fits, over = i(), i()
    return (makes + [make(fits, b"f" * 79, parent=items[-1]), make(over, b"f" * 81, parent=items[-1])]), {over: 1}


def too_deep_by_move(i):
    low, makes = nested(i, 40)
    high, more = nested(i, 40)
    return makes + more + [move(high[0], b"x", parent=low[-1])], {high[0]: 1}


def below_itself(i):
    items, makes = nested(i, 3)
    return makes + [move(items[0], b"x", parent=items[2])], {items[0]: 1}


def into_itself(i):
    items, makes = nested(i, 1)
    return makes + [move(items[0], b"x", parent=items[0])], {items[0]: 1}


def in_a_file(i):
    file, child = i(), i()
    return [make(file, b"file-%d" % file), make(child, b"child", parent=file)], {child: 8}


def moved_into_a_file(i):
    file, child = i(), i()
    return [make(file, b"file-%d" % file), make(child, b"file-%d" % child), move(child, b"x", parent=file)], {child: 8}


def in_a_symlink(i):
    link, child = i(), i()
    return [make(link, b"link-%d" % link, SYMLINK, target=b"anchor"), make(child, b"child", parent=link)], {child: 8}


def in_a_refused_link(i):
    link, child = i(), i()
    return [make(link, b"link-%d" % link, SYMLINK, target=b".."), make(child, b"child", parent=link)], {link: 2, child: 8}


def one(reason, **fields):
    def build(i):
        item = i()
        return [make(item, b"refused-%d" % item, **fields)], {item: reason}
    return build


def moved_to_nobody(i):
    item = i()
    return [make(item, b"moved-%d" % item), move(item, b"x", parent=NOBODYS)], {item: 8}


def in_its_own_number(i):
    item = i()
    return [make(item, b"own", FOLDER, parent=item)], {item: 8}


def nested_escape(i):
    """a/up -> .. stays inside; a/out -> up/../.. would not."""
    folder, up, out, over = i(), i(), i(), i()
    return [make(folder, b"a-%d" % folder, FOLDER), make(up, b"up", SYMLINK, folder, target=b".."),
            make(out, b"out", SYMLINK, folder, target=b"up/../.."), make(over, b"over", SYMLINK, folder, target=b"../..")], \
        {out: 2, over: 2}


REFUSED = {
    "depth 65": too_deep, "path of 4097": too_long, "depth 65 by MOVE": too_deep_by_move, "folder below itself": below_itself,
    "folder into itself": into_itself, "item in itself": in_its_own_number, "parent that does not exist": one(8, parent=NOBODYS),
    "MOVE to a parent that does not exist": moved_to_nobody, "parent that is a file": in_a_file, "MOVE into a file": moved_into_a_file,
    "parent that is a symlink": in_a_symlink, "parent that was refused": in_a_refused_link,
    "absolute symlink": one(2, what=SYMLINK, target=b"/etc/passwd"), "symlink to the root": one(2, what=SYMLINK, target=b"/"),
    "symlink out": one(2, what=SYMLINK, target=b".."), "symlink out and in": one(2, what=SYMLINK, target=b"../81-liar/anchor"),
    "symlink out behind a name": one(2, what=SYMLINK, target=b"anchor/../.."), "symlink out behind a symlink": nested_escape,
}


@pytest.mark.lines(0)
@pytest.mark.parametrize("lie", REFUSED)
def test_item_is_refused_and_the_session_goes_on(world, lie):
    with world.link.connect() as s:
        operations, expected = REFUSED[lie](world.number)
        said = tell(s, list(map(s.op, operations)))
        assert all(values["type"] == "REFUSED" for values in said)
        assert {values["stream"]: values["reason"] for values in said} == expected
        s.leave()


def sizes_refused(world, s, *messages, reason=3):
    """The stream is refused once; its session goes on."""
    said = tell(s, messages)
    assert [values["reason"] for values in said if values["type"] == "REFUSED"] == [reason]
    return said


@pytest.mark.lines(0)
@pytest.mark.parametrize("offset", [2**44, 2**62, LAST - 1], ids=["2^44", "2^62", "2^63-2"])
def test_bytes_beyond_what_the_disk_can_hold_are_refused(world, offset):
    with world.link.connect() as s:
        item = world.number()
        sizes_refused(world, s, s.op(make(item, b"far-%d" % item)), extent(item, 1, offset, b"x"))
        s.send(s.op(drop(item)))
        wait_until(lambda: f"far-{item}" not in os.listdir(world.inbox()), "it to be dropped")
        s.leave()


UNKNOWN = {
    "EXTENT": lambda n: extent(n, 1, 0, b"x"), "HOLE": lambda n: hole(n, 1, 0, 5), "SEAL": lambda n: seal(n, 1, 1),
}


@pytest.mark.lines(0)
@pytest.mark.parametrize("stream", [0, NOBODYS, 2**64 - 1], ids=["0", "2^40", "2^64-1"])
@pytest.mark.parametrize("kind", UNKNOWN)
def test_content_of_unknown_streams_is_refused(world, kind, stream):
    with world.link.connect() as s:
        said = tell(s, [UNKNOWN[kind](stream)])
        assert [(values["type"], values["stream"], values["reason"]) for values in said] == [("REFUSED", stream, 5)]
        s.leave()


@pytest.mark.parametrize("kind", UNKNOWN)
def test_content_of_what_nobody_accepted_ends_the_session(world, kind):
    control = os.path.join(world.node.mount, ".ftx/ctl")
    write(control, f"config {LIAR} accept=ask".encode())
    with world.link.connect() as s:
        item = world.number()
        s.send(s.op(make(item, b"offered-%d" % item)), UNKNOWN[kind](item))
        assert s.wait_end() is None
    assert state(world.inbox(f"offered-{item}")) == "offered" and os.stat(world.inbox(f"offered-{item}")).st_blocks == 0
    os.unlink(world.inbox(f"offered-{item}"))
    write(control, f"config {LIAR} accept=all".encode())


NO_EFFECT = {
    "DROP of an unknown item": lambda i: [drop(NOBODYS)],
    "MOVE of an unknown item": lambda i: [move(NOBODYS, b"moved")],
    "ATTR of an unknown item": lambda i: [attr(NOBODYS, 0o777)],
    "HALT of an unknown item": lambda i: [halt(NOBODYS)],
    "XATTR of an unknown item": lambda i: [xattr(NOBODYS, b"a", b"")],
    "DROP of 2^64-1": lambda i: [drop(2**64 - 1)],
}


@pytest.mark.lines(0)
@pytest.mark.parametrize("lie", NO_EFFECT)
def test_operation_on_unknown_items_changes_nothing(world, lie):
    before = sorted(os.listdir(world.inbox()))
    with world.link.connect() as s:
        assert tell(s, list(map(s.op, NO_EFFECT[lie](world.number)))) == []
        s.leave()
    assert sorted(os.listdir(world.inbox())) == before


@pytest.mark.lines(0)
def test_numbers_that_are_used_twice_or_are_huge(world):
    with world.link.connect() as s:
        item, folder, last = world.number(), world.number(), 2**64 - 1
        assert tell(s, [s.op(make(item, b"first")), s.op(make(item, b"second")), s.op(make(item, b"third", FOLDER)),
                        s.op(make(folder, b"folder", FOLDER)), s.op(make(folder, b"within", FOLDER, parent=folder)),
                        s.op(make(last, b"last")), extent(last, 1, 0, b"x"), seal(last, 1, 1)]) == []
        names = set(os.listdir(world.inbox()))
        assert {"first", "folder", "last"} <= names and not {"second", "third", "within"} & names
        assert os.listdir(world.inbox("folder")) == [] and read(world.inbox("last")) == b"x"
        assert tell(s, [s.op(drop(item)), s.op(drop(item)), s.op(make(item, b"again"))]) == []
        assert "again" in os.listdir(world.inbox()) and "first" not in os.listdir(world.inbox())
        s.leave()


@pytest.mark.lines(0)
def test_a_name_made_twice_is_one_entry(world):
    with world.link.connect() as s:
        file, other, folder, link = (world.number() for _ in range(4))
        assert tell(s, [s.op(make(file, b"twice")), extent(file, 1, 0, b"one"), seal(file, 1, 3)]) == []
        assert tell(s, [s.op(make(other, b"twice"))]) == []
        assert read(world.inbox("twice")) == b"one"  # until the new one is complete
        assert tell(s, [extent(other, 1, 0, b"two"), seal(other, 1, 3)]) == []
        assert read(world.inbox("twice")) == b"two"
        assert tell(s, [s.op(make(folder, b"twice", FOLDER))]) == []
        assert os.path.isdir(world.inbox("twice"))
        assert tell(s, [s.op(make(link, b"twice", SYMLINK, target=b"anchor"))]) == []
        assert os.readlink(world.inbox("twice")) == "anchor"
        assert os.listdir(world.inbox()).count("twice") == 1
        s.leave()


@pytest.mark.lines(0)
def test_longest_names_paths_and_targets_are_taken(world):
    with world.link.connect() as s:
        longest, link = world.number(), world.number()
        items, makes = nested(world.number, 64)
        target = b"t" * 4095
        assert tell(s, [s.op(make(longest, b"\xff" * 255)), s.op(make(link, b"long target", SYMLINK, target=target)),
                        *map(s.op, makes)]) == []
        assert os.fsdecode(b"\xff" * 255) in os.listdir(world.inbox())
        assert os.readlink(world.inbox("long target")) == target.decode()
        assert os.path.isdir(world.inbox(f"deep-{items[0]}", *["d"] * 63))
        assert tell(s, [s.op(drop(link))]) == []
        s.leave()


@pytest.mark.lines(0)
def test_content_for_folders_and_symlinks_is_refused_or_dropped(world):
    with world.link.connect() as s:
        folder, link = world.number(), world.number()
        tell(s, [s.op(make(folder, b"a folder", FOLDER)), s.op(make(link, b"a link", SYMLINK, target=b"anchor")),
                 *[message for item in (folder, link) for message in
                   (extent(item, 1, 0, b"x"), hole(item, 1, 1, 5), peer.size(item, 1, 9), seal(item, 1, 6))]])
        assert os.path.isdir(world.inbox("a folder")) and os.readlink(world.inbox("a link")) == "anchor"
        s.leave()


# -- lies about versions and seals ---------------------------------------------------------------


def made(world, s, *messages):
    """A new file with these messages (each given its number) in the record that makes it; its number, its path, what was said."""
    item = world.number()
    said = tell(s, [s.op(make(item, b"sealed-%d" % item)), *[message(item) for message in messages]])
    return item, world.inbox(f"sealed-{item}"), said


def of_type(said, kind):
    return [values for values in said if values["type"] == kind]


@pytest.mark.lines(0)
@pytest.mark.parametrize("size", [20, 2**43, LAST], ids=["20", "2^43", "2^63-1"])
def test_seal_of_more_than_came_is_missing(world, size):
    with world.link.connect() as s:
        item, path, said = made(world, s, lambda i: extent(i, 1, 5, b"0123456789"), lambda i: seal(i, 1, size))
        assert [values["ranges"] for values in said] == [[[0, 5], [15, size - 15]]] and said[0]["type"] == "MISSING"
        assert state(path) == "arriving"
        assert tell(s, [extent(item, 2, 0, b"abcde"), hole(item, 2, 15, size - 15), seal(item, 2, size)]) == []
        wait_state(path, "complete")
        with open(path, "rb") as file:
            assert os.stat(path).st_size == size and os.stat(path).st_blocks <= 16
            assert file.read(20) == b"abcde0123456789" + bytes(5)
            assert os.pread(file.fileno(), 5, size - 5) == bytes(5)
        s.leave()


@pytest.mark.lines(0)
def test_sizes_that_are_only_shown_reserve_nothing(world):
    with world.link.connect() as s:
        before = os.statvfs(world.node.mount).f_bfree
        _, path, said = made(world, s, lambda i: extent(i, 1, 0, b"x", size_now=LAST), lambda i: peer.size(i, 1, LAST),
                             lambda i: hole(i, 1, 2**40, 2**60))
        assert said == []
        assert os.stat(path).st_size >= 2**60 and os.stat(path).st_blocks <= 16
        assert abs(before - os.statvfs(world.node.mount).f_bfree) * 4096 < 1 << 30
        s.leave()


@pytest.mark.lines(0)
def test_what_is_not_newer_than_the_sealed_version_is_ignored(world):
    """Versions begin at 1, so 0 is never newer."""
    with world.link.connect() as s:
        item, path, said = made(world, s, lambda i: extent(i, 0, 0, b"zero"), lambda i: seal(i, 0, 4))
        assert said == [] and state(path) == "arriving"
        assert tell(s, [extent(item, 3, 0, b"three"), seal(item, 3, 5)]) == []
        for version in (0, 1, 3):
            assert tell(s, [extent(item, version, 0, b"other")]) == []
            assert tell(s, [seal(item, version, 2)]) == []
            assert tell(s, [hole(item, version, 0, 5), seal(item, version, 5), seal(item, version, 5)]) == []
        assert state(path) == "complete" and read(path) == b"three"
        assert tell(s, [extent(item, 2**32 - 1, 0, b"last!"), seal(item, 2**32 - 1, 5)]) == []
        assert tell(s, [extent(item, 2**32 - 1, 0, b"again"), seal(item, 2**32 - 1, 5)]) == []
        assert state(path) == "complete" and read(path) == b"last!"
        s.leave()


@pytest.mark.lines(0)
def test_sealed_twice_and_extents_behind_the_seal_in_one_record(world):
    """Whatever it makes of such a record, one version is shown, as a whole."""
    with world.link.connect() as s:
        _, path, said = made(world, s, lambda i: extent(i, 1, 0, b"xy"), lambda i: seal(i, 1, 2), lambda i: seal(i, 1, 1))
        assert said == [] and read(path) == b"xy"
        _, path, said = made(world, s, lambda i: extent(i, 1, 0, b"one"), lambda i: seal(i, 1, 3), lambda i: extent(i, 1, 0, b"two"))
        assert said == [] and read(path) in (b"one", b"two")
        item, path, said = made(world, s, lambda i: extent(i, 1, 0, b"one"), lambda i: seal(i, 1, 3), lambda i: extent(i, 2, 0, b"T"))
        assert said == [] and (state(path) == "arriving" or read(path) == b"one")
        assert tell(s, [seal(item, 2, 3)]) == [] and read(path) == b"Tne"
        s.leave()


@pytest.mark.lines(0)
def test_extents_that_overlap_in_one_record(world):
    with world.link.connect() as s:
        _, path, said = made(world, s, lambda i: extent(i, 1, 0, b"aaaa"), lambda i: extent(i, 1, 2, b"bbbb"),
                             lambda i: hole(i, 1, 1, 2), lambda i: seal(i, 1, 6))
        assert said == [] and read(path) == b"a\0\0bbb"
        s.leave()


@pytest.mark.lines(0)
def test_holes_of_one_byte_in_great_number(world):
    with world.link.connect() as s:
        n, before = 100_000, memory(world.node)
        item, path, _ = made(world, s)
        for at in range(0, n, 20_000):
            s.send(*[hole(item, 1, 2 * place, 1) for place in range(at, at + 20_000)])
        s.wait_ack(s.out.count - 1)
        assert memory(world.node) - before < 40
        said = tell(s, [seal(item, 1, 2 * n)])
        assert len(of_type(said, "MISSING")) == 1 and len(said[0]["ranges"]) <= 4096
        s.leave()
    with world.link.connect() as s:  # it tells what it has of it
        ranges = [each for values in s.messages if values["type"] == "HAVE" and values["stream"] == item for each in values["extents"]]
        assert len(ranges) == n
        s.send(s.op(drop(item)))
        wait_until(lambda: not os.path.exists(path), "it to be dropped")
        s.leave()


@pytest.mark.lines(0)
@pytest.mark.parametrize("time_ns", [-2**63, -1, LAST], ids=["-2^63", "-1", "2^63-1"])
def test_any_time_is_a_time(world, time_ns):
    with world.link.connect() as s:
        item = world.number()
        assert tell(s, [s.op(make(item, b"time-%d" % item, mtime=time_ns, when=time_ns)), seal(item, 1, 0, mtime=time_ns)]) == []
        assert os.stat(world.inbox(f"time-{item}")).st_mtime_ns == time_ns == os.stat(world.inbox()).st_mtime_ns
        s.leave()


def test_attributes_beyond_the_limits_cost_one_line_in_the_log(world):
    with world.link.connect() as s:
        item, _, _ = made(world, s, lambda i: seal(i, 1, 0))
        for _ in range(4):
            assert tell(s, [s.op(xattr(item, b"n%d" % number, b"value")) for number in range(2000)]) == []
        path = world.inbox(f"sealed-{item}")
        assert len(os.listxattr(path)) == 256
        assert tell(s, [s.op(xattr(item, b"large", bytes(65000)))]) == []
        assert len(os.listxattr(path)) == 256
        s.leave()


# -- at the end ----------------------------------------------------------------------------------


@pytest.mark.lines(0)
def test_no_symlink_leads_out(world):
    top = os.path.realpath(world.inbox())
    links = [os.path.join(folder, name) for folder, folders, names in os.walk(top) for name in folders + names
             if os.path.islink(os.path.join(folder, name))]
    assert links
    for path in links:
        with contextlib.suppress(OSError):  # ENAMETOOLONG
            assert (os.path.realpath(path) + "/").startswith(top + "/"), path


@pytest.mark.limit(120)
@pytest.mark.lines(0)
def test_silence_is_noticed(world, silent):
    """A handshake without a first record ends with its deadline, a session that nothing comes from after 45 s."""
    for (s, since), limit in zip(silent, (10, 45, 45)):
        s.acknowledge = False
        s._handle = lambda values: None  # no answer to PING
        s.wait_end(max(1, limit + 5 - (time.monotonic() - since)) * SLOW)
        s.connection.close()
