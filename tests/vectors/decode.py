#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A second decoder, written from docs/protocol.md alone. `decode.py` checks every vector against expected.json; `decode.py messages|ops|announce FILE`
and `decode.py records FILE [CIPHER KEY NUMBER]` (chacha, aes) print what a file of hex digits holds."""
import hashlib
import hmac
import ipaddress
import json
import os
import struct
import sys

import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

HERE = os.path.dirname(os.path.abspath(__file__))
LAST_OFFSET = 2**63 - 1
NO_HASH = "00" * 16


class Refused(Exception):
    """The bytes are not what docs/protocol.md allows."""


def require(holds, what):
    if not holds:
        raise Refused(what)


class Fields:
    """Reads a body from its front."""

    def __init__(self, body):
        self.body = body
        self.at = 0

    def left(self):
        return len(self.body) - self.at

    def take(self, size):
        require(size <= self.left(), "the body is too short")
        self.at += size
        return self.body[self.at - size:self.at]

    def number(self, layout):
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))[0]

    def numbers(self, names, layout):
        return dict(zip(names.split(), struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))))

    def rest(self):
        return self.take(self.left())


# Section 4: records


CIPHERS = {"chacha": (ChaCha20Poly1305, "<Q"), "aes": (AESGCM, ">Q")}


def nonce_of(number, layout):
    return bytes(4) + struct.pack(layout, number)


def key_of_record(cipher, key, number):
    """The key after the REKEYs that come before record `number`."""
    aead, layout = CIPHERS[cipher]
    for _ in range(number // 1024):
        key = aead(key).encrypt(nonce_of(2**64 - 1, layout), bytes(32), b"")[:32]
    return key


def open_record(record, cipher, key, number):
    require(len(record) >= 4, "no length")
    length = struct.unpack("<I", record[:4])[0]
    require(16 + 1 <= length <= 16 + 1052672, "the record's length is out of range")
    require(len(record) == 4 + length, "not one record")
    aead, layout = CIPHERS[cipher]
    return aead(key_of_record(cipher, key, number)).decrypt(nonce_of(number, layout), record[4:], record[:4])


# Section 5: messages


def unpack(frame, raw_length):
    """Section 5.1."""
    require(len(frame) < raw_length, "a frame that saves nothing")
    require(frame[:4] == b"\x28\xb5\x2f\xfd" and frame[4:5] and frame[4] & 0x20, "not a frame without a window")
    try:
        require(zstandard.frame_content_size(frame) == raw_length, "the frame holds another number of bytes")
        reader = zstandard.ZstdDecompressor().decompressobj()
        data = reader.decompress(frame)
    except zstandard.ZstdError as error:
        raise Refused(str(error)) from None
    require(reader.eof and not reader.unused_data and len(data) == raw_length, "not one whole frame")
    return data


def data_of(fields, encoding, length):
    """The rest of the body: the data of an EXTENT or FETCHED, unpacked."""
    require(encoding <= 1, "no such encoding")
    data = fields.rest()
    if encoding == 1:
        return unpack(data, length)
    require(len(data) == length, "not as many bytes as it says")
    return data


def check_range(offset, length):
    require(length >= 1 and offset + length <= LAST_OFFSET, "the range is out of range")


def start(fields):
    return fields.numbers("session op_durable", "QQ")


def join(fields):
    return fields.numbers("session", "Q")


def entries(fields, size, most):
    require(fields.left() % size == 0 and 1 <= fields.left() // size <= most, "no such number of entries")
    return fields.left() // size


def have(fields):
    values = fields.numbers("stream version", "QI")
    values["extents"] = []
    for _ in range(entries(fields, 33, 10000)):
        offset, length, kind, digest = fields.number("Q"), fields.number("Q"), fields.number("B"), fields.take(16).hex()
        check_range(offset, length)
        require(kind == 1 and length <= 1048576 or kind == 2 and digest == NO_HASH, "the extent is out of range")
        values["extents"].append([offset, length, kind, digest])
    return values


def have_end(_):
    return {}


def op(fields):
    values = fields.numbers("number", "Q")
    body = fields.rest()
    require(1 <= len(body) <= 65541, "the operation's size is out of range")
    values["operation"] = decode_operation(body)
    return values


def extent(fields):
    values = fields.numbers("stream version offset size_now raw_length encoding", "QIQQIB")
    require(1 <= values["raw_length"] <= 1048576 and values["size_now"] <= LAST_OFFSET, "the extent is out of range")
    check_range(values["offset"], values["raw_length"])
    values["hash"] = fields.take(16).hex()
    data = data_of(fields, values["encoding"], values["raw_length"])
    if 9 <= len(data) <= 16:
        require(values["hash"] == xxh3_128_of_9_to_16(data).hex(), "the hash is wrong")
    values["data"] = data.hex()
    return values


def hole(fields):
    values = fields.numbers("stream version offset size_now length", "QIQQQ")
    check_range(values["offset"], values["length"])
    require(values["size_now"] <= LAST_OFFSET, "size_now is out of range")
    return values


def size(fields):
    values = fields.numbers("stream version size_now", "QIQ")
    require(values["size_now"] <= LAST_OFFSET, "size_now is out of range")
    return values


def seal(fields):
    values = fields.numbers("stream version size", "QIQ")
    require(values["size"] <= LAST_OFFSET and fields.left() <= 64, "the seal is out of range")
    attributes = Fields(fields.rest())
    values["attributes"] = attributes.numbers("mode mtime", "Hq")
    require(attributes.left() == 0, "the attributes are too long")
    require(values["attributes"]["mode"] <= 0o777, "more than nine permission bits")
    return values


def ack(fields):
    values = fields.numbers("received durable", "QQ")
    require(values["durable"] <= values["received"], "durable passes received")
    return values


def missing(fields):
    values = fields.numbers("stream version", "QI")
    values["ranges"] = [[fields.number("Q"), fields.number("Q")] for _ in range(entries(fields, 16, 4096))]
    for offset, length in values["ranges"]:
        check_range(offset, length)
    return values


def refused(fields):
    values = fields.numbers("stream reason", "QB")
    require(1 <= values["reason"] <= 10, "no such reason")
    return values


def want(fields):
    values = fields.numbers("stream offset length", "QQQ")
    check_range(values["offset"], values["length"])
    return values


def token(fields):
    return fields.numbers("token", "Q")


def item(fields):
    return fields.numbers("item", "Q")


def goodbye(fields):
    values = fields.numbers("reason", "B")
    require(1 <= values["reason"] <= 3, "no such reason")
    return values


def fetch(fields):
    values = fields.numbers("stream offset length", "QQI")
    require(values["length"] <= 1048576, "more than a FETCH may ask for")
    check_range(values["offset"], values["length"])
    return values


def fetched(fields):
    values = fields.numbers("stream offset length kind encoding", "QQIBB")
    require(values["length"] <= 1048576 and 1 <= values["kind"] <= 3, "the answer is out of range")
    check_range(values["offset"], values["length"])
    values["hash"] = fields.take(16).hex()
    require(values["kind"] == 1 or values["encoding"] == 0, "nothing is encoded")
    data = data_of(fields, values["encoding"], values["length"] if values["kind"] == 1 else 0)
    require(values["kind"] == 1 or values["hash"] == NO_HASH, "the hash of nothing")
    if 9 <= len(data) <= 16:
        require(values["hash"] == xxh3_128_of_9_to_16(data).hex(), "the hash is wrong")
    values["data"] = data.hex()
    return values


def addresses(fields):
    values = {"addresses": []}
    require(fields.left() % 18 == 0 and fields.left() // 18 <= 16, "no such number of addresses")
    while fields.left():
        address, port = ipaddress.IPv6Address(fields.take(16)), fields.number("H")
        require(port >= 1, "no port")
        values["addresses"].append([str(address.ipv4_mapped or address), port])
    return values


def digest(fields):
    values = fields.numbers("stream whose", "QB")
    require(1 <= values["whose"] <= 2, "a stream of neither end")
    return values


def digested(fields):
    values = digest(fields)
    values["state"], values["sha256"] = fields.number("B"), fields.take(32).hex()
    require(1 <= values["state"] <= 4, "no such state")
    require(values["state"] == 1 or values["sha256"] == "00" * 32, "the SHA-256 of nothing")
    return values


MESSAGES = {1: ("START", start), 2: ("JOIN", join), 3: ("HAVE", have), 4: ("HAVE_END", have_end), 5: ("OP", op), 6: ("EXTENT", extent),
            7: ("HOLE", hole), 8: ("SIZE", size), 9: ("SEAL", seal), 10: ("ACK", ack), 11: ("MISSING", missing),
            12: ("REFUSED", refused), 13: ("WANT", want), 14: ("PING", token), 15: ("PONG", token), 16: ("GOODBYE", goodbye),
            17: ("FETCH", fetch), 18: ("FETCHED", fetched), 19: ("ADDRESSES", addresses), 20: ("DIGEST", digest), 21: ("DIGESTED", digested),
            22: ("HOLD", item), 23: ("TAKE", item)}


HEADS = {"EXTENT": 49, "FETCHED": 38}  # of their bodies, what stands before the data


def decode_plain(plain):
    """The messages of a record's plain text."""
    require(len(plain) >= 1, "a record holds at least one message")
    record, found, raw_size = Fields(plain), [], 0
    while record.left():
        kind = record.number("B")
        body = Fields(record.take(int.from_bytes(record.take(3), "little")))
        require(kind in MESSAGES, "an unknown type")
        name, decode = MESSAGES[kind]
        found.append({"type": name, **decode(body)})
        require(body.left() == 0, "the body is too long")
        raw_size += 4 + len(body.body)
        if found[-1].get("encoding") == 1:
            raw_size += len(found[-1]["data"]) // 2 - (len(body.body) - HEADS[name])
        require(raw_size <= 1052672, "unpacked, the record would be too long")
    return found


# Sections 7 and 8: operations and names


def name_of(fields):
    name = fields.take(fields.number("B"))
    require(name not in (b"", b".", b"..") and b"/" not in name, "not a name")
    require(all(byte >= 0x20 and byte != 0x7f for byte in name), "a control byte in a name")
    return name.hex()


def make(fields):
    values = fields.numbers("item parent what mode mtime when", "QQBHqq")
    require(1 <= values["what"] <= 3 and values["mode"] <= 0o777, "MAKE is out of range")
    values["name"] = name_of(fields)
    require(values["parent"] != 0 or values["name"] != b".ftx".hex(), ".ftx at the root")
    target = fields.rest()
    require(1 <= len(target) <= 4095 if values["what"] == 3 else not target, "the target's size is out of range")
    require(b"\0" not in target, "NUL in a target")
    values["target"] = target.hex()
    return values


def move(fields):
    values = fields.numbers("item parent when", "QQq")
    values["name"] = name_of(fields)
    require(values["parent"] != 0 or values["name"] != b".ftx".hex(), ".ftx at the root")
    return values


def attr(fields):
    values = fields.numbers("item mode mtime", "QHq")
    require(values["mode"] <= 0o777, "more than nine permission bits")
    return values


def drop(fields):
    return fields.numbers("item when", "Qq")


def halt(fields):
    return fields.numbers("item", "Q")


def xattr_name(fields):
    name = fields.take(fields.number("B"))
    require(1 <= len(name) <= 250 and b"\0" not in name and not name.startswith(b"ftx."), "not an attribute's name")
    return name.hex()


def xattr(fields):
    values = {**fields.numbers("item", "Q"), "name": xattr_name(fields), "value": fields.rest().hex()}
    require(5 + (len(values["name"]) + len(values["value"])) // 2 <= 65536, "the attribute is too large")
    return values


def xattr_gone(fields):
    return {**fields.numbers("item", "Q"), "name": xattr_name(fields)}


OPERATIONS = {1: ("MAKE", make), 2: ("MOVE", move), 3: ("ATTR", attr), 4: ("DROP", drop), 5: ("HALT", halt),
              6: ("XATTR", xattr), 7: ("XATTR_GONE", xattr_gone), 8: ("CANCEL", drop)}


def decode_operation(body):
    fields = Fields(body)
    kind = fields.number("B")
    require(kind in OPERATIONS, "an unknown operation")
    name, decode = OPERATIONS[kind]
    values = {"kind": name, **decode(fields)}
    require(fields.left() == 0, "the operation is too long")
    require(values["item"] >= 1, "items are numbered from 1")
    return values


# Section 10: announcements


def decode_announcement(datagram):
    fields = Fields(datagram)
    require(fields.take(4) == b"FTXA" and fields.number("B") == 1, "not an announcement of version 1")
    require(fields.number("B") == 0, "the reserved byte is not 0")
    values = {"port": fields.number("H"), "nonce": fields.take(16).hex(), "tags": [fields.take(8).hex() for _ in range(64)]}
    require(fields.left() == 0, "the announcement is too long")
    return values


def lan_tag(nonce, role, label=None, link_secret=None):
    """`role` is that of who announces."""
    if link_secret is None:
        return hashlib.sha512(b"FTXP/1 lan pair" + nonce + bytes([role]) + label.encode()).hexdigest()[:16]
    return hmac.new(link_secret, b"FTXP/1 lan resume" + nonce + bytes([role]), "sha512").hexdigest()[:16]


def check_announcement():
    datagram = vector(".", "announce")
    values = decode_announcement(datagram)
    nonce = bytes.fromhex(values["nonce"])
    assert values["port"] == 15820
    assert lan_tag(nonce, 1, label="7") in values["tags"]
    assert lan_tag(nonce, 2, link_secret=bytes(range(100, 132))) in values["tags"]
    assert lan_tag(nonce, 2, label="7") not in values["tags"]
    for end in range(len(datagram)):
        assert refuses(decode_announcement, datagram[:end]), f"announcement, cut at {end}"


# XXH3-128, seed 0, of 9 to 16 bytes, from its own specification: enough to hold the vectors' hash.

MASK = 2**64 - 1


def xxh3_128_of_9_to_16(data):
    secret = bytes.fromhex("cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c")
    words = struct.unpack("<4Q", secret)
    low, high = struct.unpack("<Q", data[:8])[0], struct.unpack("<Q", data[-8:])[0]
    product = (low ^ high ^ words[0] ^ words[1]) * 0x9E3779B185EBCA87
    product_low = ((product & MASK) + ((len(data) - 1) << 54)) & MASK
    high ^= words[2] ^ words[3]
    product_high = ((product >> 64) + high + (high & 0xFFFFFFFF) * (0x85EBCA77 - 1)) & MASK
    product_low ^= int.from_bytes(product_high.to_bytes(8, "little"), "big")
    last = product_low * 0xC2B2AE3D27D4EB4F
    last_high = ((last >> 64) + product_high * 0xC2B2AE3D27D4EB4F) & MASK
    return avalanche(last_high) + avalanche(last & MASK)


def avalanche(word):
    word ^= word >> 37
    word = word * 0x165667919E3779F9 & MASK
    return (word ^ word >> 32).to_bytes(8, "big")


# The vectors


def read_hex(path):
    with open(path, encoding="ascii") as file:
        return bytes.fromhex("".join(line for line in file if not line.startswith("#")))


def vector(folder, name):
    return read_hex(os.path.join(HERE, folder, name + ".hex"))


def refuses(decode, body):
    try:
        decode(body)
    except Refused:
        return True
    return False


def check_all():
    with open(os.path.join(HERE, "expected.json"), encoding="ascii") as file:
        expected = json.load(file)
    for folder in ("messages", "ops"):
        names = {name[:-4] for name in os.listdir(os.path.join(HERE, folder)) if name.endswith(".hex")}
        assert names == set(expected[folder]), f"{folder} and expected.json name different vectors"
    for folder, word, kinds in (("messages", "type", MESSAGES), ("ops", "kind", OPERATIONS)):
        assert {values[word] for values in expected[folder].values()} == {name for name, _ in kinds.values()}, f"each of {folder} has a vector"
    for name, values in expected["messages"].items():
        plain = vector("messages", name)
        assert decode_plain(plain) == [values], name
        for end in range(len(plain)):
            assert refuses(decode_plain, plain[:end]), f"{name}, cut at {end}"
    for name, values in expected["ops"].items():
        body = vector("ops", name)
        assert decode_operation(body) == values, name
        more = b"\0" * (65541 if values["kind"] == "XATTR" else 1)  # a value may end anywhere
        assert refuses(decode_operation, body + more), f"{name} and more bytes"
    records = expected["records"]
    mixed = [expected["messages"][name] for name in records["mixed"]]
    plain = vector("records", "mixed-plain")
    assert decode_plain(plain) == mixed
    for name, (cipher, number) in records["sealed"].items():
        assert open_record(vector("records", name), cipher, bytes.fromhex(records["key"]), number) == plain, name
    check_announcement()
    print(f"{len(expected['messages'])} messages, {len(expected['ops'])} operations, {1 + len(records['sealed'])} records, an announcement: as expected")


def main(arguments):
    if not arguments:
        check_all()
        return
    data = read_hex(arguments[1])
    if arguments[0] == "announce":
        print(json.dumps(decode_announcement(data), indent=1))
        return
    if arguments[0] == "ops":
        print(json.dumps(decode_operation(data), indent=1))
        return
    if arguments[0] == "records" and len(arguments) == 5:
        data = open_record(data, arguments[2], bytes.fromhex(arguments[3]), int(arguments[4]))
    print(json.dumps(decode_plain(data), indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
