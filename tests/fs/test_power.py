# SPDX-License-Identifier: MIT
"""Power cuts at random moments, at either end: stores on a disk that loses whatever was not synced. FTX_TEST_SEED repeats a run."""
import errno
import os
import random
import subprocess
import threading

import pytest

import disks
import trees
from harness import MIB, run, scaled, state, wait_state, wait_until

SEED = int(os.environ.get("FTX_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
CUTS = 4


@pytest.fixture
def ext4(scratch):
    """ext4(node): the node's store is on a disk whose power can be cut."""
    made = []

    def make(node):
        made.append(disks.Ext4(node.store, os.path.join(scratch, f"{node.name}.img"), 512))
        return made[-1]
    yield make
    for disk in made:
        disk.remove()


@pytest.fixture
def source(scratch):
    """Some hundred small files and a large one."""
    top = os.path.join(scratch, "tree")
    trees.make_many(top, scaled(300), 10)
    trees.write_random(os.path.join(top, "large"), scaled(64 * MIB), SEED)
    return top


class Cut:
    """Cuts the node's power once `count` bytes in all have gone up."""

    def __init__(self, pair, node, disk, count):
        self.pair, self.node, self.disk, self.struck = pair, node, disk, threading.Event()
        pair.proxy.at("up", max(count, pair.proxy.count["up"] + 1), self._strike)

    def _strike(self):
        self.disk.cut_power()  # what is answered from here on is not kept
        self.node.kill9_now()
        self.pair.proxy.stall()
        self.struck.set()

    def boot(self):
        """Waits for the cut; starts the node again, with the link still cut."""
        wait_until(self.struck.is_set, "enough bytes on the wire", 60)
        self.node.kill9()
        self.pair.proxy.cut()
        self.pair.proxy.go_on()
        self.disk.restore_power()
        disks.another_boot(self.node.store)
        self.node.start()


def assert_no_wrong_byte(source, top):
    """What is complete under `top` is what was closed in `source`; returns how many files are."""
    n = 0
    for path in trees.files(top) if os.path.exists(top) else []:
        here, there = os.path.join(os.fsencode(top), path), os.path.join(os.fsencode(source), path)
        if state(here) == "complete":
            assert trees.sha256(here) == trees.sha256(there), f"{path!r} is complete with other bytes"
            n += 1
    return n


@pytest.fixture
def setting(request, ext4, make_pair):
    """A pair over a link of 40 MiB/s, of which one end is cut off from power."""
    print(f"FTX_TEST_SEED={SEED}")
    pair = make_pair(connect=False, through_proxy=True, debug=False)
    node = {"sender": pair.a, "receiver": pair.b}[request.param]
    disk = ext4(node)
    pair.connect()
    pair.proxy.rate(up=40 * MIB)
    return pair, node, disk


def wait_settled(pair):
    """Every file of the outbox is delivered, or says why not; returns those that are."""
    pair.proxy.restore()
    pair.wait_connected()
    left = trees.files(pair.sent())
    delivered = []

    def settled():
        while left:
            now = state(os.path.join(os.fsencode(pair.sent()), left[-1]))
            if now not in ("delivered", "interrupted", "failed"):
                return False
            if now == "delivered":
                delivered.append(os.fsdecode(left[-1]))
            left.pop()
        return True
    wait_until(settled, "all that is left to be delivered", 60)
    return delivered


def write_durably(path, data):
    """The file, and that it was closed, survive a power cut."""
    with open(path, "wb") as file:
        file.write(data)
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


@pytest.mark.limit(180)
@pytest.mark.parametrize("setting", ["sender"], indirect=True)
def test_power_cuts_of_the_sender(setting, source):
    pair, node, disk = setting
    chance, size = random.Random(SEED), scaled(64 * MIB)
    for number in range(CUTS):
        write_durably(pair.sent(f"kept{number}"), trees.random_bytes(1000, number))
        cut = Cut(pair, node, disk, pair.proxy.count["up"] + int(size * chance.uniform(0.01, 0.9)))
        subprocess.run(["cp", "-a", source, pair.sent()], stderr=subprocess.DEVNULL, check=False)
        cut.boot()
        delivered = wait_settled(pair)
        assert {f"kept{earlier}" for earlier in range(number + 1)} <= set(delivered)
        for path in delivered:
            assert state(pair.got(path)) == "complete", path
        assert_no_wrong_byte(source, pair.got("tree"))
    pair.proxy.rate()
    run("cp", "-a", source, pair.sent())
    pair.wait_tree(source, "tree")


@pytest.mark.limit(180)
@pytest.mark.parametrize("setting", ["receiver"], indirect=True)
def test_power_cuts_of_the_receiver(setting, source):
    pair, node, disk = setting
    chance, size = random.Random(SEED), scaled(64 * MIB)
    base, copied = pair.proxy.count["up"], False
    for part in sorted(chance.uniform(0.01, 0.9) for _ in range(CUTS)):
        cut = Cut(pair, node, disk, base + int(size * part))
        if not copied:
            run("cp", "-a", source, pair.sent())
        copied = True
        pair.proxy.restore()
        cut.boot()
        delivered = [os.fsdecode(path) for path in trees.files(pair.sent())
                     if state(pair.sent(os.fsdecode(path))) == "delivered"]
        for path in delivered:
            assert state(pair.got(path)) == "complete", f"{path} was acknowledged and is gone"
        assert assert_no_wrong_byte(source, pair.got("tree")) >= len(delivered)
    pair.proxy.restore()
    pair.proxy.rate()
    pair.wait_tree(source, "tree")


@pytest.mark.parametrize("setting", ["sender"], indirect=True)
@pytest.mark.parametrize("change", ["none", "shorten", "overwrite"])
def test_what_the_disk_lost_is_not_taken_for_the_file(setting, change):
    """The store knows that the file was closed; its bytes were never synced. Its hashes tell, where it has them all."""
    pair, node, disk = setting
    pair.proxy.stall()
    data = trees.random_bytes(600_000)
    with open(pair.sent("f"), "wb", buffering=0) as file:
        file.write(data)
        if change == "shorten":
            data = data[:500_000]
            file.truncate(len(data))
        elif change == "overwrite":
            data = data[:1000] + data[:3000] + data[4000:]
            file.seek(1000)
            file.write(data[1000:4000])
    with open(pair.sent("synced"), "wb", buffering=0) as file:  # with it all that the store knows
        file.write(b"x")
        os.fsync(file.fileno())
    disk.cut_power()
    node.kill9()
    pair.proxy.cut()
    pair.proxy.go_on()
    disk.restore_power()
    disks.another_boot(node.store)
    node.start()
    assert os.path.getsize(pair.sent("f")) == len(data)
    delivered = wait_settled(pair)
    assert ("f" in delivered) == (change != "none")
    if change == "none":
        assert state(pair.sent("f")) == "failed" and state(pair.got("f")) == "arriving"
        pair.send_file("f", b"written again")
    else:
        with open(pair.got("f"), "rb") as file:
            assert file.read() == data, "complete with other bytes"


# -- a disk that dies under a running ftxfs ----------------------------------------------------

def assert_alive(node):
    """It answers, though its disk does not."""
    assert node.running(), node.log_tail()
    assert sorted(os.listdir(node.mount)) == ["inbox", "outbox"] and node.status()["links"]


def revive(node, disk):
    """ftxfs can be ended, the disk comes back with what was synced, ftxfs is started."""
    node.terminate(timeout=10)
    disk.restore_power()
    node.start()


@pytest.mark.parametrize("setting", ["sender"], indirect=True)
def test_the_senders_disk_dies(setting):
    pair, node, disk = setting
    for name in ("open", "kept"):
        write_durably(pair.sent(name), trees.random_bytes(100_000))
    handle = os.open(pair.sent("open"), os.O_RDWR)
    disk.cut_power()
    with pytest.raises(OSError) as caught:
        os.fsync(handle)
        while True:
            os.write(handle, trees.random_bytes(100_000))
            os.fsync(handle)
    assert caught.value.errno in (errno.EIO, errno.EROFS)
    for number in range(100):  # answered, or not; none hangs
        try:
            os.mkdir(pair.sent(f"lost{number}"))
        except OSError as error:
            assert error.errno in (errno.EIO, errno.EROFS)
    assert_alive(node)
    os.close(handle)
    revive(node, disk)
    pair.wait_complete("kept")
    pair.send_file("after", b"x")
    for name in ("kept", "after"):
        wait_state(pair.sent(name), "delivered")


@pytest.mark.parametrize("setting", ["receiver"], indirect=True)
def test_the_receivers_disk_dies(setting, source):
    pair, node, disk = setting
    pair.send_file("before", b"x")
    wait_state(pair.sent("before"), "delivered")
    start, died = pair.proxy.count["up"], threading.Event()
    pair.proxy.at("up", start + scaled(16 * MIB), lambda: (disk.cut_power(), died.set()))
    run("cp", "-a", source, pair.sent())
    wait_until(died.is_set, "the disk to die")
    wait_until(lambda: b"cannot be" in open(node.log, "rb").read(), "the receiver to say so")
    assert_alive(node)
    assert state(pair.sent("tree/large")) in ("queued", "sending")
    delivered = [os.fsdecode(path) for path in trees.files(pair.sent()) if state(pair.sent(os.fsdecode(path))) == "delivered"]
    revive(node, disk)
    for path in delivered:
        assert state(pair.got(path)) == "complete", f"{path} was acknowledged and is gone"
    pair.proxy.rate()
    pair.wait_tree(source, "tree")
