#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a relay costs on this machine: memory and CPU of idle pairs, of joins, and bytes a second against socat on the loopback (relay.py --help)."""
import argparse
import base64
import contextlib
import os
import resource
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
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


def join(port, room, role, tls=None):
    """A WebSocket in the room; what the relay says next is its words."""
    peer = socket.create_connection(("127.0.0.1", port))
    if tls:
        peer = tls.wrap_socket(peer)
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


def pair(port, room, tls=None):
    ends = [join(port, room, role, tls) for role in "sr"]
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


def idle_pairs(n_pairs, idle_s, folder=None):
    """In TLS if there is a folder for its certificate."""
    options, tls = ("--pairs", str(n_pairs), "--joins", "60000", "--handshakes", "256"), None
    if folder:
        cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=relay",
                        "-keyout", key, "-out", cert], check=True, stderr=subprocess.DEVNULL)
        options, tls = (*options, "--cert", cert, "--key", key), ssl._create_unverified_context()
    with relay(*options) as (pid, port):
        empty, before = resident_mib(pid), cpu_s(pid)
        held = [end for number in range(n_pairs) for end in pair(port, f"idle-{number}", tls)]
        full, joined = resident_mib(pid), cpu_s(pid)
        time.sleep(idle_s)  # what they cost while nothing but pings happens
        print(f"{n_pairs} idle pairs, {'wss' if tls else 'ws'}: {full:.1f} MiB resident ({empty:.1f} empty, {(full - empty) * 1024 / n_pairs:.1f} KiB a pair); "
              f"{(joined - before) / n_pairs * 1e6:.0f} us of CPU to join a pair; {(cpu_s(pid) - joined) / idle_s / n_pairs * 1e6:.1f} us a second to keep one", flush=True)
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
    parser.add_argument("--idle", type=int, default=60, help="seconds")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    idle_pairs(options.pairs, options.idle)
    with tempfile.TemporaryDirectory() as folder:
        idle_pairs(options.pairs, options.idle, folder)
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
