#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes the seeds of tests/fuzz/corpus, mostly from the tables in docs/protocol.md; what it wrote is kept, so that CI replays the same bytes."""
import os
import struct

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def seed(folder, name, data):
    os.makedirs(os.path.join(TOP, folder), exist_ok=True)
    with open(os.path.join(TOP, folder, name), "wb") as out:
        out.write(data)


def message(kind, body):
    return bytes([kind]) + len(body).to_bytes(3, "little") + body


def name(text):
    return bytes([len(text)]) + text


BLOCK = 128 << 10


def runs(size):
    """A frame of zstd by hand: one byte repeated."""
    sizes = [BLOCK] * (size // BLOCK) + [size % BLOCK] * (size % BLOCK > 0)
    blocks = [(piece << 3 | 1 << 1 | (number == len(sizes) - 1)).to_bytes(3, "little") + b"x" for number, piece in enumerate(sizes)]
    return b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", size) + b"".join(blocks)


def vector(name):
    with open(os.path.join(TOP, "../../vectors", name + ".hex"), encoding="ascii") as file:
        return bytes.fromhex("".join(line for line in file if not line.startswith("#")))


def golden(name):
    """The frame of a vector: of its EXTENT or FETCHED, what stands behind the head."""
    return vector("messages/" + name)[4 + 49:]


def codec_seeds():
    """How many bytes it is to hold, then a frame."""
    text = golden("extent-zstd")
    yield "text", struct.pack("<I", 734) + text
    yield "text-fewer", struct.pack("<I", 733) + text
    yield "text-cut", struct.pack("<I", 734) + text[:-9]
    yield "text-twice", struct.pack("<I", 734) + 2 * text
    for size in (1, 255, 256, BLOCK, 1 << 20, (1 << 20) + 1):
        yield f"runs-{size}", struct.pack("<I", size) + runs(size)
    yield "raw-block", struct.pack("<I", 11) + b"\x28\xb5\x2f\xfd\x20\x0b" + (11 << 3 | 1).to_bytes(3, "little") + b"hello world"
    yield "window", struct.pack("<I", 1000) + b"\x28\xb5\x2f\xfd\x40\x50\xe8\x02" + (1000 << 3 | 3).to_bytes(3, "little") + b"x"
    yield "skippable", struct.pack("<I", 4) + bytes.fromhex("502a4d180400000066747866")
    yield "content", b"\0\0\0\0" + b"one line of text, and again " * 40


def op_seeds():
    when = 1_700_000_000_123_456_789
    yield "make-file", struct.pack("<BQQBHqq", 1, 1, 0, 1, 0o644, when, when) + name(b"file")
    yield "make-folder", struct.pack("<BQQBHqq", 1, 2, 0, 2, 0o755, -1, 0) + name(b"x" * 255)
    yield "make-link", struct.pack("<BQQBHqq", 1, 3, 2, 3, 0o777, when, when) + name(b"link") + b"../file"
    yield "make-up", struct.pack("<BQQBHqq", 1, 4, 2, 1, 0o644, when, when) + name(b"..")
    yield "move", struct.pack("<BQQq", 2, 1, 2, when) + name(b"moved \xff")
    yield "attr", struct.pack("<BQHq", 3, 1, 0o600, when)
    yield "drop", struct.pack("<BQq", 4, 1, when)
    yield "xattr", struct.pack("<BQ", 6, 1) + name(b"mime_type") + b"text/plain"
    yield "xattr-long", struct.pack("<BQ", 6, 1) + name(b"n" * 250) + bytes(index % 251 for index in range(8000))
    yield "xattr-ours", struct.pack("<BQ", 6, 1) + name(b"ftx.state") + b"complete"
    yield "xattr-gone", struct.pack("<BQ", 7, 1) + name(b"mime_type")


def op_runs():
    """Several operations one after the other, as fuzz_ops.c reads them: u16 length and the bytes of each."""
    def make(item, parent, what, text, target=b""):
        return struct.pack("<BQQBHqq", 1, item, parent, what, 0o755, 1, 2) + name(text) + target

    def move(item, parent, text):
        return struct.pack("<BQQq", 2, item, parent, 3) + name(text)

    def drop(item):
        return struct.pack("<BQq", 4, item, 4)

    def xattr(item, text, value):
        return struct.pack("<BQ", 6, item) + name(text) + value

    tree = [make(1, 0, 2, b"a"), make(2, 1, 2, b"b"), make(3, 2, 1, b"f"), make(4, 0, 1, b"g")]
    runs = {
        "tree": tree,
        "over": tree + [move(4, 2, b"f"), drop(4)],
        "swap": tree + [move(2, 0, b"c"), move(1, 2, b"a"), move(2, 1, b"b")],
        "gone": tree + [drop(3), drop(2), drop(1), make(5, 1, 1, b"x"), drop(4)],
        "halt": tree + [struct.pack("<BQ", 5, 3), struct.pack("<BQHq", 3, 3, 0o600, 9), move(3, 0, b"g")],
        "deep": [make(item, item - 1, 2, b"d") for item in range(1, 70)],
        "links": tree + [make(6, 2, 3, b"l", b"../g"), make(7, 0, 3, b"m", b"../g"), move(6, 0, b"l")],
        "xattrs": tree + [xattr(3, b"a", b"1"), xattr(3, b"a", b"22"), xattr(1, b"b", b""), struct.pack("<BQ", 7, 3) + name(b"a"),
                          xattr(4, b"c", b"x" * 300), drop(1), make(6, 0, 2, b"a"), xattr(6, b"d", b"4"), drop(4)],
    }
    for label, ops in runs.items():
        yield f"run-{label}", b"".join(struct.pack("<H", len(op)) + op for op in ops)


def all_messages():
    digest = bytes(range(16))
    extent = struct.pack("<QIQQIB", 5, 1, 4096, 8192, 11, 0) + digest + b"hello world"
    return [
        ("start", 1, struct.pack("<QQ", 7, 3)), ("join", 2, struct.pack("<Q", 7)),
        ("have", 3, struct.pack("<QI", 5, 1) + 2 * (struct.pack("<QQB", 0, 4096, 1) + digest)), ("have-end", 4, b""),
        *((f"op-{label}", 5, struct.pack("<Q", 1) + body) for label, body in op_seeds()),
        ("extent", 6, extent), ("hole", 7, struct.pack("<QIQQQ", 5, 1, 8192, 1 << 40, 1 << 30)),
        ("size", 8, struct.pack("<QIQ", 5, 1, 1 << 30)), ("seal", 9, struct.pack("<QIQHq", 5, 1, 8192, 0o644, 1)),
        ("ack", 10, struct.pack("<QQ", 9, 8)), ("missing", 11, struct.pack("<QI", 5, 1) + 2 * struct.pack("<QQ", 0, 4096)),
        ("refused", 12, struct.pack("<QB", 5, 4)), ("want", 13, struct.pack("<QQQ", 5, 0, 1 << 20)),
        ("ping", 14, struct.pack("<Q", 1)), ("pong", 15, struct.pack("<Q", 1)), ("goodbye", 16, b"\1"),
        ("fetch", 17, struct.pack("<QQI", 5, 4096, 1 << 20)),
        ("fetched", 18, struct.pack("<QQIBB", 5, 4096, 11, 1, 0) + digest + b"hello world"),
        ("fetched-hole", 18, struct.pack("<QQIBB", 5, 0, 1 << 20, 2, 0) + bytes(16)),
        ("fetched-gone", 18, struct.pack("<QQIBB", 5, 1 << 33, 1, 3, 0) + bytes(16)),
        ("addresses", 19, bytes(range(16)) + b"\1\2" + bytes(10) + b"\xff\xff\x7f\0\0\1\xcc\x3d"), ("addresses-none", 19, b""),
        ("digest", 20, struct.pack("<QB", 5, 1)), ("digest-ours", 20, struct.pack("<QB", 5, 2)),
        ("digested", 21, struct.pack("<QBB", 5, 1, 1) + bytes(range(32))), ("digested-gone", 21, struct.pack("<QBB", 5, 2, 2) + bytes(32)),
        ("digested-working", 21, struct.pack("<QBB", 5, 1, 4) + bytes(32)),
        ("extent-zstd", 6, struct.pack("<QIQQIB", 5, 1, 0, 1 << 20, 1 << 20, 1) + digest + runs(1 << 20)),
        ("fetched-zstd", 18, struct.pack("<QQIBB", 5, 4096, 1000, 1, 1) + digest + runs(1000)),
    ]


def message_seeds():
    for label, kind, body in all_messages():
        yield label, message(kind, body)
    yield "all", b"".join(message(kind, body) for _, kind, body in all_messages())


def engine_seeds():
    """The steps of fuzz_engine.c: what, a value, and for a record that comes its size and bytes."""
    pull, build, due, join, ask, disk = 3, 4, 7, 10, 13, 14

    def record(*messages, connection=0):
        plain = b"".join(message(kind, body) for kind, body in messages)
        return bytes([0, connection]) + struct.pack("<H", len(plain)) + plain

    def fetch(offset, length, stream=5):
        return 17, struct.pack("<QQI", stream, offset, length)

    def fetched(stream, offset, length, kind, data=b""):
        return 18, struct.pack("<QQIBB", stream, offset, length, kind, 0) + (bytes(range(16)) if data else bytes(16)) + data

    def out(connection=0, times=1):
        return bytes([pull, connection, build, 0]) * times

    kinds = [fetch(offset, 1000) for offset in range(6)]
    running = out()  # our HAVE_END has left
    yield "fetch", running + record(*kinds) + out()
    yield "fetch-one-by-one", running + b"".join(record(one) + out() for one in kinds)
    yield "fetch-large", running + record(*(fetch(3 * offset, 1 << 20) for offset in range(4))) + out(times=5)
    yield "fetch-unreadable", running + bytes([disk, 1]) + record(*kinds) + out(times=3) + bytes([disk, 0]) + out()
    yield "fetch-readable-again", running + bytes([disk, 1]) + record(*kinds) + out() + bytes([disk, 0]) + out()
    yield "fetch-most", running + record(*(fetch(offset, 1) for offset in range(64))) + out() + record(fetch(0, 1)) + out()
    yield "fetch-too-many", running + record(*(fetch(offset, 1) for offset in range(65))) + out()
    yield "fetch-pulled-not-built", running + record(*kinds) + bytes([pull, 0]) + record(*kinds) + bytes([pull, 0, build, 0, build, 0])
    yield "fetch-before-have-end", record(*kinds) + out()
    yield "fetch-and-content", running + bytes([due, 34, due, 51]) + record(*kinds) + out(times=3) + record((10, struct.pack("<QQ", 3, 2)))
    yield "fetch-data-connection", (running + bytes([join, 0]) + record((2, struct.pack("<Q", 7)), connection=1) + record(*kinds) + out(1, 2)
                                    + record(fetch(0, 1), connection=1))
    asked = running + bytes([ask, 0, ask, 1, ask, 2, ask, 8]) + out()  # 1 byte of stream 0, prefixes of the others
    yield "fetched", asked + record(fetched(0, 0, 1, 1, b"x"), fetched(1, 1, 100, 2), fetched(2, 2, 1, 3), fetched(0, 8, 11, 1, b"hello world"))
    yield "fetched-twice", asked + record(fetched(1, 1, 100, 2)) + record(fetched(1, 1, 100, 2))
    yield "fetched-longer", asked + record(fetched(0, 0, 2, 2))
    yield "fetched-elsewhere", asked + record(fetched(0, 1, 1, 2))
    yield "fetched-before-it-left", running + bytes([ask, 0]) + record(fetched(0, 0, 1, 2))
    yield "fetched-data-connection", running + bytes([join, 0]) + record((2, struct.pack("<Q", 7)), connection=1) + asked + record(
        fetched(1, 1, 5, 1, b"hello"), connection=1)
    def told(stream, state, whose=1):
        return 21, struct.pack("<QBB", stream, whose, state) + (bytes(range(32)) if state == 1 else bytes(32))

    question, hash_it, answer = (20, struct.pack("<QB", 5, 1)), 15, 16
    yield "digest", running + record(question) + bytes([answer, 4, answer, 1]) + out(times=2) + record(question) + bytes([answer, 2]) + out()
    yield "digest-twice", running + record(question, question) + out()
    yield "digest-before-have-end", record(question) + out()
    yield "digested", running + bytes([hash_it, 5]) + out() + record(told(5, 4), told(5, 1)) + bytes([hash_it, 5]) + out() + record(told(5, 3))
    yield "digested-twice", running + bytes([hash_it, 5]) + out() + record(told(5, 1), told(5, 1))
    yield "digested-another", running + bytes([hash_it, 5]) + out() + record(told(5, 1, whose=2))
    yield "digested-unasked", running + record(told(5, 2))
    yield "asks-too-much", running + bytes([ask, 1]) * 70 + out(times=2) + record(*[fetched(1, 1, 9, 2)] * 64) + bytes([ask, 1]) + out()
    def packed(offset, length):
        return 6, struct.pack("<QIQQIB", 1, 1, offset, 1 << 30, length, 1) + bytes(range(16)) + runs(length)

    yield "packed", running + record(packed(0, 1 << 20)) + record(*(packed(offset << 18, 1 << 18) for offset in range(4))) + out()
    yield "packed-too-much", running + record(*(packed(offset << 20, 1 << 20) for offset in range(4))) + out()
    rest = [(kind, body) for label, kind, body in all_messages() if 6 <= kind <= 16 and kind != 10 or label == "op-make-file"]
    yield "each", running + b"".join(record(one) + out() for one in rest)
    yield "content", running + bytes([due, 34, due, 51, due, 2]) + out(times=9) + record((10, struct.pack("<QQ", 4, 2))) + out() + record(
        (10, struct.pack("<QQ", 5, 5)))


def relay_seeds():
    for number, text in enumerate(["/v1/room/7\nrole=s", "/v1/room/a-b-9\nrole=r", "/v1/room/\nrole=s", "/v1/room/A\nrole=s", "/v1/room/7\nrole=sr",
                                   "/health\n", "/v1/room/" + "x" * 65 + "\nrole=s", "one\ntwo\n# three\n\n", "two words\n", "t" * 256, "t" * 257,
                                   "Bearer token", "Bearer", "192.0.2.1", "evil, 192.0.2.1 ", "2001:db8::1", "::ffff:192.0.2.1", "1.2.3", ",",
                                   "192.0.2.1:5000", "a, [2001:db8::1]:65535", "[::1]"]):
        yield f"{number:02}", text.encode()


def http_seeds():
    upgrade = ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
    for number, text in enumerate([upgrade, upgrade[:-2], upgrade + "\x82\x01x", "HTTP/1.0 200 ok\r\n\r\n", "HTTP/1.1 407\r\n\r\n", "HTTP/2 200\r\n\r\n",
                                   "\r\n\r\n", "HTTP/1.1 101 x\r\nUpgrade:\r\n:\r\nSec-WebSocket-Accept:" + "a" * 40 + "\r\n\r\n",
                                   "ws://relay.example:15821", "wss://relay.example/a/b/", "ws://[::1]", "ws://::1", "wss://a:0", "ws://me@a", "ws://a?b",
                                   "http://me:secret@proxy:3128/", "proxy", "http://[::1]:1", "localhost,.example,*", ", ,",
                                   upgrade[:-2] + "Ftx-Address: 203.0.113.7:15820\r\n\r\n"]):
        yield f"{number:02}", text.encode("latin-1")


def frame_seeds():
    yield "words", b"\x81\x07waiting\x89\x00\x81\x06paired"
    yield "binary", b"\x82\x7e\x01\x00" + bytes(256) + b"\x02\x01x\x80\x01y" + b"\x88\x02\x03\xe8"
    yield "long", b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + bytes(65536)
    for number, head in enumerate([b"\x82\x81", b"\xc2\x01", b"\x83\x01", b"\x09\x01", b"\x89\x7e\x00\x7e", b"\x82\x7e\x00\x7d",
                                   b"\x82\x7f\x80" + bytes(7), b"\x82\x7f\x7f" + b"\xff" * 7, b"\x82"]):
        yield f"bad-{number}", head


def main():
    addresses = ["name", "name:1", "1.2.3.4:1", "[::1]:1", "::1", ":1", "", "[", "[::1", "[::1]", "a:65535", "a:65536", "a:-1",
                 "[fe80::1%eth0]:15820", "none", ":", "a:b:c", "x" * 300 + ":1"]
    for number, text in enumerate(addresses):
        seed("address", f"{number:02}", text.encode())
    ranges = ["0.0.0.0/0", "192.0.2.0/24", "192.0.2.1", "192.0.2.1/24", "192.0.2.128/25", "::/0", "2001:db8::/32", "fe80::/10",
              "::ffff:192.0.2.0/120", "::1/128", "1.2.3.4/33", "/8", "fe80::1%eth0", "1" * 300]
    for number, text in enumerate(ranges):
        seed("cidr", f"{number:02}", text.encode())
    with open(os.path.join(TOP, "../../net/tailscale.json"), "rb") as file:
        status = file.read()
    seed("tailnet", "status", status)
    seed("tailnet", "cut", status[:1500])
    seed("tailnet", "stopped", status.replace(b"Running", b"Stopped"))
    seed("tailnet", "small", b'{"BackendState":"Running","Self":{"TailscaleIPs":["100.64.0.1"]},"Peer":{"a":{"TailscaleIPs":["fd7a::2"]}}}')
    seed("tailnet", "deep", b"[" * 2000)
    announcement = vector("announce")
    seed("announce", "golden", announcement)
    seed("announce", "cut", announcement[:-1])
    seed("announce", "longer", announcement + b"\0")
    seed("announce", "version", announcement[:4] + b"\2" + announcement[5:])
    seed("announce", "port-0", announcement[:6] + bytes(2) + announcement[8:])
    for label, data in message_seeds():
        seed("messages", label, data)
    for label, steps in engine_seeds():
        for role, mode in (("r", 2), ("s", 3)):  # START and HAVE_END came
            seed("engine", f"{label}-{role}", bytes([mode]) + steps)
    for label, data in codec_seeds():
        seed("codec", label, data)
    for folder, seeds in (("relay", relay_seeds), ("http", http_seeds), ("frame", frame_seeds)):
        for label, data in seeds():
            seed(folder, label, data)
    for label, data in op_seeds():
        seed("ops", label, data)
    for label, data in op_runs():
        seed("ops", label, data)
    names = [b"name", b".", b"..", b"", b"a/b", b"/", b"a\0b", b".ftx", b"new\nline", b"\x7f", b"\xff\xfe", b"x" * 255, b"x" * 256,
             "日本".encode(), b"a/" * 64 + b"b", b"../../etc/passwd", b"/etc/passwd"]
    for number, text in enumerate(names):
        seed("names", f"{number:02}", text)
    to_r, to_s = 8, 0  # steps of fuzz_handshake.c that pass on all there is
    for mode in range(16):
        seed("handshake", f"honest-{mode}", bytes([mode] + [to_r, to_s] * 8))
        for what, label in ((1, "flip"), (2, "drop"), (3, "reflect"), (4, "make-up")):
            for when in (0, 2, 5):
                steps = [to_r, to_s] * 8
                steps.insert(when, what | 7 << 4 | (to_r if when % 2 == 0 else to_s))
                seed("handshake", f"{label}-{mode}-{when}", bytes([mode] + steps) + bytes(range(64)))
        seed("handshake", f"slow-{mode}", bytes([mode] + [to_r | 5 << 4, to_s | 5 << 4] * 64))
    for label, size, sent in (("smallest", 17, 17), ("cut", 4096, 100), ("largest", 16 + 1_052_672, 64), ("over", 17 + 1_052_672, 64),
                              ("empty", 16, 16), ("zero", 0, 8), ("huge", 0xffffffff, 8)):
        seed("record", label, struct.pack("<I", size) + bytes(sent))
    for number in range(1, 15):
        seed("change", f"kind-{number:02}", bytes([number]) + bytes(range(120)))
        seed("change", f"zero-{number:02}", bytes([number]) + bytes(120))
    seed("change", "named-here", b"\x01" + struct.pack("<QQQQQQQqqIHBBBBHcH", 9, 3, 0, 0, 4, 0, 5, 6, 7, 1, 0x8000 | 0o644, 1, 1, 5, 0, 1, b"n", 0))
    seed("change", "history", b"\x0e" + struct.pack("<QqQQBBBH", 9, 5, 7, 8, 1, 3, 6, 5) + b"alice" + struct.pack("<H", 9) + b"inbox/a/b")
    for label, line in (("pause", b"pause 7-guitar-harvest"), ("all", b"resume *"), ("force", b"unpair alice force"), ("tab", b"retry\talice"),
                        ("blanks", b"cancel outbox/alice/a b\xe9 c"), ("priority", b"priority outbox/alice/a b 10 "),
                        ("none", b"priority alice -"), ("limit", b"limit * up=2M down=none"), ("too-large", b"limit alice up=8388608T"),
                        ("largest", b"config alice max_files=9223372036854775807"), ("accept", b"config alice accept=none"),
                        ("group", b"group team = 7-guitar-harvest alice"), ("group_less", b"group team - alice"), ("group_none", b"group team ="),
                        ("ungroup", b"ungroup team force"), ("comment", b"\t # nothing")):
        seed("command", label, line)
    for number, text in enumerate(["# mine\n\nlisten = [::1]:15820\n", "peer = a:1\npeer=b:2 # two\n", "no_lan\nno-portmap\r\nallow_other\n",
                                   "allow = 192.0.2.0/24,tailscale\nrelay = wss://relay.example\n", "store = ~/x\n", "store = /x\nkeep = all",
                                   "listen =\n", "= 1\n", "no_lan = 1\n", "fsname=x,allow_other\n", "config = /x\n", "spool_max = 20G\nhistory_max=0\n"]):
        seed("config", f"{number:02}", text.encode())
    for label, line in (("times", b"limit alice up=08:00-18:00=2M,22:00-24:00=none,else=512K"), ("endings", b"config alice deny_ext=exe,tar.gz"),
                        ("kinds", b"config alice allow_mime=image/png,video/*"), ("ask", b"config alice accept=ask"),
                        ("reject", b"reject inbox/alice/song.flac")):
        seed("command", label, line)
    for label, text in (("day", b"08:00-18:00=2M"), ("night", b"22:00-06:00=none,else=64K"), ("whole", b"00:00-24:00=1"), ("plain", b"1G"),
                        ("overlap", b"08:00-18:00=1,17:59-18:00=2"), ("commas", b",,"), ("many", b",".join(b"%02d:00-%02d:30=1" % (h, h) for h in range(9)))):
        seed("timetable", label, text)
    seed("journal", "zeros", bytes(4096))
    seed("journal", "counting", bytes(index % 251 for index in range(8192)))
    seed("any", "empty", b"")
    seed("any", "zeros", bytes(64))
    seed("any", "counting", bytes(range(256)))


if __name__ == "__main__":
    main()
