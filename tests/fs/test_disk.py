# SPDX-License-Identifier: MIT
"""Disks that run full or fail to sync, at either end: errors where they belong, waiting where room may come, nothing lost."""
import errno
import os

import pytest

import disks
import harness
import trees
from harness import MIB, progress, state, wait_state, wait_until, xattr

@pytest.fixture
def tmpfs(scratch):
    """tmpfs(node, mib): the node's store is on a disk of that size."""
    made = []

    def make(node, mib):
        made.append(disks.Tmpfs(node.store, mib))
        return made[-1]
    yield make
    for disk in made:
        disk.remove()


@pytest.fixture
def full_sender(tmpfs, make_pair):
    """A pair; the sender's disk has 60 MiB, of which nothing is given back."""
    pair = make_pair(connect=False, a_options={"keep": "all"})
    pair.disk = tmpfs(pair.a, 60)
    return pair.connect()


def fill(handle, size):
    """Writes blocks of `size` bytes until the disk is full; returns what was answered."""
    written, number = [], 0
    while True:
        block = trees.random_bytes(size, number)
        number += 1
        while block:
            try:
                n = os.write(handle, block)
            except OSError as error:
                assert error.errno == errno.ENOSPC
                return b"".join(written)
            written.append(block[:n])
            block = block[n:]
        assert number * size < 100 * MIB, "the disk never runs full"


@pytest.mark.parametrize("size", [MIB, 300_001])
def test_a_failed_write_leaves_zeros_behind_what_was_answered(full_sender, size):
    pair = full_sender
    handle = os.open(pair.sent("f"), os.O_CREAT | os.O_RDWR, 0o644)
    data = fill(handle, size)
    assert len(data) > 20 * MIB and os.fstat(handle).st_size == len(data)
    with pytest.raises(OSError) as caught:
        os.pwrite(handle, bytes([1]) * MIB, len(data) + 5 * MIB)
    assert caught.value.errno == errno.ENOSPC
    os.ftruncate(handle, len(data) + 9 * MIB)
    os.close(handle)
    pair.wait_complete("f")
    expected = data + bytes(9 * MIB)
    for path in (pair.sent("f"), pair.got("f")):
        with open(path, "rb") as file:
            assert file.read() == expected
    wait_state(pair.sent("f"), "delivered")


def test_removing_empties_a_full_disk(full_sender):
    pair = full_sender
    before = pair.disk.free()
    for number in range(3):
        with open(pair.sent(f"f{number}"), "wb", buffering=0) as file:
            fill(file.fileno(), MIB)
    with pytest.raises(OSError) as caught, open(pair.sent("more"), "wb", buffering=0) as file:
        file.write(bytes([1]) * MIB)
    assert caught.value.errno == errno.ENOSPC
    for name in os.listdir(pair.sent()):
        os.unlink(pair.sent(name))
    wait_until(lambda: pair.disk.free() > before - 4 * MIB, "the room to come back")
    assert os.listdir(pair.sent()) == []
    pair.send_file("after", trees.random_bytes(30 * MIB))


def resident(node):
    with open(f"/proc/{node.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))


def log_of(node):
    with open(node.log, "rb") as file:
        return file.read()


def test_a_receiver_without_room_waits_until_there_is_some(tmpfs, make_pair):
    pair = make_pair(connect=False, debug=False)
    disk = tmpfs(pair.b, 40)
    pair.connect()
    data = trees.random_bytes(96 * MIB)
    with open(pair.sent("large"), "wb") as file:
        file.write(data)
    wait_until(lambda: b"no room on the disk" in log_of(pair.b), "the receiver to say that its disk is full")
    here = progress(pair.got("large"))[0]
    pair.wait_connected()  # and stays so
    with open(pair.b.outbox(pair.code, "back"), "wb"):
        pass
    wait_state(pair.a.inbox(pair.code, "back"), "complete")  # the session works on
    assert state(pair.sent("large")) == "sending" and xattr(pair.sent("large"), "error") is None
    assert here <= progress(pair.got("large"))[0] <= 40 * MIB
    if not harness.SANITIZED:
        assert resident(pair.b) < 96 * MIB
    disk.grow(200)
    pair.wait_complete("large")
    with open(pair.got("large"), "rb") as file:
        assert file.read() == data
    wait_state(pair.sent("large"), "delivered")
    assert log_of(pair.b).count(b"no room on the disk") == 1


@pytest.fixture
def faulty(scratch, make_pair):
    """faulty(name): a connected pair, of which the node of that name is on a disk that can fail: pair.disk."""
    def make(name):
        pair = make_pair(connect=False, through_proxy=True, debug=False)
        node, other = (pair.a, pair.b) if name == "A" else (pair.b, pair.a)
        pair.disk = disks.Faulty(node, scratch)
        pair.disk.start()
        other.start()
        pair.arm()
        pair.wait_connected()
        return pair
    return make


# -- the receiver's disk fails -----------------------------------------------------------------

def test_what_could_not_be_synced_comes_again(faulty, scratch):
    pair, source = faulty("B"), os.path.join(scratch, "tree")
    trees.make_many(source, 1000, 10)  # synced together
    trees.write_random(os.path.join(source, "large"), 24 * MIB)  # synced alone
    pair.proxy.rate(up=16 * MIB)
    harness.run("cp", "-a", source, pair.sent())
    for number in range(3):
        pair.disk.begin("sync-once", "/objects")
        wait_until(lambda number=number: log_of(pair.b).count(b"cannot be synced") == number + 1, "a sync that failed")
    pair.proxy.rate()
    pair.wait_tree(source, "tree")
    pair.b.kill9()
    pair.b.start()
    pair.wait_connected()
    pair.wait_tree(source, "tree")


@pytest.mark.parametrize("call, where, told", [
    ("write", "/objects", b"what came cannot be stored: "),
    ("sync", "/objects", b"cannot be synced"),
    ("write", "/state.db", b"the store cannot be written: "),
])
def test_a_receiver_whose_disk_fails_goes_on_when_it_works_again(faulty, scratch, call, where, told):
    """Nothing is acknowledged meanwhile, nothing has to be done afterwards."""
    pair, source = faulty("B"), os.path.join(scratch, "tree")
    pair.send_file("before", b"x")
    wait_state(pair.sent("before"), "delivered")
    trees.make_many(source, 100, 4)
    trees.write_random(os.path.join(source, "large"), 8 * MIB)
    pair.disk.begin(call, where)
    harness.run("cp", "-a", source, pair.sent())
    wait_until(lambda: log_of(pair.b).count(told) >= (1 if where == "/state.db" else 2), "the receiver to say that its disk fails")
    files = [os.path.join(os.fsencode(pair.sent("tree")), path) for path in trees.files(source)]
    assert {state(path) for path in files} <= {"queued", "sending"}
    assert all(state(pair.got("tree", os.fsdecode(path))) in (None, "arriving") for path in trees.files(source))
    assert os.stat(pair.got("before")).st_size == 1 and state(pair.got("before")) == "complete"
    pair.disk.end(call)
    pair.wait_tree(source, "tree")
    for path in files:
        wait_state(path, "delivered")
    pair.b.kill9()
    pair.b.start()
    assert not trees.differences(source, pair.got("tree"))


def test_a_receiver_over_its_quota_waits_like_one_without_room(faulty):
    pair = faulty("B")
    data = trees.random_bytes(8 * MIB)
    pair.disk.begin("write", "/objects", errno.EDQUOT)
    with open(pair.sent("f"), "wb") as file:
        file.write(data)
    wait_until(lambda: b"no room on the disk" in log_of(pair.b), "the receiver to say that its disk is full")
    pair.wait_connected()
    assert state(pair.sent("f")) == "sending" and progress(pair.got("f"))[0] == 0
    pair.disk.end("write")
    pair.wait_complete("f")
    with open(pair.got("f"), "rb") as file:
        assert file.read() == data


# -- the sender's disk fails -------------------------------------------------------------------

def refused(number, function, *args):
    with pytest.raises(OSError) as caught:
        function(*args)
    assert caught.value.errno == number


def works_again(number, function, *args):
    """False: it still fails like that."""
    try:
        function(*args)
    except OSError as error:
        assert error.errno == number
        return False
    return True


@pytest.mark.parametrize("error", [errno.EIO, errno.EDQUOT])
def test_a_write_that_fails_is_told_and_the_file_goes_on(faulty, error):
    pair = faulty("A")
    data = trees.random_bytes(300_000)
    handle = os.open(pair.sent("f"), os.O_CREAT | os.O_RDWR, 0o644)
    os.write(handle, data[:100_000])
    pair.disk.begin("write", "/objects", error)
    refused(error, os.write, handle, data[100_000:])
    refused(error, os.pwrite, handle, b"x" * 10, 500_000)
    assert os.fstat(handle).st_size == 100_000
    os.mkdir(pair.sent("folder"))  # needs no contents
    pair.disk.end("write")
    os.write(handle, data[100_000:])
    os.close(handle)
    pair.wait_complete("f")
    for path in (pair.sent("f"), pair.got("f")):
        with open(path, "rb") as file:
            assert file.read() == data
    wait_until(lambda: os.path.isdir(pair.got("folder")), "the folder")


def test_what_cannot_be_read_fails_alone(faulty):
    pair = faulty("A")
    pair.disk.begin("read", "/objects")
    with open(pair.sent("f"), "wb") as file:
        file.write(trees.random_bytes(300_000))
    wait_state(pair.sent("f"), "failed")
    assert xattr(pair.sent("f"), "error")
    with pytest.raises(OSError) as caught, open(pair.sent("f"), "rb") as file:
        file.read()
    assert caught.value.errno == errno.EIO
    pair.disk.end("read")
    pair.send_file("other", b"the rest goes on")
    assert state(pair.got("f")) == "arriving" and state(pair.sent("f")) == "failed"
    pair.send_file("f", b"written again")


def test_fsync_tells_what_the_disk_says(faulty):
    pair = faulty("A")
    with open(pair.sent("f"), "wb", buffering=0) as file:
        for where in ("/objects", "/state.db"):
            file.write(b"data")
            pair.disk.begin("sync", where)
            refused(errno.EIO, os.fsync, file.fileno())
            pair.disk.end("sync")
            wait_until(lambda: works_again(errno.EIO, os.fsync, file.fileno()), "fsync to work again")
    pair.wait_complete("f")


@pytest.mark.parametrize("how", ["close", "fsync"])
def test_overwritten_bytes_that_could_not_be_synced_fail_their_file(faulty, how):
    """Of what is left of an overwritten range no hash speaks: after a failed sync nobody knows what the disk has."""
    pair = faulty("A")
    pair.b.stop()
    handles = {name: os.open(pair.sent(name), os.O_CREAT | os.O_RDWR, 0o644) for name in ("patched", "whole")}
    for handle in handles.values():
        os.write(handle, trees.random_bytes(300_000))
    os.pwrite(handles["patched"], b"x" * 100, 1000)
    pair.disk.begin("sync", "/objects")
    if how == "fsync":
        for handle in handles.values():
            refused(errno.EIO, os.fsync, handle)
        pair.disk.end("sync")
    for handle in handles.values():
        os.close(handle)
    if how == "close":
        wait_until(lambda: b"cannot be synced" in log_of(pair.a), "the sync at the close")
        pair.disk.end("sync")
    with open(pair.sent("whole"), "rb") as file:
        wait_until(lambda: works_again(errno.EIO, os.fsync, file.fileno()), "the disk to work")
    pair.a.kill9()
    pair.a.start()
    pair.b.start()
    pair.wait_complete("whole")
    wait_state(pair.sent("patched"), "failed")
    assert state(pair.got("patched")) == "arriving"
    pair.send_file("patched", b"written again")


# -- the store's own disk space ----------------------------------------------------------------

def fill_disk(path):
    """Leaves not one byte of the disk."""
    with open(path, "wb", buffering=0) as file:
        for size in (MIB, 4096, 1):
            with pytest.raises(OSError):
                while True:
                    assert file.write(bytes(size))


def until_full(change):
    """Calls change(0), change(1), ... until the journal takes no more; returns how many were answered."""
    for number in range(20_000):
        try:
            change(number)
        except OSError as error:
            assert error.errno == errno.ENOSPC
            return number
    raise AssertionError("the store holds more than its disk")


def test_a_store_without_a_byte_keeps_what_it_answered(full_sender):
    """Others have filled the disk: operations are answered while the journal has room, then ENOSPC; a kill loses none of them."""
    pair, filler = full_sender, os.path.join(full_sender.a.store, "filler")
    pair.send_file("before", b"x")
    fill_disk(filler)
    value = bytes(9000)
    made = until_full(lambda number: (os.mkdir(pair.sent(f"d{number}")), os.setxattr(pair.sent(f"d{number}"), "user.a", value)))
    assert made > 100
    refused(errno.ENOSPC, os.mkdir, pair.sent("more"))
    assert b"the store cannot be written: " in log_of(pair.a)
    names = sorted(os.listdir(pair.sent()))
    with open(pair.sent("before"), "rb") as file:
        assert file.read() == b"x"
    pair.a.kill9()
    with pytest.raises(AssertionError) as caught:
        pair.a.start()
    assert "ended at start" in str(caught.value) and "No space left" in str(caught.value)
    pair.a.kill9()
    os.unlink(filler)
    pair.a.start()
    assert sorted(os.listdir(pair.sent())) == names
    assert all(os.getxattr(pair.sent(f"d{number}"), "user.a") == value for number in range(made))
    wait_until(lambda: sorted(os.listdir(pair.got())) == names, "all of them at the peer")
    pair.send_file("after", b"y")


def test_a_store_goes_on_when_others_give_room(full_sender):
    """The same without a restart."""
    pair, filler = full_sender, os.path.join(full_sender.a.store, "filler")
    fill_disk(filler)
    until_full(lambda number: os.symlink("t" * 4000, pair.sent(f"l{number}")))
    os.unlink(filler)
    wait_until(lambda: works_again(errno.ENOSPC, os.mkdir, pair.sent("more")), "the store to take changes again")
    pair.send_file("after", b"y")
    wait_until(lambda: sorted(os.listdir(pair.got())) == sorted(os.listdir(pair.sent())), "all of them at the peer")
