# SPDX-License-Identifier: MIT
"""Kills and cuts in the middle of transfers: equal trees at the end, nothing sent twice that was kept, nothing half shown as whole."""
import contextlib
import os
import random
import threading

import pytest

import trees
from harness import MIB, progress, run, scaled, state, wait_state, wait_until

SLACK = 16 * MIB  # what a kill may cost: sent, and not yet known to be kept
SEED = int(os.environ.get("FTX_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)


@pytest.fixture
def random_counts():
    """Ten byte counts between 3 and 95 percent of a size; the seed is printed with a failure (FTX_TEST_SEED repeats it)."""
    print(f"FTX_TEST_SEED={SEED}")
    source = random.Random(SEED)
    return lambda size: sorted(int(size * source.uniform(0.03, 0.95)) for _ in range(10))


@pytest.fixture
def link(make_pair):
    """A pair over a link of 40 MiB/s, so that byte counts mean something."""
    pair = make_pair(through_proxy=True, debug=False)
    pair.proxy.rate(up=40 * MIB)
    return pair


def kill_at(pair, count, victims):
    """Waits until `count` bytes went up in all, at which byte the link falls silent and the victims die."""
    struck = threading.Event()

    def strike():
        pair.proxy.stall()
        for node in victims:
            node.kill9_now()
        struck.set()
    pair.proxy.at("up", max(count, pair.proxy.count["up"] + 1), strike)
    wait_until(struck.is_set, f"{count} bytes on the wire")
    for node in victims:
        node.kill9()
    pair.proxy.cut()
    pair.proxy.go_on()


@pytest.mark.limit(240)
@pytest.mark.parametrize("who", ["sender", "receiver", "both", "network"])
def test_ten_kills_in_one_large_file(link, scratch, random_counts, who):
    pair, size = link, scaled(256 * MIB)
    victims = {"sender": [pair.a], "receiver": [pair.b], "both": [pair.a, pair.b], "network": []}[who]
    source, path = os.path.join(scratch, "large"), pair.got("large")
    trees.write_random(source, size, SEED)
    base, lost = pair.proxy.count["up"], 0
    run("cp", "-a", source, pair.sent())  # its close is answered: from here on it must not be lost
    for count in random_counts(size):
        kill_at(pair, base + count, victims)
        for node in victims:
            node.start()
        assert state(pair.sent("large")) in ("queued", "sending", "interrupted"), "the kill hit nothing"
        assert state(path) != "complete", "the kill came after the work was done"
        wired, here = pair.proxy.count["up"] - base, progress(path)[0]
        lost = max(0, wired - here)  # over all strikes so far: sent, and not kept
        print(f"{who} at {count}: {wired} on the wire, {here} here")
        pair.proxy.restore()
    pair.proxy.rate()
    pair.wait_complete("large", timeout=100)
    assert trees.sha256(path) == trees.sha256(source)
    assert os.stat(path).st_mtime_ns == os.stat(source).st_mtime_ns
    wait_state(pair.sent("large"), "delivered")
    wired = pair.proxy.count["up"] - base
    assert lost <= 10 * SLACK
    assert wired <= size * 1.01 + lost + SLACK, f"{wired} on the wire for {size} bytes, {lost} of them lost"


@pytest.mark.limit(240)
@pytest.mark.parametrize("who", ["sender", "receiver", "both"])
def test_ten_kills_in_a_tree(link, scratch, random_counts, who):
    pair = link
    victims = {"sender": [pair.a], "receiver": [pair.b], "both": [pair.a, pair.b]}[who]
    source = os.path.join(scratch, "tree")
    trees.make_zoo(source)
    trees.make_many(os.path.join(source, "many"), scaled(2000), 20)
    for index in range(6):
        trees.write_random(os.path.join(source, f"big-{index}"), scaled(8 * MIB), index)
    size = sum(min(info.st_size, 512 * info.st_blocks) for _, info in trees.walk(source))
    run("cp", "-a", source, pair.sent())
    for count in random_counts(size * 0.8):  # holes do not go over the wire
        kill_at(pair, count, victims)
        for node in victims:
            node.start()
        pair.proxy.restore()
    pair.proxy.rate()
    pair.wait_tree(source, "tree", timeout=100)


@pytest.mark.main_path
def test_durable_bytes_are_not_sent_again(link):
    """After a restart of both ends nothing of what the receiver has is on the wire once more."""
    pair, size = link, 64 * MIB
    data = trees.random_bytes(size)
    with open(pair.sent("half"), "wb") as out:
        out.write(data)
    start = pair.proxy.count["up"]
    kill_at(pair, start + size // 2, [pair.a, pair.b])
    pair.a.start()
    pair.b.start()
    here, total = progress(pair.got("half"))
    assert total == size and size // 2 - SLACK <= here <= size // 2 + SLACK
    before = pair.proxy.count["up"]
    pair.proxy.restore()
    pair.proxy.rate()
    pair.wait_complete("half")
    assert pair.proxy.count["up"] - before <= (size - here) * 1.01 + MIB
    with open(pair.got("half"), "rb") as file:
        assert file.read() == data


def test_delivered_files_cost_nothing_after_a_restart(link, scratch):
    pair, source = link, os.path.join(scratch, "many")
    trees.make_many(source, scaled(2000), 20)
    run("cp", "-a", source, pair.sent())
    pair.send_file("big", trees.random_bytes(16 * MIB))
    pair.wait_tree(source, "many")
    wait_state(pair.sent("big"), "delivered")
    for path in trees.files(source):
        wait_state(os.path.join(os.fsencode(pair.sent("many")), path), "delivered")
    for node in (pair.a, pair.b):
        node.kill9()
    before = pair.proxy.count["up"]
    pair.b.start()
    pair.a.start()
    pair.wait_connected()
    pair.send_file("after", b"x")
    assert pair.proxy.count["up"] - before < MIB


def test_a_cut_network_goes_on_by_itself(link):
    pair, data = link, trees.random_bytes(64 * MIB)
    with open(pair.sent("cut"), "wb") as out:
        out.write(data)
    for number in range(3):
        start = pair.proxy.count["up"]
        wait_until(lambda start=start: pair.proxy.count["up"] > start + MIB, "bytes on the wire")
        assert state(pair.got("cut")) != "complete", f"cut {number} came too late"
        pair.proxy.cut()
        wait_state(pair.sent(), "offline")
        pair.proxy.restore()
    pair.wait_complete("cut")
    with open(pair.got("cut"), "rb") as file:
        assert file.read() == data


def test_a_file_open_at_the_kill_is_interrupted(link):
    """Never complete at the peer, here `interrupted`; writing it again makes it whole."""
    pair, part = link, trees.random_bytes(8 * MIB)
    handle = os.open(pair.sent("open"), os.O_CREAT | os.O_WRONLY, 0o644)
    os.write(handle, part)
    wait_until(lambda: progress(pair.got("open"))[0] >= 4 * MIB, "half of it to arrive")
    pair.a.kill9()
    with contextlib.suppress(OSError):
        os.close(handle)
    assert state(pair.got("open")) != "complete"
    pair.a.start()
    wait_state(pair.sent("open"), "interrupted")
    pair.wait_connected()
    wait_state(pair.got("open"), "interrupted")
    pair.send_file("other", b"the rest goes on")
    assert state(pair.got("open")) == "interrupted"
    with open(pair.sent("open"), "wb") as out:
        out.write(part + b"the end")
    pair.wait_complete("open")
    with open(pair.got("open"), "rb") as file:
        assert file.read() == part + b"the end"


@pytest.mark.limit(150)
def test_a_closed_file_is_never_lost(make_pair, scratch):
    """Kills right after close was answered, with no peer and no time to sync."""
    pair, expected = make_pair(through_proxy=True, debug=False), os.path.join(scratch, "expected")
    os.mkdir(expected)
    pair.proxy.cut()
    for round_number in range(10):
        for index in range(20):
            name, data = f"{round_number}-{index}", trees.random_bytes(index * 3001, index)
            for folder in (expected, pair.sent()):
                with open(os.path.join(folder, name), "wb") as out:
                    out.write(data)
        pair.a.kill9()
        pair.a.start()
        lines = trees.differences(expected, pair.sent(), times=False)
        assert not lines, lines
    pair.proxy.restore()
    wait_until(lambda: sorted(os.listdir(pair.got())) == sorted(os.listdir(expected)), "all names", 60)
    for name in os.listdir(expected):
        pair.wait_complete(name)
    trees.compare_trees(expected, pair.got(), times=False)


def test_changes_made_while_the_peer_is_down_arrive(link, scratch):
    pair, source = link, os.path.join(scratch, "zoo")
    trees.make_zoo(source)
    run("cp", "-a", source, pair.sent())
    pair.wait_tree(source, "zoo")
    pair.b.kill9()
    for top in (source, pair.sent("zoo")):
        os.rename(os.path.join(top, "*"), os.path.join(top, "star"))
        os.mkdir(os.path.join(top, "new folder"))
        os.utime(os.path.join(top, "new folder"), ns=(1, 2_000_000_001))
        with open(os.path.join(top, "sparse"), "r+b") as file:
            file.seek(1 << 20)
            file.write(b"patched")
        os.utime(os.path.join(top, "sparse"), ns=(1, 3_000_000_001))
        os.utime(top, ns=(1, 4_000_000_001))
    pair.b.start()
    pair.wait_tree(source, "zoo")
