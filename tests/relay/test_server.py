# SPDX-License-Identifier: MIT
"""What ftx-relay promises its clients and operators."""
import json
import os
import resource
import signal
import socket
import ssl
import subprocess

import pytest
from clients import (RELAY, Client, Refused, assert_passes, certificate, frame, join, pair, running, wait_until)
from harness import scaled


def test_pairs_and_pipes_both_ways():
    with running() as relay:
        s, r = pair(relay, "7-guitar")
        assert f"ftx-address: 127.0.0.1:{s.socket.getsockname()[1]}\r\n".encode() in s.head.lower()
        assert_passes(s, r)
        r.send(frame(2, b"in ", last=False) + frame(9, b"ping") + frame(0, b"parts"))
        assert s.bytes(8) == b"in parts"
        assert relay.metric("pairs") == 1 and relay.metric("bytes_total") == 2008


def test_bytes_before_the_end_arrive_then_the_end():
    with running() as relay:
        s, r = pair(relay, "7")
        data = os.urandom(100_000)
        s.send(frame(2, data))
        s.close()
        assert r.bytes(len(data)) == data
        assert r.end() == 1000


@pytest.fixture
def descriptors():
    """Enough of them for all clients of a crowd."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < 5000:
        pytest.skip(f"{before[1]} descriptors are not enough")
    resource.setrlimit(resource.RLIMIT_NOFILE, (5000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_two_thousand_idle_pairs_take_less_than_200_mib(descriptors):
    with running("--joins", "60000") as relay:
        pairs = [pair(relay, f"idle-{number}") for number in range(scaled(2000))]
        assert relay.metric("pairs") == len(pairs)
        assert relay.resident_mib() < 200
        assert_passes(*pairs[0])
        for s, r in pairs:
            s.close()
            r.close()
        wait_until(lambda: relay.metric("pairs") == 0, "all of them to be gone")


def test_room_can_be_used_again():
    with running() as relay:
        for _ in range(3):
            s, r = pair(relay, "7")
            s.close()
            assert r.end() == 1000
            r.close()


def test_other_requests_are_refused():
    with running() as relay:
        for path in ("/v1/room/{}", "/v1/room/{}?role={}x", "/v1/room/{}/x?role={}", "/v1/room/A{}?role={}", "/{}{}", "/v1/room/?role={1}"):
            with pytest.raises(Refused) as refused:
                Client(relay.port).upgrade("7", "s", path=path)
            assert refused.value.args == (404, "request")
        assert relay.get("/other")[0] == 404


def test_health_and_metrics():
    with running() as relay:
        s, _ = pair(relay, "7")
        waiting = join(relay, "8", "s")
        assert waiting.word() == "waiting"
        status, text = relay.get("/health")
        health = json.loads(text)
        assert (status, health["status"], health["pairs"], health["waiting"]) == (200, "ok", 1, 1)
        assert relay.metric("rooms") == 2 and relay.metric("joins_total") == 3
        s.send(frame(2, bytes(12345)))
        _.bytes(12345)
        assert relay.metric("bytes_total") == 12345
        for line in relay.get("/metrics")[1].splitlines():
            assert line.startswith(("# HELP ftx_relay_", "# TYPE ftx_relay_", "ftx_relay_")), line


def test_only_with_a_token(tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("# ours\nsecret-1\nsecret-2\n")
    with running("--token", str(tokens)) as relay:
        for token in (None, "secret", "secret-11"):
            with pytest.raises(Refused) as refused:
                join(relay, "7", "s", token=token)
            assert refused.value.args == (401, "token")
        assert relay.refused("token") == 3
        assert_passes(*pair(relay, "7", token="secret-2"))
        assert relay.get("/health")[0] == 200  # balancers have none


def test_only_from_allowed_networks():
    with running("--allow", "10.0.0.0/8,127.0.0.2/32", listen="127.0.0.2:0") as relay:
        stranger = Client(relay.port, relay.host, source="127.0.0.1")
        assert stranger.end() is None  # before a byte was read
        assert_passes(*pair(relay, "7", sources=("127.0.0.2", "127.0.0.2")))


def test_listens_only_where_it_was_told():
    with running(listen="127.0.0.3:0") as relay:
        with pytest.raises(ConnectionRefusedError):
            Client(relay.port)
        assert_passes(*pair(relay, "7"))


def test_ws_and_wss_on_one_port(tmp_path):
    cert, _, key = certificate(tmp_path)
    with running("--cert", cert, "--key", key) as relay:
        s = Client(relay.port)
        s.secure(ssl.create_default_context(cafile=cert))
        s.upgrade("7", "s")
        assert s.word() == "waiting"
        r = join(relay, "7", "r")
        assert (s.word(), r.word()) == ("paired", "paired")
        assert_passes(s, r)


def test_drains_on_sigterm():
    with running() as relay:
        s, r = pair(relay, "7")
        waiting = join(relay, "8", "s")
        assert waiting.word() == "waiting"
        relay.signal(signal.SIGTERM)
        assert waiting.end() == 1001
        waiting.close()
        assert relay.get("/health")[0] == 503
        with pytest.raises(Refused) as refused:
            join(relay, "9", "s")
        assert refused.value.args == (503, "drain")
        assert_passes(s, r)  # pairs go on
        s.close()
        assert r.end() == 1000
        r.close()
        assert relay.wait() == 0
        relay.close = lambda: None


def test_drain_ends_pairs_in_time():
    with running("--drain", "1") as relay:
        s, r = pair(relay, "7")
        relay.signal(signal.SIGTERM)
        assert relay.wait() == 0
        assert s.end() is None and r.end() is None
        relay.close = lambda: None


def test_bad_options_are_told(tmp_path):
    empty = tmp_path / "empty"
    empty.write_text("\n")
    for options, word in ((["--listen", "nowhere:x"], "HOST:PORT"), (["--cert", "x"], "--key"), (["--allow", "1.2.3.4/40"], "range"), (["--joins", "0"], "number"),
                          (["--token", str(empty)], "token"), (["--token", "/nowhere"], "No such file"), (["extra"], "only options"), (["--what"], "no such option")):
        done = subprocess.run([RELAY, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20, check=False)
        assert done.returncode == 2 and word in done.stderr.decode(), (options, done.stderr)


def test_a_taken_port_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run([RELAY, "--listen", f"127.0.0.1:{taken.getsockname()[1]}"], stderr=subprocess.PIPE, timeout=20, check=False)
        assert done.returncode == 1 and b"in use" in done.stderr


def test_links_no_payload_crypto():
    linked = subprocess.run(["ldd", RELAY], stdout=subprocess.PIPE, check=True).stdout.decode()
    assert "libwebsockets" in linked and "sodium" not in linked and "sqlite" not in linked and "fuse" not in linked
    symbols = subprocess.run(["nm", RELAY], stdout=subprocess.PIPE, check=True).stdout.decode()
    assert "ftx_rooms_join" in symbols
    for part in ("ftx_noise", "ftx_cpace", "ftx_record", "ftx_identity", "ftx_suite", "ftx_engine", "ftx_session"):
        assert part not in symbols


def test_balancers_speak_for_their_clients():
    """X-Forwarded-For counts from those who may say it, and from nobody else."""
    def join_as(relay, room, address):
        client = Client(relay.port)
        client.upgrade(room, "s", path="/v1/room/{}?role={} HTTP/1.1\r\nX-Forwarded-For: 9.9.9.9, " + address + "\r\nX-Rest:")
        return client

    with running("--joins", "1", "--proxies", "127.0.0.0/8") as relay:
        assert b"ftx-address" not in join_as(relay, "1", "192.0.2.1").head.lower()  # whose port is not known
        assert b"ftx-address: [2001:db8::1]:5000\r\n" in join_as(relay, "2", "[2001:db8::1]:5000").head.lower()
        with pytest.raises(Refused) as refused:
            join_as(relay, "3", "192.0.2.1")
        assert refused.value.args == (429, "source")
    with running("--joins", "1") as relay:
        join_as(relay, "1", "192.0.2.1")
        with pytest.raises(Refused):
            join_as(relay, "2", "192.0.2.2")


