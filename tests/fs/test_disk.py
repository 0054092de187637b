# SPDX-License-Identifier: MIT
"""Disks that run full or fail to sync, at either end: errors where they belong, waiting where room may come, nothing lost."""
import errno
import os
import shutil
import subprocess

import pytest

import disks
import harness
import trees
from harness import MIB, progress, state, wait_state, wait_until, xattr

SYNC_FAILS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The next sync of contents fails once the file $FTX_FAIL_SYNC is there; the file is gone then. */
static int fails(int fd)
{
    char path[64], target[4096];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, target, sizeof target - 1);
    target[n > 0 ? n : 0] = '\0';
    if (!strstr(target, "/objects") || unlink(getenv("FTX_FAIL_SYNC")) < 0)
        return 0;
    errno = EIO;
    return 1;
}

int fdatasync(int fd)
{
    return fails(fd) ? -1 : ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}

int syncfs(int fd)
{
    return fails(fd) ? -1 : ((int (*)(int))dlsym(RTLD_NEXT, "syncfs"))(fd);
}
"""


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
    """A pair; the sender's disk has 60 MiB."""
    pair = make_pair(connect=False)
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
def failing_sync(scratch, make_pair, monkeypatch):
    """A pair; each touch of pair.trigger makes the receiver's next sync of contents fail."""
    if harness.SANITIZED:
        pytest.skip("a sanitizer must be the first library")
    if not shutil.which("cc"):
        pytest.skip("there is no C compiler here")
    library = os.path.join(scratch, "sync_fails.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, "-x", "c", "-"], input=SYNC_FAILS.encode(), check=True)
    pair = make_pair(connect=False, through_proxy=True, debug=False)
    pair.trigger = os.path.join(scratch, "fail")
    with monkeypatch.context() as patch:
        patch.setenv("LD_PRELOAD", library)
        patch.setenv("FTX_FAIL_SYNC", pair.trigger)
        pair.b.start()
    pair.a.start()
    os.mkdir(pair.a.outbox(pair.code))
    os.mkdir(pair.b.inbox(pair.code))
    pair.wait_connected()
    return pair


def fail_next_sync(pair, number):
    with open(pair.trigger, "wb"):
        pass
    wait_until(lambda: log_of(pair.b).count(b"cannot be synced") == number, "a sync that failed")


def test_what_could_not_be_synced_comes_again(failing_sync, scratch):
    pair, source = failing_sync, os.path.join(scratch, "tree")
    trees.make_many(source, 1000, 10)  # synced together
    trees.write_random(os.path.join(source, "large"), 24 * MIB)  # synced alone
    pair.proxy.rate(up=16 * MIB)
    harness.run("cp", "-a", source, pair.sent())
    for number in range(3):
        fail_next_sync(pair, number + 1)
    pair.proxy.rate()
    pair.wait_tree(source, "tree")
    pair.b.kill9()
    pair.b.start()
    pair.wait_connected()
    pair.wait_tree(source, "tree")
