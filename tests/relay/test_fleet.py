# SPDX-License-Identifier: MIT
"""Three relays behind HAProxy, with the configuration that docs/relay.md gives: a pair whose relay dies meets again on another."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest
from clients import (Client, Closed, Refused, assert_passes, frame, running, wait_until)  # which finds the next two
import trees
from harness import CODE, Node, state, wait_state

DOC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/relay.md")
PIECE = 64 << 10
HAPROXY = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") or "haproxy"  # users have it on no path


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def configuration(port, relays):
    """The document's, but for its size, where it listens and where its servers are."""
    with open(DOC, encoding="utf-8") as doc:
        text = re.search(r"```haproxy\n(.*?)```", doc.read(), re.S).group(1)
    text = text.replace("maxconn 40000", "maxconn 400")
    text, n_binds = re.subn(r"bind :443 .*", f"bind 127.0.0.1:{port}", text)
    for number, relay in enumerate(relays, 1):
        text, n_servers = re.subn(rf"server relay-{number} \S+", f"server relay-{number} 127.0.0.1:{relay.port}", text)
        assert n_servers == 1
    assert n_binds == 1
    return text


@contextlib.contextmanager
def fleet(tmp_path):
    """Three relays and the port of the balancer before them."""
    with contextlib.ExitStack() as stack:
        relays = [stack.enter_context(running("--proxies", "127.0.0.1/32", "--allow", "127.0.0.1/32", "--joins", "1000")) for _ in range(3)]
        port = free_port()
        path = tmp_path / "haproxy.cfg"
        path.write_text(configuration(port, relays))
        balancer = subprocess.Popen([HAPROXY, "-db", "-f", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            def answers():
                with contextlib.suppress(OSError, Closed):
                    client = Client(port)
                    client.send(b"GET /health HTTP/1.1\r\nHost: relay\r\n\r\n")
                    return client.read(12) == b"HTTP/1.1 200"
            wait_until(answers, "the balancer to find its relays")
            yield relays, port
        finally:
            balancer.kill()
            balancer.wait()


def meet(port, room):
    """A pair through the balancer, each end from a client of its own; None if it could not come together now."""
    ends = []
    try:
        for role in "sr":
            ends.append(Client(port).upgrade(room, role))
        assert ends[0].word() == "waiting"
        for end in ends:
            assert end.word() == "paired"
        return ends
    except (Closed, Refused, OSError, AssertionError):
        for end in ends:
            end.close()
        return None


def steer(node, line):
    with open(os.path.join(node.mount, ".ftx/ctl"), "w", encoding="ascii") as ctl:
        ctl.write(line + "\n")


def rooms_of(relays):
    return [relay.metric("pairs") for relay in relays]


def test_both_ends_of_a_room_come_to_one_relay_and_rooms_spread(tmp_path):
    with fleet(tmp_path) as (relays, port):
        pairs = [meet(port, f"room-{number}") for number in range(30)]
        assert all(pairs)
        for end in pairs[0]:
            assert f"ftx-address: 127.0.0.1:{end.socket.getsockname()[1]}\r\n".encode() in end.head.lower()
        spread = rooms_of(relays)
        assert sum(spread) == 30 and min(spread) > 0, spread
        for s, r in pairs:
            assert_passes(s, r)


def stream(sender, data, offset):
    """All from `offset`, or as much as the connection lives for."""
    with contextlib.suppress(OSError):
        for at in range(offset, len(data), PIECE):
            sender.send(frame(2, data[at:at + PIECE]))


def test_pair_whose_relay_is_killed_in_mid_transfer_goes_on_at_another(tmp_path):
    data, got, lost = os.urandom(16 << 20), bytearray(), None
    with fleet(tmp_path) as (relays, port):
        s, r = meet(port, "7-guitar")
        while True:
            sending = threading.Thread(target=stream, args=(s, data, len(got)))
            sending.start()
            try:
                while len(got) < len(data):
                    got += r.frame()[1]
                    if lost is None and len(got) > len(data) // 4:
                        lost = next(relay for relay in relays if relay.metric("pairs") == 1)
                        lost.signal(signal.SIGKILL)
                        lost.close = lambda: None
                break
            except Closed:
                with contextlib.suppress(OSError):  # it knows already
                    s.socket.shutdown(socket.SHUT_RDWR)
                sending.join()
                assert lost is not None and len(got) < len(data)
                s, r = wait_until(lambda: meet(port, "7-guitar"), "the pair to meet again")
        sending.join()
        assert bytes(got) == data
        assert sum(relay.metric("pairs") for relay in relays if relay is not lost) == 1


def test_mounts_go_on_at_another_relay_and_the_trees_are_equal(tmp_path):
    source, nodes = tmp_path / "tree", []
    for number in range(50):
        (source / str(number % 5)).mkdir(parents=True, exist_ok=True)
        (source / str(number % 5) / f"small-{number}").write_bytes(os.urandom(number * 97))
    (source / "large").write_bytes(os.urandom(8 << 20))
    with fleet(tmp_path) as (relays, port):
        try:
            for name in "AB":
                nodes.append(Node(str(tmp_path), name, listen=False, options={"relay": f"ws://127.0.0.1:{port}"}, debug=False).start())
            a, b = nodes
            os.mkdir(a.outbox(CODE))
            os.mkdir(b.inbox(CODE))
            a.wait_link(a.outbox(CODE))
            steer(a, f"limit {CODE} up={2 << 20}")
            shutil.copytree(source, a.outbox(CODE, "tree"))
            large = b.inbox(CODE, "tree", "large")
            wait_until(lambda: os.stat(large).st_blocks, "some of the large file")
            lost = next(relay for relay in relays if relay.metric("pairs") == 1)
            lost.signal(signal.SIGKILL)
            lost.close = lambda: None
            assert state(large) == "arriving"
            steer(a, f"limit {CODE} up=none")
            wait_until(lambda: not trees.differences(str(source), b.inbox(CODE, "tree"), times=True, contents=False), "the same tree", 40)
            wait_state(large, "complete", timeout=40)
            trees.compare_trees(str(source), b.inbox(CODE, "tree"))
            assert [node.status()["links"][0]["path"] for node in nodes] == ["relay", "relay"]
            assert sum(relay.metric("pairs") for relay in relays if relay is not lost) == 1
        finally:
            for node in nodes:
                node.destroy()


def test_rooms_of_a_relay_that_drains_go_elsewhere(tmp_path):
    with fleet(tmp_path) as (relays, port):
        first, second = meet(port, "7-guitar")
        drained = next(relay for relay in relays if relay.metric("pairs") == 1)
        drained.signal(signal.SIGTERM)
        drained.close = lambda: None
        first.close()
        second.close()
        pair = wait_until(lambda: meet(port, "7-guitar"), "the room to be elsewhere")
        assert_passes(*pair)
        assert drained.wait() == 0


def test_metrics_stay_inside(tmp_path):
    with fleet(tmp_path) as (_, port):
        client = Client(port)
        client.send(b"GET /metrics HTTP/1.1\r\nHost: relay\r\n\r\n")
        assert client.read(12) == b"HTTP/1.1 403"


def test_nobody_comes_around_the_balancer(tmp_path):
    with fleet(tmp_path) as (relays, _):
        with pytest.raises(Closed):
            Client(relays[0].port, source="127.0.0.2").upgrade("7", "s")
