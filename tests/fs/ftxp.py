# SPDX-License-Identifier: MIT
"""A stranger's side of FTXP/1 (docs/protocol.md 1, 2, 4): enough to guess codes and to send edited Hellos. Uses libsodium for the group."""
import contextlib
import ctypes
import hashlib
import hmac
import os
import socket
import struct

PAIR, RESUME = 1, 2
SENDER, RECEIVER = 1, 2  # S and R

_sodium = ctypes.CDLL("libsodium.so.23")
assert _sodium.sodium_init() >= 0


def _point(function, *inputs):
    out = ctypes.create_string_buffer(32)
    if getattr(_sodium, function)(out, *inputs) not in (0, None):
        raise ValueError(function)
    return out.raw


def _lv(*parts):
    """Each part behind its length as LEB128."""
    out = b""
    for part in parts:
        size = len(part)
        while size > 127:
            out += bytes([size & 127 | 128])
            size >>= 7
        out += bytes([size]) + part
    return out


def cpace_generator(code, context, sid):
    dsi = b"CPaceRistretto255"
    padding = bytes(max(0, 128 - 1 - len(_lv(code)) - len(_lv(dsi))))
    return _point("crypto_core_ristretto255_from_hash",
                  hashlib.sha512(_lv(dsi, code, padding, context, sid)).digest())


def cpace_share(generator, scalar):
    return _point("crypto_scalarmult_ristretto255", scalar, generator)


def cpace_key(scalar, peer, sid, share_s, share_r, ad_s=b"", ad_r=b""):
    secret = _point("crypto_scalarmult_ristretto255", scalar, peer)
    return hashlib.sha512(_lv(b"CPaceRistretto255_ISK", sid, secret) + _lv(share_s, ad_s) + _lv(share_r, ad_r)).digest()


def random_scalar():
    out = ctypes.create_string_buffer(32)
    _sodium.crypto_core_ristretto255_scalar_random(out)
    return out.raw


def hello(mode, role, label=b"7", nonce=None, hint=None, versions=(1, 1), magic=b"FTXP", reserved=0, extension=b"",
          length=None):
    """A Hello; every field can be made wrong."""
    nonce = nonce or os.urandom(16)
    hint = hint or hashlib.sha512(b"FTXP/1 pair" + nonce + label).digest()[:16]
    size = 42 + len(extension) if length is None else length
    return magic + bytes([size, *versions, mode, role, reserved]) + nonce + hint + extension


def connect(port, source="127.0.0.1", timeout=15.0):
    return socket.create_connection(("127.0.0.1", port), timeout=timeout, source_address=(source, 0))


def receive(connection, size):
    """Exactly `size` bytes; ConnectionError if it ends before."""
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionError("closed")
        data += piece
    return data


def receive_hello(connection):
    head = receive(connection, 5)
    return head + receive(connection, head[4] - 5)


def guess(port, code, role, label=None, source="127.0.0.1"):
    """
    Dials and tries a code in PAIR as `role`, until the other end has to spend a guess on it. True if it was right, False if it was
    wrong; ConnectionError if the other end did not even begin.
    """
    label = code.partition(b"-")[0] if label is None else label
    with contextlib.closing(connect(port, source)) as connection:
        ours = hello(PAIR, role, label)
        connection.sendall(ours)
        theirs = receive_hello(connection)
        hello_s, hello_r = (ours, theirs) if role == SENDER else (theirs, ours)
        sid = hello_s[10:26] + hello_r[10:26]
        scalar = random_scalar()
        share = cpace_share(cpace_generator(code, hello_s + hello_r, sid), scalar)
        if role == SENDER:
            connection.sendall(share)
            peer_share = receive(connection, 32)
            key = cpace_key(scalar, peer_share, sid, share, peer_share)
            connection.sendall(confirmation(key, b"S"))
            try:
                return hmac.compare_digest(receive(connection, 64), confirmation(key, b"R"))
            except ConnectionError:
                return False
        peer_share = receive(connection, 32)
        connection.sendall(share)
        key = cpace_key(scalar, peer_share, sid, peer_share, share)
        return hmac.compare_digest(receive(connection, 64), confirmation(key, b"S"))


def confirmation(key, side):
    return hmac.digest(hashlib.sha512(b"FTXP/1 k " + side + key).digest(), b"FTXP/1 confirm " + side, "sha512")


class Records:
    """Counts the records in one direction of each connection: give it to Proxy.tap."""

    def __init__(self):
        self.count = 0
        self._streams = {}

    def __call__(self, connection, data):
        stream = self._streams.setdefault(connection, {"bytes": bytearray(), "skip": None, "pair": False})
        stream["bytes"] += data
        waiting = stream["bytes"]
        if stream["skip"] is None:
            if len(waiting) < 8:
                return
            stream["pair"] = waiting[7] == PAIR
            stream["skip"] = waiting[4] + 48  # Hello and one Noise message
        if stream["pair"]:
            waiting.clear()
            return
        while waiting:
            if stream["skip"]:
                size = min(stream["skip"], len(waiting))
                del waiting[:size]
                stream["skip"] -= size
            elif len(waiting) >= 4:
                stream["skip"] = 4 + struct.unpack_from("<I", waiting)[0]
                self.count += 1
            else:
                return
