# SPDX-License-Identifier: MIT
"""A whole peer of FTXP/1, written from docs/protocol.md alone: pairs, resumes, sends and receives honestly, and can say anything else."""
import contextlib
import hashlib
import hmac
import itertools
import os
import select
import socket
import struct
import sys
import time

import xxhash
import zstandard
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import ftxp
from ftxp import PAIR, RESUME, SENDER

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../vectors"))
import decode  # noqa: E402

FILE, FOLDER, SYMLINK = 1, 2, 3
DATA, HOLE = 1, 2
MIB = 1 << 20
LAST = 2**63 - 1
TIME = 1_700_000_000_123_456_789
PATIENCE = 15 * float(os.environ.get("FTX_TEST_SLOW", "1"))

_sources = itertools.count(1)


class Ended(Exception):
    """The other end has closed the connection; `reason` is its GOODBYE, if it said one."""

    def __init__(self, reason=None):
        super().__init__(f"the connection ended, GOODBYE {reason}")
        self.reason = reason


# -- section 5: messages; every field can be given out of range ---------------------------------


def number(size, value):
    return (value & (256**size - 1)).to_bytes(size, "little")


def numbers(layout, *values):
    """numbers("QIQ", ...): struct's letters, little-endian, cut to their sizes."""
    return b"".join(number(struct.calcsize(letter), value) for letter, value in zip(layout, values, strict=True))


def message(kind, body=b"", length=None):
    return bytes([kind]) + number(3, len(body) if length is None else length) + body


def digest(data):
    return xxhash.xxh3_128_digest(data)


def start(session, op_durable):
    return message(1, numbers("QQ", session, op_durable))


def join(session):
    return message(2, numbers("Q", session))


def have(stream, version, *extents):
    """extents: (offset, length, kind, hash)"""
    return message(3, numbers("QI", stream, version) + b"".join(numbers("QQB", *each[:3]) + each[3] for each in extents))


def have_end():
    return message(4)


def op(count, body):
    return message(5, numbers("Q", count) + body)


def extent(stream, version, offset, data, size_now=None, raw_length=None, encoding=0, wrong_hash=None):
    size_now = offset + len(data) if size_now is None else size_now
    raw_length = len(data) if raw_length is None else raw_length
    return message(6, numbers("QIQQIB", stream, version, offset, size_now, raw_length, encoding) +
                   (wrong_hash or digest(data)) + data)


def frame(data, window_log=20, **options):
    """Section 5.1: what encoding 1 makes of the data."""
    parameters = zstandard.ZstdCompressionParameters.from_level(3, source_size=len(data), window_log=window_log, **options)
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def packed(stream, version, offset, data, size_now=None, raw_length=None, its_frame=None):
    """An EXTENT of the data, compressed if that makes it shorter."""
    if its_frame is None:
        its_frame = frame(data)
        if raw_length is None and len(its_frame) >= len(data):
            return extent(stream, version, offset, data, size_now)
    return extent(stream, version, offset, its_frame, offset + len(data) if size_now is None else size_now,
                  len(data) if raw_length is None else raw_length, 1, digest(data))


def hole(stream, version, offset, length, size_now=None):
    return message(7, numbers("QIQQQ", stream, version, offset, offset + length if size_now is None else size_now, length))


def size(stream, version, size_now):
    return message(8, numbers("QIQ", stream, version, size_now))


def seal(stream, version, length, mode=0o644, mtime=TIME, attributes=None):
    return message(9, numbers("QIQ", stream, version, length) +
                   (numbers("Hq", mode, mtime) if attributes is None else attributes))


def ack(received, durable):
    return message(10, numbers("QQ", received, durable))


def missing(stream, version, *ranges):
    return message(11, numbers("QI", stream, version) + b"".join(numbers("QQ", *each) for each in ranges))


def refused(stream, reason):
    return message(12, numbers("QB", stream, reason))


def want(stream, offset, length):
    return message(13, numbers("QQQ", stream, offset, length))


def hold(item=0):
    return message(22, number(8, item))


def take(item=0):
    return message(23, number(8, item))


def fetch(stream, offset, length):
    return message(17, numbers("QQI", stream, offset, length))


def fetched(stream, offset, length, kind, data=b"", encoding=0, its_frame=None):
    return message(18, numbers("QQIBB", stream, offset, length, kind, encoding) + (digest(data) if kind == 1 else bytes(16)) +
                   (data if its_frame is None else its_frame))


def ask_digest(stream, whose):
    return message(20, numbers("QB", stream, whose))


def told_digest(stream, whose, state, sha256=bytes(32)):
    return message(21, numbers("QBB", stream, whose, state) + sha256)


def addresses(*told):
    return message(19, b"".join(address + number(2, port) for address, port in told))


def ping(token):
    return message(14, numbers("Q", token))


def pong(token):
    return message(15, numbers("Q", token))


def goodbye(reason=1):
    return message(16, number(1, reason))


# -- section 7: operations -----------------------------------------------------------------------


def named(name, name_length=None):
    return number(1, len(name) if name_length is None else name_length) + name


def make(item, name, what=FILE, parent=0, mode=None, mtime=TIME, when=TIME, target=b"", name_length=None):
    if mode is None:
        mode = 0o755 if what == FOLDER else 0o644
    return b"\x01" + numbers("QQBHqq", item, parent, what, mode, mtime, when) + named(name, name_length) + target


def move(item, name, parent=0, when=TIME, name_length=None):
    return b"\x02" + numbers("QQq", item, parent, when) + named(name, name_length)


def attr(item, mode, mtime=TIME):
    return b"\x03" + numbers("QHq", item, mode, mtime)


def drop(item, when=TIME):
    return b"\x04" + numbers("Qq", item, when)


def halt(item):
    return b"\x05" + numbers("Q", item)


def xattr(item, name, value, name_length=None):
    return b"\x06" + numbers("Q", item) + named(name, name_length) + value


def xattr_gone(item, name):
    return b"\x07" + numbers("Q", item) + named(name)


# -- sections 2 and 3: keys ----------------------------------------------------------------------


def nonce(count):
    return bytes(4) + struct.pack("<Q", count)


def new_static():
    key = X25519PrivateKey.generate()
    return (key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()),
            key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def diffie_hellman(secret, public):
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))


def hkdf(key, material, n):
    """Noise's HKDF over HMAC-SHA-512."""
    temp, out = hmac.digest(key, material, "sha512"), [b""]
    for index in range(1, n + 1):
        out.append(hmac.digest(temp, out[-1] + bytes([index]), "sha512"))
    return out[1:]


class Noise:
    """KKpsk0, both roles, empty payloads."""

    def __init__(self, prologue, static_s, static_r):
        self.hash = self.chain = b"Noise_KKpsk0_25519_ChaChaPoly_SHA512".ljust(64, b"\0")
        self.key, self.count = None, 0
        for data in (prologue, static_s, static_r):
            self.mix_hash(data)

    def mix_hash(self, data):
        self.hash = hashlib.sha512(self.hash + data).digest()

    def mix_key(self, material):
        self.chain, key = hkdf(self.chain, material, 2)
        self.key, self.count = key[:32], 0

    def mix_psk(self, psk):
        self.chain, temp, key = hkdf(self.chain, psk, 3)
        self.mix_hash(temp)
        self.key, self.count = key[:32], 0

    def mix_ephemeral(self, public):
        self.mix_hash(public)
        self.mix_key(public)  # as in every psk handshake

    def tag(self):
        box = ChaCha20Poly1305(self.key).encrypt(nonce(self.count), b"", self.hash)
        self.count += 1
        self.mix_hash(box)
        return box

    def check(self, box):
        ChaCha20Poly1305(self.key).decrypt(nonce(self.count), box, self.hash)
        self.count += 1
        self.mix_hash(box)

    def split(self):
        return [key[:32] for key in hkdf(self.chain, b"", 2)]


def dial(port):
    """Each time from another address: a stranger who came too often would be kept waiting."""
    count = next(_sources)
    return ftxp.connect(port, f"127.10.{count // 250 % 250}.{1 + count % 250}", PATIENCE)


class Link:
    """One end of a pairing: keys, and what both ends number through all sessions."""

    def __init__(self, port, role):
        self.port, self.role = port, role
        self.static_secret, self.static_public = new_static()
        self.peer_public = self.secret = None
        self.session = 0          # the last one
        self.op_durable = 0       # of the other end's operations
        self.items = itertools.count(1)
        self.received = {}        # the other end's items: number -> Item

    @classmethod
    def pair(cls, port, code, role):
        """Section 2, as the end that dials."""
        link = cls(port, role)
        with dial(port) as connection:
            ours = ftxp.hello(PAIR, role, code.partition(b"-")[0])
            connection.sendall(ours)
            theirs = ftxp.receive_hello(connection)
            hello_s, hello_r = (ours, theirs) if role == SENDER else (theirs, ours)
            link._enrol(connection, link._agree(connection, code, hello_s, hello_r))
        return link

    def _agree(self, connection, code, hello_s, hello_r):
        sid, scalar = hello_s[10:26] + hello_r[10:26], ftxp.random_scalar()
        share = ftxp.cpace_share(ftxp.cpace_generator(code, hello_s + hello_r, sid), scalar)
        other = self._swap(connection, share, 32)
        shares = (share, other) if self.role == SENDER else (other, share)
        key = ftxp.cpace_key(scalar, other, sid, *shares)
        tag = self._swap(connection, ftxp.confirmation(key, self._letter()), 64)
        assert tag == ftxp.confirmation(key, self._letter(other=True))
        return key

    def _enrol(self, connection, key):
        def cipher(letter):
            return ChaCha20Poly1305(hashlib.sha512(b"FTXP/1 e " + letter + key).digest()[:32])
        ours, theirs = cipher(self._letter()), cipher(self._letter(other=True))
        share = os.urandom(32)
        box = self._swap(connection, ours.encrypt(nonce(0), self.static_public + share, b""), 80)
        plain = theirs.decrypt(nonce(0), box, b"")
        self.peer_public, other = plain[:32], plain[32:]
        shares = share + other if self.role == SENDER else other + share
        self.secret = hashlib.sha512(b"FTXP/1 link" + key + shares).digest()[:32]
        theirs.decrypt(nonce(1), self._swap(connection, ours.encrypt(nonce(1), b"", b""), 16), b"")

    def _letter(self, other=False):
        return b"S" if (self.role == SENDER) != other else b"R"

    def _swap(self, connection, ours, length):
        """S speaks first in every step."""
        if self.role == SENDER:
            connection.sendall(ours)
            return ftxp.receive(connection, length)
        theirs = ftxp.receive(connection, length)
        connection.sendall(ours)
        return theirs

    def resume(self, aes):
        """Section 3: a connection and the directions of its records, ours first; `aes`: we say that AES-256-GCM is quick here, be it or not."""
        connection, fresh = dial(self.port), os.urandom(16)
        hint = hmac.digest(self.secret, b"FTXP/1 resume" + fresh + bytes([self.role]), "sha512")[:16]
        ours = ftxp.hello(RESUME, self.role, nonce=fresh, hint=hint, extension=b"\0\1" if aes else b"")
        connection.sendall(ours)
        theirs = ftxp.receive_hello(connection)
        cipher = "aes" if aes and len(theirs) > 43 and theirs[43] & 1 else "chacha"
        secret, public = new_static()
        if self.role == SENDER:
            noise = Noise(ours + theirs, self.static_public, self.peer_public)
            noise.mix_psk(self.secret)
            noise.mix_ephemeral(public)
            noise.mix_key(diffie_hellman(secret, self.peer_public))
            noise.mix_key(diffie_hellman(self.static_secret, self.peer_public))
            connection.sendall(public + noise.tag())
            answer = ftxp.receive(connection, 48)
            noise.mix_ephemeral(answer[:32])
            noise.mix_key(diffie_hellman(secret, answer[:32]))
            noise.mix_key(diffie_hellman(self.static_secret, answer[:32]))
            noise.check(answer[32:])
            return connection, *(Direction(key, cipher) for key in noise.split())
        noise = Noise(theirs + ours, self.peer_public, self.static_public)
        noise.mix_psk(self.secret)
        first = ftxp.receive(connection, 48)
        noise.mix_ephemeral(first[:32])
        noise.mix_key(diffie_hellman(self.static_secret, first[:32]))
        noise.mix_key(diffie_hellman(self.static_secret, self.peer_public))
        noise.check(first[32:])
        noise.mix_ephemeral(public)
        noise.mix_key(diffie_hellman(secret, first[:32]))
        noise.mix_key(diffie_hellman(secret, self.peer_public))
        connection.sendall(public + noise.tag())
        theirs_key, ours_key = noise.split()
        return connection, Direction(ours_key, cipher), Direction(theirs_key, cipher)

    def connect(self, **options):
        return Session(self, **options)


# -- sections 4 and 6: a session -----------------------------------------------------------------


class Direction:
    """Section 4, one way: the number of the next record and its key."""

    def __init__(self, key, cipher):
        self.key, self.count, self.cipher = key, 0, cipher
        self.aead = AESGCM if cipher == "aes" else ChaCha20Poly1305

    def nonce(self, number):
        return bytes(4) + struct.pack(">Q", number) if self.cipher == "aes" else nonce(number)

    def next(self):
        if self.count and self.count % 1024 == 0:
            self.key = self.aead(self.key).encrypt(self.nonce(2**64 - 1), bytes(32), b"")[:32]
        self.count += 1
        return self.aead(self.key), self.nonce(self.count - 1)


class Item:
    """What the other end has told of one of its items."""

    def __init__(self, values):
        self.values = values
        self.name = bytes.fromhex(values["name"])
        self.data = bytearray()
        self.sealed = None  # its contents at the last SEAL
        self.xattrs = {}


class Session:
    """
    A control connection. With `begin` it has said and heard START and HAVE_END. It answers PING, gives a sign of life for each that
    comes, keeps what comes, and acknowledges it unless `acknowledge` is false; only while one of its functions runs.
    """

    def __init__(self, link, begin=True, acknowledge=True, aes=True):
        self.link, self.acknowledge = link, acknowledge
        self.connection, self.out, self.into = link.resume(aes)
        self.connection.setblocking(False)
        self.pending, self.goodbye, self.closed = b"", None, False
        self.messages, self.streams = [], {}   # all that came but the bytes of extents; ranges of each stream
        self.acked = (0, 0)
        self.tokens, self.asks = [], False     # of PINGs to be answered; something is to be acknowledged
        self.next_op, self.op_seen = None, link.op_durable
        if begin:
            self.begin()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    # -- bytes

    def box(self, plain):
        """The next record with this plain text."""
        head = number(4, len(plain) + 16)
        cipher, its_nonce = self.out.next()
        return head + cipher.encrypt(its_nonce, plain, head)

    def send(self, *messages):
        """One record; returns its number."""
        self.send_bytes(self.box(b"".join(messages)))
        return self.out.count - 1

    def send_bytes(self, data):
        """Reads meanwhile, so that neither end waits for the other for ever."""
        view, deadline = memoryview(data), time.monotonic() + PATIENCE
        while view:
            if time.monotonic() > deadline:
                raise TimeoutError("the other end does not read")
            readable, writable, _ = select.select([self.connection], [self.connection], [], 1)
            if writable:
                try:
                    view = view[self.connection.send(view):]
                except OSError:
                    self._drain()
                    raise Ended(self.goodbye) from None
            if readable:
                self._read(0)

    def _drain(self):
        """What the other end had said before it closed."""
        try:
            while True:
                self._read(0.2)
        except Ended:
            pass

    def pump(self, timeout):
        """Takes what has come, or what comes within the time, and answers it; false if nothing."""
        came = self._read(timeout)
        with contextlib.suppress(Ended):  # the next look finds that out
            while self.tokens:
                self.send(pong(self.tokens.pop(0)))
            if self.asks and self.acknowledge:
                self.asks = False
                self.send(ack(self.into.count, self.into.count))
        return came

    def _read(self, timeout):
        if not select.select([self.connection], [], [], timeout)[0]:
            return False
        try:
            data = self.connection.recv(4 * MIB)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.closed = True
            raise Ended(self.goodbye)
        self.pending += data
        while len(self.pending) >= 4:
            length = 4 + struct.unpack_from("<I", self.pending)[0]
            if len(self.pending) < length:
                break
            record, self.pending = self.pending[:length], self.pending[length:]
            self.asks |= self._take(record)
        return True

    def _take(self, record):
        assert 17 <= len(record) - 4 <= 16 + 1_052_672
        cipher, its_nonce = self.into.next()
        asks = False
        for values in decode.decode_plain(cipher.decrypt(its_nonce, record[4:], record[:4])):
            self._handle(values)
            asks |= values["type"] in ("OP", "EXTENT", "HOLE", "SEAL")
        return asks

    # -- what comes

    def _handle(self, values):
        kind = values["type"]
        self.messages.append(values)
        if kind == "ACK":
            received, durable = values["received"], values["durable"]
            assert self.acked[0] <= received <= self.out.count and self.acked[1] <= durable <= received
            self.acked = (received, durable)
        elif kind == "PING" or (kind == "PONG" and values["token"] == 0):  # asks, or lives: so do we
            self.tokens.append(values["token"])
        elif kind == "GOODBYE":
            self.goodbye = values["reason"]
        elif kind == "OP":
            assert values["number"] == self.op_seen + 1, "operations come in order"
            self.op_seen += 1
            self._operation(values["operation"])
            if self.acknowledge:
                self.link.op_durable = self.op_seen
        elif kind in ("EXTENT", "HOLE", "SEAL", "SIZE"):
            self._content(kind, values)

    def _operation(self, values):
        items, kind = self.link.received, values["kind"]
        if kind == "MAKE":
            items[values["item"]] = Item(values)
        elif kind in ("DROP", "CANCEL"):
            items.pop(values["item"], None)
        elif values["item"] in items:
            item = items[values["item"]]
            if kind == "MOVE":
                item.values.update(parent=values["parent"])
                item.name = bytes.fromhex(values["name"])
            elif kind == "XATTR":
                item.xattrs[bytes.fromhex(values["name"])] = bytes.fromhex(values["value"])
            elif kind == "ATTR":
                item.values.update(mode=values["mode"], mtime=values["mtime"])

    def _content(self, kind, values):
        item = self.link.received.get(values["stream"])
        if item is None:
            return
        if kind == "EXTENT":
            data = bytes.fromhex(values.pop("data"))
            assert digest(data).hex() == values["hash"]
            self._write(item, values["offset"], data)
        elif kind == "HOLE":
            self._write(item, values["offset"], bytes(values["length"]))
        elif kind == "SEAL":
            assert len(item.data) >= values["size"], "a SEAL comes when every extent did"
            del item.data[values["size"]:]
            item.sealed = bytes(item.data)
            item.values.update(values["attributes"])

    @staticmethod
    def _write(item, offset, data):
        if len(item.data) < offset:
            item.data.extend(bytes(offset - len(item.data)))
        item.data[offset:offset + len(data)] = data

    # -- steps

    def wait(self, condition, what="a message", timeout=PATIENCE):
        """Returns condition()'s first true value."""
        deadline = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            left = deadline - time.monotonic()
            assert left > 0, f"not within {timeout} s: {what}; last came {self.messages[-5:]}"
            self.pump(min(left, 0.05))

    def first(self, kind, since=0, timeout=PATIENCE, **fields):
        """The first message of this kind with these fields, from messages[since] on."""
        return self.wait(lambda: next((values for values in self.messages[since:] if values["type"] == kind
                                       and all(values.get(name) == value for name, value in fields.items())), None),
                         f"{kind} {fields}", timeout)

    def begin(self, hold=()):
        """START both ways, then our HAVEs (`hold`) and HAVE_END, then theirs."""
        self.exchange_start()
        self.send(*hold, have_end())
        self.first("HAVE_END")

    def exchange_start(self, session=None):
        link = self.link
        if link.role == SENDER:
            link.session = link.session + 1 if session is None else session
            self.send(start(link.session, link.op_durable))
            answer = self.first("START")
            assert answer["session"] == link.session
        else:
            answer = self.first("START")
            assert answer["session"] > link.session
            link.session = answer["session"]
            self.send(start(link.session, link.op_durable))
        self.next_op = answer["op_durable"] + 1

    def op(self, body):
        """The message for the next operation."""
        self.next_op += 1
        return op(self.next_op - 1, body)

    def wait_ack(self, record, durable=True):
        self.wait(lambda: self.acked[durable] > record, f"the acknowledgement of record {record}")

    def wait_end(self, timeout=PATIENCE):
        """Takes all until the connection ends; returns the GOODBYE's reason, or None."""
        try:
            self.wait(lambda: False, "the end of the connection", timeout)
        except Ended as end:
            return end.reason

    def send_file(self, name, data, parent=0, pack=extent, **options):
        """An honest transfer (`pack=packed`: compressed); returns the item once it is delivered."""
        item = next(self.link.items)
        end, pieces = seal(item, 1, len(data)), [pack(item, 1, at, data[at:at + MIB], len(data)) for at in range(0, len(data), MIB)]
        first = self.op(make(item, name, parent=parent, **options))
        if len(pieces) <= 1:
            record = self.send(first, *pieces, end)
        else:
            self.send(first)
            for piece in pieces:
                self.send(piece)
                self.wait(lambda: self.out.count - self.acked[0] < 48, "the window to open")
            self.wait_ack(self.out.count - 1, durable=False)
            record = self.send(end)
        self.wait_ack(record)
        return item

    def receive_file(self, name, timeout=PATIENCE):
        """Waits for the other end's file of this name, as sealed."""
        def found():
            return next((item for item in self.link.received.values() if item.name == name and item.sealed is not None), None)
        return self.wait(found, f"{name} to be sealed", timeout)

    def leave(self):
        """A clean end."""
        self.send(goodbye(1))
        self.connection.shutdown(socket.SHUT_WR)
        assert self.wait_end() in (None, 1)
        self.connection.close()


