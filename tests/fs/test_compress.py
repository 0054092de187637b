# SPDX-License-Identifier: MIT
"""Compression on real mounts: what shrinks takes fewer bytes on the wire and arrives as it was, whatever is killed meanwhile."""
import contextlib
import os
import random
import subprocess
import threading

import pytest

import peer
import trees
from ftxp import SENDER
from harness import BIN, CODE, MIB, progress, run, scaled, state, wait_state, wait_until, xattr
from liar import paired, read, write

ON, OFF = {"compress": "on"}, {"compress": "off"}


def text(size, seed=0):
    """Words that shrink to about a third."""
    source = random.Random(seed)
    words = [bytes(source.choices(range(97, 123), k=source.randrange(2, 10))) for _ in range(2000)]
    out = b""
    while len(out) < size:
        out += b" ".join(source.choices(words, k=20000)) + b"\n"
    return out[:size]


def link_of(node):
    return next(link for link in node.status()["links"] if link["name"] == CODE)


def write_tree(top):
    """Text in all sizes, and some of what does not shrink."""
    for number, size in enumerate([scaled(24 * MIB), 3 * MIB + 17, MIB, 65536, 65535, 5000, 128, 127, 1, 0]):
        os.makedirs(os.path.join(top, f"folder {number % 3}"), exist_ok=True)
        write(os.path.join(top, f"folder {number % 3}", f"text {number}"), text(size, number))
    write(os.path.join(top, "noise"), trees.random_bytes(MIB + 5))
    write(os.path.join(top, "half"), trees.random_bytes(MIB) + text(MIB))
    with open(os.path.join(top, "sparse"), "wb") as file:
        file.truncate(30 * MIB)
        file.seek(9 * MIB)
        file.write(text(100000))
    for number in range(200):
        write(os.path.join(top, f"small {number}"), text(4096, number))


@pytest.fixture
def source(scratch):
    top = os.path.join(scratch, "source")
    write_tree(top)
    return top


@pytest.mark.main_path
def test_text_takes_little_more_than_half_of_its_bytes_on_the_wire(make_pair, source):
    """At most: long extents of it shrink to a third. What is cut into small ones, by a slow writer, does not shrink as much."""
    pair = make_pair(through_proxy=True, debug=False, a_options=ON)
    base, size = pair.proxy.count["up"], trees.room(source)
    noise = trees.room(os.path.join(source, "noise")) + trees.room(os.path.join(source, "half"))  # text after noise may go unsampled
    run("cp", "-a", "--sparse=always", source, pair.sent("tree"))
    pair.wait_tree(source, "tree")
    assert pair.proxy.count["up"] - base < noise + (size - noise) * 0.6
    sent, came = link_of(pair.a), link_of(pair.b)
    assert sent["up_compressed"] == came["down_compressed"]
    assert sent["up_compressed"]["before"] > (size - noise) * 0.9
    assert sent["up_compressed"]["after"] < sent["up_compressed"]["before"] * 0.6
    assert came["up_compressed"] == sent["down_compressed"] == {"before": 0, "after": 0}
    assert sent["up_bytes"] >= sent["up_compressed"]["before"]  # as before: bytes of content


def test_nothing_is_compressed_when_it_is_off(make_pair):
    pair = make_pair(through_proxy=True, debug=False, a_options=OFF)
    data = text(2 * MIB)
    pair.proxy.rate(up=2 * MIB)
    pair.send_file("file", data)
    assert pair.proxy.count["up"] > len(data)
    assert link_of(pair.a)["up_compressed"] == {"before": 0, "after": 0}


def test_what_does_not_shrink_costs_nothing_on_the_wire(make_pair):
    pair = make_pair(through_proxy=True, debug=False, a_options=ON)
    base, data = pair.proxy.count["up"], trees.random_bytes(8 * MIB)
    pair.send_file("noise", data)
    assert pair.proxy.count["up"] - base < len(data) * 1.01
    assert link_of(pair.a)["up_compressed"]["before"] == 0


def test_a_slow_network_is_reason_enough(make_pair):
    """The default: the queue for the socket is full, and it drains slower than any processor compresses."""
    pair = make_pair(through_proxy=True, debug=False)
    pair.proxy.rate(up=4 * MIB)
    base, data = pair.proxy.count["up"], text(24 * MIB)
    pair.send_file("file", data)
    done = link_of(pair.a)["up_compressed"]
    assert done["before"] > len(data) / 4 and done["after"] < done["before"] * 0.6
    assert pair.proxy.count["up"] - base < len(data) - (done["before"] - done["after"]) * 0.9


@pytest.mark.parametrize("who", ["sender", "receiver"])
def test_kills_in_between(make_pair, source, who):
    pair = make_pair(through_proxy=True, debug=False, a_options=ON)
    pair.proxy.rate(up=MIB)  # so that something is left to send at each kill, however long a start takes
    run("cp", "-a", "--sparse=always", source, pair.sent("tree"))  # its closes were answered
    victim = {"sender": pair.a, "receiver": pair.b}[who]
    for share in (1, 2, 3):
        struck = threading.Event()

        def strike(struck=struck):
            victim.kill9_now()
            struck.set()
        pair.proxy.at("up", max(share * MIB, pair.proxy.count["up"] + 1), strike)
        wait_until(struck.is_set, "bytes on the wire")
        victim.kill9()
        victim.start()
        pair.wait_connected()
    pair.proxy.rate()
    pair.wait_tree(source, "tree")


def test_released_bytes_come_back_compressed(make_pair):
    pair = make_pair(through_proxy=True, debug=False, a_options={"release_after": 1}, b_options=ON)
    data = text(5 * MIB + 12345)
    pair.send_file("file", data)
    wait_until(lambda: os.stat(pair.sent("file")).st_blocks <= 16, "the file to be released")
    with open(pair.sent("file"), "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    base = pair.proxy.count["down"]
    assert read(pair.sent("file")) == data
    assert pair.proxy.count["down"] - base < len(data) / 2
    assert link_of(pair.b)["up_compressed"]["before"] >= len(data) * 0.9
    assert link_of(pair.a)["down_compressed"] == link_of(pair.b)["up_compressed"]


def test_an_update_and_a_read_of_what_has_not_come(make_pair):
    """Extents of a version that is compressed, in any order."""
    pair = make_pair(through_proxy=True, debug=False, a_options=ON)
    first, second = text(12 * MIB, 1), text(12 * MIB, 2)
    pair.send_file("file", first)
    pair.proxy.rate(up=2 * MIB)
    write(pair.sent("large"), second)
    wait_until(lambda: os.path.exists(pair.got("large")) and os.stat(pair.got("large")).st_size == len(second), "its size")
    with open(pair.got("large"), "rb") as file:
        file.seek(len(second) - 5000)
        assert file.read() == second[-5000:]
    with open(pair.sent("file"), "r+b") as file:
        file.seek(5 * MIB)
        file.write(second[:MIB])
    pair.proxy.rate()
    pair.wait_complete("large")
    wait_until(lambda: state(pair.sent("file")) == "delivered", "the update")
    assert read(pair.got("large")) == second
    assert read(pair.got("file")) == first[:5 * MIB] + second[:MIB] + first[6 * MIB:]
    assert progress(pair.sent("file")) == (len(first), len(first)) and xattr(pair.got("file"), "error") in (None, "")


def test_another_implementation_unpacks_it_and_is_unpacked(make_node):
    node = make_node(options=ON, debug=False).start()
    link, data = paired(node, "81-other", SENDER), text(3 * MIB + 5)
    folder = node.inbox("81-other")
    with link.connect() as s:
        s.send_file(b"packed", data, pack=peer.packed)
        wait_state(os.path.join(folder, "packed"), "complete")
        assert read(os.path.join(folder, "packed")) == data
        write(node.outbox("81-other", "file"), data)
        assert s.receive_file(b"file").sealed == data
        assert any(values.get("encoding") == 1 for values in s.messages if values["type"] == "EXTENT")
        s.leave()


def test_frames_of_little_that_hold_much_cost_no_memory(make_node):
    """Each record of some 100 bytes is a MiB for the disk; many of them come at once."""
    node = make_node(options=ON, debug=False).start()
    link, zeros = paired(node, "81-bombs", SENDER), bytes(MIB)
    count, its_frame = scaled(192), peer.frame(bytes(MIB))

    def peak():
        with open(f"/proc/{node.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) / 1024
    with link.connect() as s:
        s.send_file(b"one", zeros, pack=peer.packed)
        before, item = peak(), next(link.items)
        s.send(s.op(peer.make(item, b"many")))
        for number in range(count):
            s.send(peer.packed(item, 1, number * MIB, zeros, its_frame=its_frame))
        s.wait_ack(s.out.count - 1, durable=False)
        s.wait_ack(s.send(peer.seal(item, 1, count * MIB)))
        wait_state(node.inbox("81-bombs", "many"), "complete")
        assert peak() - before < 40
        s.leave()


def test_the_option_takes_three_words(make_node):
    done = subprocess.run([BIN, "-o", "compress=zip", "/nowhere"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 2 and b"'zip' is none of auto, off, on" in done.stderr
    assert b"--compress auto|off|on" in subprocess.run([BIN, "--help"], stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout
    for word in ("auto", "off", "on"):
        node = make_node(name=word, listen=False, options={"compress": word}).start()
        with contextlib.suppress(FileExistsError):
            os.mkdir(node.outbox(CODE))
        assert link_of(node)["up_compressed"] == {"before": 0, "after": 0}
        node.stop()
