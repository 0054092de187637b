#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a relay costs on this machine: relay.py [--pairs N] [--mib N] [--rounds N]; memory of idle pairs, bytes a second against socat on the loopback."""
import argparse
import base64
import contextlib
import os
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
RELAY = os.environ.get("FTX_RELAY") or os.path.join(TOP, "build/ftx-relay")
FRAME = 1 << 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def relay(*options):
    child = subprocess.Popen([RELAY, "--listen", "127.0.0.1:0", *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield child.pid, int(child.stdout.readline().rsplit(b":", 1)[1])
    finally:
        child.kill()
        child.wait()


def join(port, room, role):
    """A WebSocket in the room; what the relay says next is its words."""
    peer = socket.create_connection(("127.0.0.1", port))
    peer.sendall(f"GET /v1/room/{room}?role={role} HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = peer.recv(1)
        if not byte:
            sys.exit(f"the relay refused: {head!r}")
        head += byte
    if not head.startswith(b"HTTP/1.1 101"):
        sys.exit(f"the relay refused: {head!r}")
    return peer


def expect(peer, words):
    got = b""
    while not got.endswith(words):
        got += peer.recv(1)


def pair(port, room):
    ends = [join(port, room, "s"), join(port, room, "r")]
    for end in ends:
        expect(end, b"\x81\x06paired")
    return ends


def resident_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle_pairs(n_pairs):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with relay("--pairs", str(n_pairs), "--joins", "60000", "--handshakes", "256") as (pid, port):
        empty = resident_mib(pid)
        held = [end for number in range(n_pairs) for end in pair(port, f"idle-{number}")]
        full = resident_mib(pid)
        before, started = cpu_s(pid), time.monotonic()
        time.sleep(5)  # what they cost while nothing happens
        share = (cpu_s(pid) - before) / (time.monotonic() - started)
        print(f"{n_pairs} idle pairs: {full:.1f} MiB resident ({empty:.1f} empty, {(full - empty) * 1024 / n_pairs:.1f} KiB a pair), {share:.2%} of a core")
        for end in held:
            end.close()


def drain(peer, size):
    buffer = bytearray(1 << 20)
    while size > 0:
        got = peer.recv_into(buffer)
        if not got:
            sys.exit("the stream ended early")
        size -= got


def move(sender, receiver, piece, n_pieces, least):
    """Bytes a second of `n_pieces` times `piece` through the two; `least` of them arrive."""
    reader = threading.Thread(target=drain, args=(receiver, least))
    started = time.monotonic()
    reader.start()
    for _ in range(n_pieces):
        sender.sendall(piece)
    reader.join()
    return n_pieces * FRAME / (time.monotonic() - started)


def through_relay(mib):
    payload = os.urandom(FRAME)  # its mask is part of it
    frame = b"\x82\xff" + FRAME.to_bytes(8, "big") + b"\x5a\xc3\x17\x88" + payload
    with relay() as (pid, port):
        sender, receiver = pair(port, "move")
        rate = move(sender, receiver, frame, mib, mib * FRAME)
        return rate, cpu_s(pid) / mib * 1024


def through_socat(mib):
    port, target = free_port(), socket.create_server(("127.0.0.1", 0))
    child = subprocess.Popen(["socat", f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr", f"TCP:127.0.0.1:{target.getsockname()[1]}"])
    try:
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                sender = socket.create_connection(("127.0.0.1", port))
                break
        receiver, _ = target.accept()
        rate = move(sender, receiver, os.urandom(FRAME), mib, mib * FRAME)
        return rate, cpu_s(child.pid) / mib * 1024
    finally:
        child.kill()
        child.wait()
        target.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    idle_pairs(options.pairs)
    ways = {"socat": through_socat, "ftx-relay": through_relay}
    rates, costs = {name: [] for name in ways}, {name: [] for name in ways}
    for _ in range(options.rounds):  # alternating, so that what else the machine does hits both
        for name, way in ways.items():
            rate, cost = way(options.mib)
            rates[name].append(rate)
            costs[name].append(cost)
    for name in ways:
        print(f"{name}: median {statistics.median(rates[name]) / 1e6:.0f} MB/s ({min(rates[name]) / 1e6:.0f} to {max(rates[name]) / 1e6:.0f}), "
              f"{statistics.median(costs[name]):.2f} CPU seconds a GiB")
    print(f"ftx-relay moves {statistics.median(rates['ftx-relay']) / statistics.median(rates['socat']):.0%} of what socat moves")


if __name__ == "__main__":
    main()
