# SPDX-License-Identifier: MIT
"""A relay looks at the first frame of a client before it is read (RFC 6455 5.1), by ws:// and by wss://: who does not mask is refused, and nobody else is the worse for it."""
import socket
import ssl
import struct

import pytest
from clients import assert_passes, certificate, frame, join, pair, running


@pytest.fixture(params=["ws", "wss"])
def relay(request, tmp_path):
    options = ("--cert", *certificate(tmp_path)) if request.param == "wss" else ()
    with running("--joins", "1000", *options) as it:
        if options:
            it.trust = ssl.create_default_context(cafile=options[1])
        yield it


def trickle(relay, client, data):
    """Each byte by itself: the relay has seen the one before."""
    for byte in data:
        client.send(bytes([byte]))
        assert relay.get("/health")[0] == 200


@pytest.mark.parametrize("kind", [1, 2, 8, 9, 10])
def test_first_frame_without_a_mask_ends_its_sender_alone(relay, kind):
    others = pair(relay, "others")
    s, r = pair(relay, "7")
    s.send(frame(kind, b"plain", masked=False) + frame(2, b"masked"))
    assert s.end() == 1002
    assert r.end() == 1000
    assert relay.refused("frame") == 1
    assert_passes(*others)


def test_who_waits_must_mask_too(relay):
    early = join(relay, "7", "s")
    assert early.word() == "waiting"
    early.send(frame(10, masked=False))
    assert early.end() == 1002
    assert relay.refused("frame") == 1
    assert_passes(*pair(relay, "7"))


def test_frame_without_a_mask_is_refused_byte_by_byte(relay):
    s, r = pair(relay, "7")
    trickle(relay, s, frame(2, b"plain", masked=False)[:2])
    assert s.end() == 1002
    assert r.end() == 1000


def test_masked_frame_is_taken_byte_by_byte(relay):
    s, r = pair(relay, "7")
    trickle(relay, s, frame(2, b"masked"))
    assert r.bytes(6) == b"masked"
    assert_passes(s, r)


def test_frames_right_behind_the_answer_are_taken(relay):
    early = join(relay, "7", "s")
    early.send(frame(9, b"there?"))
    assert {early.frame(), early.frame()} == {(1, b"waiting"), (10, b"there?")}
    late = join(relay, "7", "r")
    assert (early.word(), late.word()) == ("paired", "paired")
    assert_passes(early, late)


def test_frames_in_one_piece_with_the_first_are_taken(relay):
    s, r = pair(relay, "7")
    data = bytes(range(256)) * 600
    s.send(b"".join(frame(2, data[at:at + 1000]) for at in range(0, len(data), 1000)))
    assert r.bytes(len(data)) == data
    assert_passes(s, r)


@pytest.mark.parametrize("masked", [True, False])
def test_bytes_together_with_the_request_are_refused(relay, masked):
    early = join(relay, "7", "s", behind=frame(2, b"too early", masked=masked))
    assert early.end() == 1008
    assert relay.refused("frame") == 1


def test_who_never_sends_gets_everything(relay):
    s, r = pair(relay, "7")
    for number in range(3):
        r.send(frame(2, bytes([number]) * 100_000))
        assert s.bytes(100_000) == bytes([number]) * 100_000
    assert relay.metric("pairs") == 1
    assert_passes(s, r)


@pytest.mark.parametrize("sent", [b"", b"\x82"], ids=["nothing", "half a head"])
@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
def test_end_before_the_first_frame_is_seen(relay, sent, reset):
    s, r = pair(relay, "7")
    if sent:
        trickle(relay, s, sent)
    if reset:
        s.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    assert r.end() == 1000
    assert relay.refused("frame") == 0
