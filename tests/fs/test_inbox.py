# SPDX-License-Identifier: MIT
"""The inbox while it fills: the tree first, reads that wait, reads that are taken back, files that turn complete in one step."""
import errno
import hashlib
import os
import signal
import subprocess
import sys
import time

import pytest

import trees
from harness import MIB, SLOW, process_state, progress, run, scaled, state, wait_state, wait_until

READER = """
import os, sys
handle = os.open(sys.argv[1], os.O_RDONLY)
print("reading", flush=True)
try:
    os.pread(handle, 4096, int(sys.argv[2]))
    print("read", flush=True)
except OSError as error:
    print(error.errno, flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.fixture
def slow_pair(make_pair):
    """A pair whose link carries 4 MiB/s; pair.proxy.rate() lifts that."""
    pair = make_pair(through_proxy=True)
    pair.proxy.rate(up=4 * MIB)
    return pair


def send(pair, name, data):
    with open(pair.sent(name), "wb") as out:
        out.write(data)


def wait_size(path, size):
    wait_until(lambda: os.stat(path).st_size == size, f"{path} to show its true size")


def refused(number, function, *args):
    with pytest.raises(OSError) as caught:
        function(*args)
    assert caught.value.errno == number, caught.value


class Reader:
    """A process that reads 4096 bytes at an offset and is watched while it waits."""

    def __init__(self, path, offset):
        self.process = subprocess.Popen([sys.executable, "-c", READER, path, str(offset)], stdout=subprocess.PIPE, bufsize=0)
        assert self.process.stdout.readline() == b"reading\n"
        wait_until(lambda: process_state(self.process.pid) == "S", "the reader to wait")

    def end(self, timeout):
        start = time.monotonic()
        said = self.process.communicate(timeout=timeout * SLOW)[0].decode().strip()
        return said, time.monotonic() - start


@pytest.mark.main_path
def test_the_tree_comes_first_with_true_sizes(slow_pair, scratch):
    pair, source = slow_pair, os.path.join(scratch, "tree")
    os.makedirs(os.path.join(source, "sub"))
    for index in range(8):
        trees.write_random(os.path.join(source, "sub" if index % 2 else ".", f"{index}"), 4 * MIB + index, index)
    run("cp", "-a", source, pair.sent())
    names = [os.fsdecode(path) for path in trees.files(source)]
    for name in names:
        wait_size(pair.got("tree", name), os.stat(os.path.join(source, name)).st_size)
    here = sum(os.stat(pair.got("tree", name)).st_blocks * 512 for name in names)
    assert here < 24 * MIB  # sizes are known, contents are not here yet
    assert [name for name in names if state(pair.got("tree", name)) == "arriving"]
    pair.proxy.rate()
    pair.wait_tree(source, "tree")


@pytest.mark.main_path
@pytest.mark.limit(150)
def test_the_end_can_be_read_before_the_middle(slow_pair, scratch):
    pair, size = slow_pair, scaled(512 * MIB)
    source = os.path.join(scratch, "film")
    trees.write_random(source, size)
    run("cp", source, pair.sent())
    path = pair.got("film")
    wait_size(path, size)
    with open(path, "rb", buffering=0) as film, open(source, "rb") as original:
        original.seek(size - MIB)
        film.seek(size - MIB)
        assert film.read(MIB) == original.read(MIB)
        here, total = progress(path)
        assert total == size and here < size / 2, "the middle had arrived: this proved nothing"
        assert state(path) == "arriving" and os.stat(path).st_blocks * 512 < size / 2
        film.seek(0)
        original.seek(0)
        assert film.read(4096) == original.read(4096)
    pair.proxy.rate()
    pair.wait_complete("film", timeout=100)
    assert trees.sha256(path) == trees.sha256(source)


def test_a_reader_from_front_to_back_gets_all(slow_pair):
    data = trees.random_bytes(12 * MIB)
    send(slow_pair, "stream", data)
    wait_size(slow_pair.got("stream"), len(data))
    with open(slow_pair.got("stream"), "rb") as file:
        assert hashlib.file_digest(file, "sha256").digest() == hashlib.sha256(data).digest()


@pytest.fixture
def parked(slow_pair):
    """A file of which only the beginning can come: the link is silent."""
    pair = slow_pair
    send(pair, "parked", trees.random_bytes(64 * MIB))
    wait_size(pair.got("parked"), 64 * MIB)
    pair.proxy.stall()
    return pair


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_waiting_read_can_be_interrupted(parked, number):
    reader = Reader(parked.got("parked"), 60 * MIB)
    reader.process.send_signal(number)
    said, took = reader.end(2)
    assert took < 2 * SLOW
    assert said == ("interrupted" if number == signal.SIGINT else "")
    parked.proxy.rate()
    parked.proxy.go_on()
    parked.wait_complete("parked")


def test_many_waiting_reads_hold_nothing_up(parked):
    readers = [Reader(parked.got("parked"), (30 + index) * MIB) for index in range(30)]
    start = time.monotonic()
    assert os.stat(parked.got("parked")).st_size == 64 * MIB
    assert os.listdir(parked.got()) == ["parked"]
    os.mkdir(parked.b.outbox(parked.code, "meanwhile"))
    assert time.monotonic() - start < 2 * SLOW
    parked.proxy.rate()
    parked.proxy.go_on()
    assert [reader.end(30)[0] for reader in readers] == ["read"] * 30


def test_a_daemon_ends_in_time_with_readers_waiting(parked):
    reader = Reader(parked.got("parked"), 60 * MIB)
    parked.b.terminate()
    assert reader.end(5)[0] != "read"


def test_read_timeout_ends_a_read(make_pair):
    pair = make_pair(through_proxy=True, b_options={"read_timeout": 2})
    pair.proxy.rate(up=4 * MIB)
    send(pair, "far", trees.random_bytes(32 * MIB))
    wait_size(pair.got("far"), 32 * MIB)
    pair.proxy.stall()
    reader = Reader(pair.got("far"), 30 * MIB)
    said, took = reader.end(15)
    assert said == str(errno.ETIMEDOUT) and 1 < took < 10 * SLOW


def test_nonblocking_reads_say_eagain(parked):
    handle = os.open(parked.got("parked"), os.O_RDONLY | os.O_NONBLOCK)
    start = time.monotonic()
    refused(errno.EAGAIN, os.pread, handle, 4096, 60 * MIB)
    assert time.monotonic() - start < 2 * SLOW
    assert len(os.pread(handle, 4096, 0)) > 0  # what is here is read
    os.close(handle)


@pytest.mark.main_path
def test_writing_is_not_permitted(shared_pair):
    pair = shared_pair
    if not os.path.exists(pair.sent("mine")):
        os.mkdir(pair.sent("mine"))
    pair.send_file("mine/file", b"content")
    path, folder = pair.got("mine", "file"), pair.got("mine")
    refused(errno.EPERM, os.open, path, os.O_WRONLY)
    refused(errno.EPERM, os.open, path, os.O_RDWR)
    refused(errno.EPERM, os.open, path, os.O_WRONLY | os.O_TRUNC)
    refused(errno.EPERM, os.truncate, path, 1)
    for where in (folder, pair.got()):
        refused(errno.EPERM, os.open, os.path.join(where, "new"), os.O_CREAT | os.O_WRONLY, 0o644)
        refused(errno.EPERM, os.mkdir, os.path.join(where, "new"))
        refused(errno.EPERM, os.symlink, "x", os.path.join(where, "new"))
    with open(path, "rb") as file:
        assert file.read() == b"content"


def test_complete_comes_in_one_step(slow_pair):
    """Whoever sees `complete` reads all of it, at once; before that it is `arriving` and nothing else."""
    data = trees.random_bytes(8 * MIB)
    seen = []
    path = slow_pair.got("steps")

    def watch():
        now = state(path)
        if now and (not seen or seen[-1] != now):
            seen.append(now)
        return now == "complete"
    send(slow_pair, "steps", data)
    wait_until(watch, "complete")
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        assert file.read() == data
    assert seen in (["arriving", "complete"], ["complete"])
    assert progress(path) == (len(data), len(data))


def test_an_update_replaces_only_when_complete(slow_pair):
    pair = slow_pair
    old, new = trees.random_bytes(6 * MIB, 1), trees.random_bytes(8 * MIB, 2)
    pair.send_file("doc", old)
    before = os.open(pair.got("doc"), os.O_RDONLY)
    started = pair.proxy.count["up"]
    send(pair, "doc", new)
    while pair.proxy.count["up"] < started + 4 * MIB:
        assert os.pread(before, len(old), 0) == old
        with open(pair.got("doc"), "rb") as file:
            assert file.read() == old, "half an update was shown"

    def updated():
        with open(pair.got("doc"), "rb") as file:
            shown = file.read()
        assert shown in (old, new), "half an update was shown"
        return shown == new
    wait_until(updated, "the new version")
    assert os.pread(before, len(old) + 1, 0) == old
    os.close(before)
    pair.wait_complete("doc")


def test_a_rename_over_it_replaces_only_when_complete(slow_pair):
    pair = slow_pair
    old, new = trees.random_bytes(MIB, 1), trees.random_bytes(6 * MIB, 2)
    pair.send_file("doc", old)
    send(pair, ".doc.tmp", new)
    os.rename(pair.sent(".doc.tmp"), pair.sent("doc"))

    def replaced():
        with open(pair.got("doc"), "rb") as file:
            shown = file.read()
        assert shown in (old, new), "half an update was shown"
        return shown == new
    wait_until(replaced, "the new version")
    assert os.listdir(pair.got()) == ["doc"]


def test_removing_in_the_inbox_is_local(shared_pair):
    pair = shared_pair
    pair.send_file("removable", b"x")
    wait_state(pair.sent("removable"), "delivered")
    os.unlink(pair.got("removable"))
    pair.send_file("removable-next", b"y")
    assert not os.path.exists(pair.got("removable")) and os.path.exists(pair.sent("removable"))


def test_the_kernel_sees_growth(slow_pair):
    """stat and readdir follow what arrives, with no attribute older than the last change."""
    pair, counts = slow_pair, []
    path = pair.got("grow")
    send(pair, "grow", trees.random_bytes(8 * MIB))

    def grown():
        counts.append(os.stat(path).st_blocks)
        return counts[-1] * 512 >= 8 * MIB
    wait_until(grown, "st_blocks to reach the size")
    assert counts == sorted(counts) and len(set(counts)) > 3
