# SPDX-License-Identifier: MIT
"""What strangers may try against a relay (THREATS: relay abuse): others are served all the while, and memory stays where it was."""
import contextlib
import os
import select
import signal
import threading

import pytest
from clients import (Client, Closed, Refused, assert_passes, certificate, frame, join, pair, running, wait_until)
from harness import SANITIZED, scaled

ENOUGH_MIB = 200 if SANITIZED else 40  # of the whole relay


def ended(client):
    """True once the relay has closed it."""
    client.socket.setblocking(False)
    try:
        return client.socket.recv(4096) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize("start, trickle, secure", [(b"", b"", False), (b"GET /v1/room/7?role=s HTTP/1.1\r\nX: ", b"x", False),
                                                    (b"\x16\x03\x01\x02\x00\x01", b"", True)], ids=["silent", "trickle", "half a hello"])
def test_slow_handshakes_end_whatever_they_trickle(tmp_path, start, trickle, secure):
    options = ("--cert", *certificate(tmp_path)) if secure else ()
    with running("--handshake_time", "1", *options) as relay:
        slow = [Client(relay.port) for _ in range(16)]
        for client in slow:
            client.send(start)
        with pytest.raises((Closed, Refused)):
            join(relay, "7", "s")  # no more of that source
        assert_passes(*pair(relay, "7", sources=("127.0.0.2", "127.0.0.3")))

        def all_ended():
            for client in slow:
                with contextlib.suppress(OSError):
                    client.socket.send(trickle)
            return all(map(ended, slow))
        wait_until(all_ended, "the relay to end them")
        assert relay.refused("late") == 16
        assert_passes(*pair(relay, "8"))


def test_squatters_keep_nobody_out_of_rooms_that_wait():
    with running("--waiting", "8", "--wait", "2", "--joins", "1000") as relay:
        first = join(relay, "mine", "s", source="127.0.0.2")
        assert first.word() == "waiting"
        squatters = [join(relay, f"squat-{number}", "s") for number in range(7)]
        with pytest.raises(Refused) as refused:
            join(relay, "one-more", "s")
        assert refused.value.args == (503, "waiting")
        second = join(relay, "mine", "r", source="127.0.0.3")
        assert (first.word(), second.word()) == ("paired", "paired")
        assert {client.end() for client in squatters} == {1001}  # their time is over
        assert relay.refused("expired") == 7
        assert_passes(first, second)
        assert_passes(*pair(relay, "one-more"))


def test_waiter_is_not_evicted():
    with running() as relay:
        first = join(relay, "7", "s")
        assert first.word() == "waiting"
        for _ in range(5):
            with pytest.raises(Refused) as refused:
                join(relay, "7", "s", source="127.0.0.2")
            assert refused.value.args == (409, "taken")
        second = join(relay, "7", "r")
        assert (first.word(), second.word()) == ("paired", "paired")


def test_third_party_is_refused():
    with running() as relay:
        s, r = pair(relay, "7")
        for role in "sr":
            with pytest.raises(Refused) as refused:
                join(relay, "7", role, source="127.0.0.2")
            assert refused.value.args == (409, "taken")
        assert relay.refused("taken") == 2
        assert_passes(s, r)


def test_thirty_joins_a_minute_from_one_source_and_to_one_room():
    with running() as relay:
        for number in range(30):
            join(relay, f"room-{number}", "s").close()
        with pytest.raises(Refused) as refused:
            join(relay, "room-30", "s")
        assert refused.value.args == (429, "source")
        for number in range(29):
            try:
                join(relay, "room-0", "s", source=f"127.0.1.{number + 1}").close()
            except Refused as taken:  # the one before has not left yet
                assert taken.args == (409, "taken")
        with pytest.raises(Refused) as refused:
            join(relay, "room-0", "s", source="127.0.1.200")
        assert refused.value.args == (429, "room")


def test_frames_that_are_not_of_the_protocol_end_their_sender_alone():
    bad = {"text": frame(1, b"hello"), "long ping": frame(9, bytes(126)), "ping in parts": frame(9, b"x", last=False), "reserved kind": frame(3, b"x"),
           "reserved bit": bytes([0xc2]) + frame(2, b"x")[1:], "nothing to go on with": frame(0, b"x"), "length": frame(2, claimed=1 << 63)}
    with running("--joins", "1000") as relay:
        others = pair(relay, "others")
        for number, (name, data) in enumerate(bad.items()):
            s, r = pair(relay, f"bad-{number}")
            s.send(data)
            assert s.end() in (None, 1002, 1008), name
            s.close()
            assert r.end() == 1000, name
        assert_passes(*others)


def test_bytes_before_the_pair_end_their_sender():
    with running() as relay:
        early = join(relay, "7", "s")
        early.send(frame(2, b"too early"))
        assert early.word() == "waiting"
        assert early.end() == 1008
        assert relay.refused("frame") == 1


def test_oversized_frames_cost_no_memory():
    with running() as relay:
        s, r = pair(relay, "7")
        s.send(frame(2, bytes(100_000), claimed=(1 << 63) - 1))
        assert r.bytes(100_000) == bytes(100_000)
        assert relay.resident_mib() < ENOUGH_MIB
        s.close()
        assert r.end() == 1000


def test_ten_thousand_joins():
    n_joins, n_threads = scaled(10_000), 8
    admitted = []

    def flood(number):
        for each in range(n_joins // n_threads):
            try:
                join(relay, f"flood-{number}-{each}", "s").close()
                admitted.append(number)
            except (Closed, Refused, OSError):
                pass

    with running() as relay:
        threads = [threading.Thread(target=flood, args=(number,)) for number in range(n_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(admitted) < 100  # thirty, and what the time that passed adds
        assert relay.resident_mib() < ENOUGH_MIB
        assert_passes(*pair(relay, "7", sources=("127.0.0.2", "127.0.0.3")))


def test_reader_that_stops_bounds_its_sender_and_gets_everything_later():
    with running() as relay:
        s, r = pair(relay, "7")
        others = pair(relay, "others")
        data, sent = os.urandom(1 << 20), 0
        whole = frame(2, data)
        s.socket.setblocking(False)
        stream = bytearray()
        while True:
            stream += b"" if stream else whole
            try:
                taken = s.socket.send(stream)
                sent += taken
                del stream[:taken]
            except BlockingIOError:
                if not wait_writable(s.socket):
                    break
        assert relay.resident_mib() < ENOUGH_MIB
        assert_passes(*others)
        s.socket.settimeout(None)
        rest = threading.Thread(target=s.send, args=(bytes(stream),))
        rest.start()
        for _ in range((sent + len(stream)) // len(whole)):
            assert r.bytes(len(data)) == data
        rest.join()
        assert_passes(s, r)


def wait_writable(writer):
    """False when nothing has moved for a while: full all the way."""
    return bool(select.select([], [writer], [], 1.0)[1])


def test_who_waits_shows_that_it_lives():
    with running("--ping", "1") as relay:
        silent, alive = join(relay, "silent", "s"), join(relay, "alive", "s")
        assert (silent.word(), alive.word()) == ("waiting", "waiting")
        answering = threading.Thread(target=alive.end)
        answering.start()
        wait_until(lambda: relay.metric("waiting") == 1, "the silent one to be sent away")
        assert silent.end() == 1001
        wait_until(lambda: alive.n_pings > 2, "pings")
        assert relay.metric("waiting") == 1
        second = join(relay, "alive", "r")
        assert second.word() == "paired"
        second.close()
        answering.join()


def test_quota_of_a_room():
    with running("--room_bytes", "1000") as relay:
        s, r = pair(relay, "7")
        s.send(frame(2, bytes(1000)))
        assert r.bytes(1000)
        r.send(frame(2, b"x"))
        assert r.end() == 1008
        assert s.end() == 1000
        assert relay.refused("quota") == 1


def test_killed_relay_is_seen_at_once():
    with running() as relay:
        ends = pair(relay, "7")
        relay.signal(signal.SIGKILL)
        assert [end.end() for end in ends] == [None, None]
        relay.close = lambda: None
