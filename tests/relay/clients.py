# SPDX-License-Identifier: MIT
"""A relay as a child, and clients that speak its protocol byte by byte, well or badly."""
import base64
import contextlib
import hashlib
import os
import signal
import socket
import struct
import subprocess
import sys
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fs"))
from harness import REPORTS, SLOW, wait_until  # noqa: E402 the path comes first

RELAY = os.environ.get("FTX_RELAY") or os.path.join(os.path.dirname(__file__), "../../build/ftx-relay")
LIMIT = 20 * SLOW  # seconds for anything


class Relay:
    def __init__(self, *options, listen="127.0.0.1:0", log=subprocess.PIPE):
        self.child = subprocess.Popen([RELAY, "--listen", listen, *options], stdout=subprocess.PIPE, stderr=log)
        line = self.child.stdout.readline()
        assert line.startswith(b"listening on "), line
        self.host, self.port = line.split()[-1].decode().rsplit(":", 1)
        self.port = int(self.port)
        self.trust = None  # whom clients ask for TLS

    def get(self, path):
        """Status and text of an answer."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://{self.host}:{self.port}{path}", timeout=LIMIT) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name):
        status, text = self.get("/metrics")
        assert status == 200
        return next(int(line.split()[-1]) for line in text.splitlines() if line.startswith(f"ftx_relay_{name} "))

    def refused(self, reason):
        return self.metric(f'refused_total{{reason="{reason}"}}')

    def resident_mib(self):
        with open(f"/proc/{self.child.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024

    def signal(self, number):
        self.child.send_signal(number)

    def wait(self):
        """How it ended, and that no sanitizer spoke."""
        code = self.child.wait(LIMIT)
        told = self.child.stderr.read() if self.child.stderr else b""
        assert not any(report in told for report in REPORTS), told.decode(errors="replace")
        return code

    def close(self):
        """It must still live, and end well."""
        assert self.child.poll() is None, f"the relay ended with {self.child.returncode}: {self.child.stderr.read()}"
        self.signal(signal.SIGTERM)
        with contextlib.suppress(OSError):
            self.signal(signal.SIGINT)  # no pair is waited for
        assert self.wait() == 0


@contextlib.contextmanager
def running(*options, **more):
    relay = Relay(*options, **more)
    try:
        yield relay
        relay.close()
    finally:
        relay.child.kill()
        relay.child.wait()
        relay.child.stdout.close()
        if relay.child.stderr:
            relay.child.stderr.close()


def certificate(folder):
    """For the name "relay": as it stands behind --cert."""
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "10", "-subj", "/CN=relay",
                    "-addext", "subjectAltName=DNS:relay", "-keyout", key, "-out", cert], check=True, stderr=subprocess.DEVNULL)
    return cert, "--key", key


class Closed(Exception):
    """The other end has closed, with a code or without (None)."""


class Refused(Exception):
    """Status and reason."""


def frame(kind, payload=b"", last=True, masked=True, claimed=None):
    size = len(payload) if claimed is None else claimed
    head = bytes([(0x80 if last else 0) | kind])
    mask_bit = 0x80 if masked else 0
    if size < 126:
        head += bytes([mask_bit | size])
    elif size < 65536:
        head += bytes([mask_bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([mask_bit | 127]) + struct.pack(">Q", size)
    if not masked:
        return head + payload
    mask = b"\x11\x22\x33\x44"
    whole = mask * (len(payload) // 4 + 1)
    return head + mask + (int.from_bytes(payload, "big") ^ int.from_bytes(whole[:len(payload)], "big")).to_bytes(len(payload), "big")


class Client:
    """A connection to HOST:PORT, of one of the many addresses that a loopback has."""
    def __init__(self, port, host="127.0.0.1", source="127.0.0.1"):
        self.socket = socket.socket()
        self.socket.settimeout(LIMIT)
        self.socket.bind((source, 0))
        self.socket.connect((host, port))
        self.got = b""
        self.n_pings = 0
        self.head = b""  # of the answer

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def read(self, size):
        while len(self.got) < size:
            try:
                more = self.socket.recv(1 << 20)
            except ConnectionError:
                more = b""
            if not more:
                raise Closed(None)
            self.got += more
        data, self.got = self.got[:size], self.got[size:]
        return data

    def secure(self, trust):
        self.socket = trust.wrap_socket(self.socket, server_hostname="relay")

    def upgrade(self, room, role, token=None, path="/v1/room/{}?role={}", behind=b""):
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path.format(room, role)} HTTP/1.1", "Host: relay", "Upgrade: websocket", "Connection: Upgrade",
                 "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Protocol: ftx-relay"]
        if token:
            lines.append(f"Authorization: Bearer {token}")
        self.send("\r\n".join([*lines, "", ""]).encode() + behind)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.read(1)
        self.head = head
        status = int(head.split()[1])
        if status != 101:
            reason = self.read(int(head.lower().split(b"content-length:")[1].split()[0])) if b"ength:" in head else b""
            raise Refused(status, reason.decode().strip())
        digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        assert base64.b64encode(digest) in head
        return self

    def frame(self):
        """Kind and payload of the next; pings are answered."""
        while True:
            first, second = self.read(2)
            size = second & 127
            if size > 125:
                size = int.from_bytes(self.read(2 if size == 126 else 8), "big")
            payload = self.read(size)
            if first & 15 == 8:
                raise Closed(int.from_bytes(payload[:2], "big") if payload else None)
            if first & 15 != 9:
                return first & 15, payload
            self.n_pings += 1
            self.send(frame(10, payload))

    def word(self):
        kind, payload = self.frame()
        assert kind == 1
        return payload.decode()

    def bytes(self, size):
        """So many bytes of binary messages."""
        data = b""
        while len(data) < size:
            kind, payload = self.frame()
            assert kind == 2
            data += payload
        return data

    def end(self):
        """The code with which the other end closes, whatever comes before."""
        try:
            while True:
                self.frame()
        except Closed as closed:
            return closed.args[0]


def join(relay, room, role, source="127.0.0.1", token=None, behind=b""):
    client = Client(relay.port, relay.host, source)
    try:
        if relay.trust:
            client.secure(relay.trust)
        return client.upgrade(room, role, token, behind=behind)
    except BaseException:
        client.close()
        raise


def pair(relay, room, sources=("127.0.0.1", "127.0.0.1"), token=None):
    ends = [join(relay, room, role, source, token) for role, source in zip("sr", sources)]
    assert ends[0].word() == "waiting"
    for end in ends:
        assert end.word() == "paired"
    return ends


def assert_passes(one, other):
    """Bytes go both ways."""
    for sender, receiver in ((one, other), (other, one)):
        data = os.urandom(1000)
        sender.send(frame(2, data))
        assert receiver.bytes(1000) == data


__all__ = ["Client", "Closed", "LIMIT", "Refused", "Relay", "assert_passes", "certificate", "frame", "join", "pair", "running", "wait_until"]
