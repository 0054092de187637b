# SPDX-License-Identifier: MIT
"""Strangers on the port: garbage, edited Hellos, slow and idle connections end quietly; the daemon and its links live on."""
import contextlib
import os
import socket
import struct
import time

import pytest

import ftxp
import trees
from harness import CODE, MIB, SLOW, state, wait_state, wait_until

DEADLINE_S = 10  # of a handshake, absolute


def ended(connection):
    """The other end has closed or reset; what it says before that is dropped."""
    try:
        while True:
            if not connection.recv(4096, socket.MSG_DONTWAIT):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def descriptors(node):
    if os.geteuid() != 0:
        return 0  # the process may not be looked into
    return len(os.listdir(f"/proc/{node.process.pid}/fd"))


def strangers_hellos(nonce):
    good = ftxp.hello(ftxp.PAIR, ftxp.RECEIVER, nonce=nonce)
    yield "garbage", trees.random_bytes(4096)
    yield "zeros", bytes(4096)
    yield "HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    yield "TLS", bytes.fromhex("160301020001") + trees.random_bytes(500)
    yield "magic", ftxp.hello(ftxp.PAIR, ftxp.RECEIVER, magic=b"FTXQ")
    yield "version too new", ftxp.hello(ftxp.PAIR, ftxp.RECEIVER, versions=(2, 9))
    yield "version range upside down", ftxp.hello(ftxp.PAIR, ftxp.RECEIVER, versions=(2, 1))
    yield "mode 0", ftxp.hello(0, ftxp.RECEIVER)
    yield "mode 3", ftxp.hello(3, ftxp.RECEIVER)
    yield "role 0", ftxp.hello(ftxp.PAIR, 0)
    yield "role 3", ftxp.hello(ftxp.PAIR, 3)
    yield "reserved", ftxp.hello(ftxp.PAIR, ftxp.RECEIVER, reserved=1)
    yield "length too small", ftxp.hello(ftxp.PAIR, ftxp.RECEIVER, length=41)
    yield "length 0", ftxp.hello(ftxp.PAIR, ftxp.RECEIVER, length=0)
    yield "unknown label", ftxp.hello(ftxp.PAIR, ftxp.RECEIVER, label=b"99")
    yield "unknown link", ftxp.hello(ftxp.RESUME, ftxp.RECEIVER, hint=bytes(16))
    yield "paired code", good
    yield "resume as S", ftxp.hello(ftxp.RESUME, ftxp.SENDER, hint=trees.random_bytes(16))
    yield "record at once", struct.pack("<I", 0xffffffff) + bytes(64)


@pytest.mark.limit(120)
def test_strangers_are_dropped_in_time_and_nothing_else_happens(shared_pair):
    """All at once: wrong Hellos, good ones cut short anywhere, silence, a trickle. Every connection is over within the deadline."""
    pair, nonce = shared_pair, trees.random_bytes(16)
    before = descriptors(pair.b)
    with contextlib.ExitStack() as stack:
        def dial(number):
            connection = stack.enter_context(ftxp.connect(pair.b.port, f"127.0.1.{1 + number % 250}"))
            connection.setblocking(False)
            return connection
        start, open_ones = time.monotonic(), {}
        for number, (name, data) in enumerate(strangers_hellos(nonce)):
            connection = dial(number)
            with contextlib.suppress(OSError):
                connection.send(data)
            open_ones[name] = connection
        hello = ftxp.hello(ftxp.PAIR, ftxp.RECEIVER, nonce=nonce)
        for cut in (0, 1, 4, 5, 9, 25, 41):
            connection = dial(100 + cut)
            connection.send(hello[:cut])
            open_ones[f"{cut} bytes"] = connection
        trickle, sent = dial(200), 0
        open_ones["trickle"] = trickle
        assert pair.a.running() and pair.b.running()
        pair.send_file("during", b"the link works meanwhile")

        def all_over():
            nonlocal sent
            if sent < min(41, int((time.monotonic() - start) * 2)):  # one byte each half second: the deadline does not move
                with contextlib.suppress(OSError):
                    trickle.send(hello[sent:sent + 1])
                sent += 1
            for name in [name for name, connection in open_ones.items() if ended(connection)]:
                del open_ones[name]
            return not open_ones
        try:
            wait_until(all_over, "all strangers to be dropped", DEADLINE_S + 5)
        except AssertionError as error:
            raise AssertionError(f"{error}; still open: {sorted(open_ones)}") from None
    wait_until(lambda: descriptors(pair.b) <= before + 1, "their descriptors to be closed")
    assert state(pair.got()) == "connected" and state(pair.sent()) == "connected"
    pair.send_file("after", b"and afterwards")


def test_a_hello_for_the_wrong_role_of_an_armed_code(make_node):
    """Who meets a code as S while it is S too is told nothing, and the code stays usable."""
    node = make_node().start()
    os.mkdir(node.outbox(CODE))
    with ftxp.connect(node.port) as connection:
        connection.sendall(ftxp.hello(ftxp.PAIR, ftxp.SENDER) + bytes(32))
        wait_until(lambda: ended(connection), "the end", DEADLINE_S + 3)
    assert ftxp.guess(node.port, CODE.encode(), ftxp.RECEIVER)


@pytest.mark.parametrize("share", [
    bytes(32), b"\xff" * 32, b"\x01" + bytes(31),
], ids=["identity", "not canonical", "not a point"])
def test_invalid_points_end_a_pairing_and_cost_no_guess(make_node, share):
    node = make_node().start()
    os.mkdir(node.outbox(CODE))
    for number in range(11):
        with ftxp.connect(node.port, f"127.0.2.{1 + number}") as connection:
            connection.sendall(ftxp.hello(ftxp.PAIR, ftxp.RECEIVER))
            ftxp.receive_hello(connection)
            ftxp.receive(connection, 32)
            connection.sendall(share)
            with pytest.raises(OSError):
                ftxp.receive(connection, 64)  # no tag for these
    assert state(node.outbox(CODE)) != "locked"
    assert ftxp.guess(node.port, CODE.encode(), ftxp.RECEIVER)


def test_an_edited_hello_fails_and_the_next_try_works(make_pair):
    """A middleman widens the version range: both Hellos are in the key exchange, so it fails; the ends try again by themselves."""
    pair = make_pair(connect=False, through_proxy=True)
    pair.proxy.flip("up", 6)  # version_max 1 becomes 17: a valid Hello, but not the one that was sent
    pair.connect()
    pair.send_file("works", b"x")


def test_every_message_of_a_session_damaged_once(make_pair):
    """A flipped bit in the handshake messages and in the first records: reconnect, and all arrives."""
    pair = make_pair(through_proxy=True)
    hello, noise, length, box = 20, 60, 93, 100  # bytes of a RESUME: 42 + 48, then records of 4 + n
    for direction, offset in [("up", hello), ("up", noise), ("up", length), ("up", box), ("down", hello), ("down", noise), ("down", box)]:
        pair.proxy.cut()
        wait_state(pair.sent(), "offline")
        wait_state(pair.got(), "offline")
        connections = pair.proxy.n_connections
        pair.proxy.flip(direction, pair.proxy.count[direction] + offset)
        pair.proxy.restore()
        pair.send_file(f"{direction}-{offset}", b"arrives all the same")
        assert pair.proxy.n_connections >= connections + 2


def test_oversized_record_length(make_pair):
    """The length of a record is the only plain field of a session: made huge, it must end the connection, not the memory."""
    pair = make_pair(through_proxy=True)
    pair.send_file("before", b"x")
    connections = pair.proxy.n_connections
    pair.proxy.flip("up", pair.proxy.count["up"] + 3)  # top byte of the next record's length: 256 MiB
    pair.send_file("next", trees.random_bytes(3 * MIB))
    pair.wait_connected()
    wait_until(lambda: pair.proxy.n_connections > connections, "a new connection", 60)
    with open(f"/proc/{pair.b.process.pid}/status", encoding="ascii") as file:
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
    assert peak < 300_000 * SLOW


def test_a_hundred_idle_connections_do_not_stop_pairing(make_node):
    a, b = make_node("A", listen=False), make_node("B")
    a.peers = [b.port]
    a.start()
    b.start()
    with contextlib.ExitStack() as stack:
        for number in range(100):
            stack.enter_context(ftxp.connect(b.port, f"127.0.3.{1 + number % 10}"))
        os.mkdir(b.inbox(CODE))
        os.mkdir(a.outbox(CODE))
        wait_state(a.outbox(CODE), "connected", timeout=15)
    wait_state(b.inbox(CODE), "connected")
