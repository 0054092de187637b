# SPDX-License-Identifier: MIT
"""Delivered bytes give their room back and come again from the peer when they are read; a spool that is full makes writers wait."""
import contextlib
import errno
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

import trees
from harness import MIB, process_state, run, scaled, state, wait_state, wait_until, xattr

SOON = {"release_after": 1}
SPOOL = int(os.environ.get("FTX_SPOOL_MIB", 32)) * MIB
LARGE = int(os.environ.get("FTX_SPOOL_FILE_MIB", 0)) * MIB or scaled(256 * MIB)  # tests/long spool
TIMEOUT_S = 3
FEW = 16  # blocks that a file system may need for an object of holes


def blocks(path):
    return os.stat(path).st_blocks


def taken(node):
    """What a store's file contents take on the disk, bytes."""
    total = 0
    for top, _, names in os.walk(os.path.join(node.store, ".ftx", "objects")):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(os.path.join(top, name)).st_blocks * 512
    return total


def wait_released(*paths):
    for path in paths:
        wait_until(lambda path=path: blocks(path) <= FEW, f"{path} to be released")


def wait_all_released(node):
    wait_until(lambda: taken(node) == 0, f"{node.name}'s contents to be released")


def drop_pages(path):
    """The kernel forgets what it read of a file."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def released(pair, name, data):
    """A delivered file whose bytes are at the peer only."""
    pair.send_file(name, data)
    wait_released(pair.sent(name))
    return pair.sent(name)


@pytest.fixture
def pair(make_pair):
    return make_pair(through_proxy=True, debug=False, a_options={**SOON, "read_timeout": TIMEOUT_S})


# -- release, and back -----------------------------------------------------------------------------


def test_a_released_file_looks_the_same_and_reads_the_same(pair):
    data = trees.random_bytes(5 * MIB + 12345)
    pair.send_file("file", data)
    before = os.stat(pair.sent("file"))
    wait_released(pair.sent("file"))
    after = os.stat(pair.sent("file"))
    assert (after.st_size, after.st_mode, after.st_mtime_ns) == (before.st_size, before.st_mode, before.st_mtime_ns)
    assert state(pair.sent("file")) == "delivered" and taken(pair.a) == 0
    drop_pages(pair.sent("file"))
    assert read(pair.sent("file")) == data
    with open(pair.sent("file"), "rb") as file:  # in any order
        for offset in (3 * MIB, 5 * MIB + 12340, 0, 1, 4 * MIB - 7):
            file.seek(offset)
            assert file.read(100) == data[offset:offset + 100]
    wait_released(pair.sent("file"))


def test_tar_archives_what_is_released(pair, scratch):
    """GNU tar takes a file without blocks for one hole."""
    data = trees.random_bytes(300000)
    path = released(pair, "file", data)
    assert blocks(path) > 0
    for options in ("-cf", "-Scf"):
        run("tar", "-C", pair.sent(), options, os.path.join(scratch, "archive"), "file")
        assert run("tar", "-xOf", os.path.join(scratch, "archive")) == data


def test_a_tree_of_small_files_is_released_and_read_back_after_a_restart(pair, scratch):
    source = os.path.join(scratch, "tree")
    trees.make_zoo(source)
    run("cp", "-a", source, pair.sent("tree"))
    pair.wait_tree(source, "tree")
    wait_all_released(pair.a)
    pair.a.kill9()
    pair.a.start()
    pair.wait_connected()
    sent = pair.proxy.count["up"]
    done = run("rsync", "-a", "--itemize-changes", source + "/", pair.sent("tree") + "/")
    assert done == b"" and taken(pair.a) == 0, "rsync sees what it sent"
    trees.compare_trees(source, pair.sent("tree"))
    assert pair.proxy.count["up"] - sent < MIB
    trees.compare_trees(source, pair.got("tree"))


def test_holes_stay_holes(pair):
    with open(pair.sent("sparse"), "wb") as file:
        for at in (0, 40 * MIB, 80 * MIB):
            file.seek(at)
            file.write(b"data" * 50000)
        file.truncate(120 * MIB)
    wait_state(pair.sent("sparse"), "delivered")
    wait_released(pair.sent("sparse"))
    with open(pair.sent("sparse"), "rb") as file:
        data, at = [], 0
        while True:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError as error:
                assert error.errno == errno.ENXIO
                break
            end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            data.append((at, end))
            at = end
        assert [start for start, _ in data] == [0, 40 * MIB, 80 * MIB] and all(end - start < MIB for start, end in data), data
        down = pair.proxy.count["down"]
        assert os.pread(file.fileno(), 64, 100 * MIB) == bytes(64)
        assert pair.proxy.count["down"] - down < 4096, "a hole is read without asking anybody"
        assert os.pread(file.fileno(), 8, 40 * MIB) == b"datadata"
    run("cmp", pair.sent("sparse"), pair.got("sparse"))


@pytest.mark.parametrize("how", [["-l", "4M"], ["-n", "-l", "4M"], ["-n", "-o", "2M", "-l", "2M"]], ids=" ".join)
def test_what_was_reserved_and_not_written_is_given_back(pair, how):
    with open(pair.sent("reserved"), "wb") as file:
        run("fallocate", *how, pair.sent("reserved"))
        file.write(b"x" * 100_000)
        file.seek(MIB)
        file.write(b"y" * 100_000)
    wait_state(pair.sent("reserved"), "delivered")
    wait_until(lambda: taken(pair.a) < 65536, "all of it to be given back")
    run("cmp", pair.sent("reserved"), pair.got("reserved"))


@pytest.mark.parametrize("change", ["overwrite", "append", "shorten", "empty", "lengthen", "replace", "across the end"])
def test_a_released_file_is_changed(pair, change):
    data = bytearray(trees.random_bytes(8 * MIB))
    path = released(pair, "file", bytes(data))
    sent = pair.proxy.count["up"]
    if change == "replace":
        data = bytearray(b"new")
        with open(path, "wb") as file:
            file.write(data)
    else:
        with open(path, "r+b") as file:
            if change in ("shorten", "empty", "lengthen"):
                size = {"shorten": 3 * MIB + 5, "empty": 0, "lengthen": 9 * MIB}[change]
                file.truncate(size)
                data = data[:size] + bytes(max(0, size - len(data)))
            else:
                at = {"overwrite": 4 * MIB - 100, "append": 8 * MIB, "across the end": 8 * MIB - 100}[change]
                file.seek(at)
                file.write(b"x" * 300)
                data[at:at + 300] = b"x" * 300
    assert read(path) == data
    wait_until(lambda: read(pair.got("file")) == data, "the change to arrive")
    assert pair.proxy.count["up"] - sent < MIB, "only what changed travels"
    wait_released(path)
    assert read(path) == data


def test_released_files_are_renamed_copied_and_removed(pair):
    data = trees.random_bytes(3 * MIB)
    path = released(pair, "one", data)
    os.rename(path, pair.sent("two"))
    assert read(pair.sent("two")) == data
    wait_released(pair.sent("two"))
    run("cp", pair.sent("two"), pair.sent("three"))
    pair.wait_complete("three")
    assert read(pair.got("three")) == data
    wait_released(pair.sent("two"), pair.sent("three"))
    run("mv", pair.sent("two"), pair.sent(".DS_Store"))  # stays here, so it must come back first
    assert not os.path.exists(pair.sent("two")) and read(pair.sent(".DS_Store")) == data
    os.unlink(pair.sent("three"))
    pair.send_file("four", b"the end")
    assert sorted(os.listdir(pair.sent())) == [".DS_Store", "four"]


MAPPER = """
import mmap, sys
with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
    sys.stdout.buffer.write(pages[1 << 20:(1 << 20) + 50])
    pages[5:15] = b"0123456789"
    pages.flush()
    sys.stdout.buffer.write(pages[:])
"""


def test_released_pages_are_mapped(pair):
    data = bytearray(trees.random_bytes(2 * MIB))
    path = released(pair, "file", bytes(data))
    drop_pages(path)
    seen = run(sys.executable, "-c", MAPPER, path)  # here a page fault would hold up the proxy's threads too
    assert seen[:50] == data[MIB:MIB + 50]
    data[5:15] = b"0123456789"
    assert seen[50:] == data
    wait_until(lambda: read(pair.got("file")) == data, "the change to arrive")
    wait_released(path)
    assert read(path) == data


def test_keep_all_keeps_all(make_pair):
    pair = make_pair(debug=False, a_options={**SOON, "keep": "all"})
    pair.send_file("kept", trees.random_bytes(MIB))
    pair.send_file("later", b"x")
    with pytest.raises(Exception, match="not within"):
        wait_until(lambda: blocks(pair.sent("kept")) <= FEW, "a release", timeout=4)


def test_bytes_that_nobody_has_any_more(pair):
    path = released(pair, "file", trees.random_bytes(3 * MIB))
    drop_pages(path)
    os.unlink(pair.got("file"))
    with pytest.raises(OSError) as caught:
        read(path)
    assert caught.value.errno == errno.ENODATA
    with open(path, "wb") as file:
        file.write(b"again")
    assert read(path) == b"again"


def test_bytes_of_a_peer_that_stays_away(pair):
    path = released(pair, "file", trees.random_bytes(3 * MIB))
    drop_pages(path)
    pair.b.kill9()
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as file:
        with pytest.raises(BlockingIOError):
            os.pread(file.fileno(), 10, 0)
    with pytest.raises(OSError) as caught:
        read(path)
    assert caught.value.errno == errno.ETIMEDOUT
    reader = subprocess.Popen(["cat", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: process_state(reader.pid) in "SD", "it to wait")
    reader.send_signal(signal.SIGKILL)
    assert reader.wait(10) == -signal.SIGKILL
    pair.b.start()
    pair.wait_connected()
    assert len(read(path)) == 3 * MIB


def test_a_waiting_reader_holds_up_nobody_else(pair):
    path = released(pair, "file", trees.random_bytes(3 * MIB))
    pair.proxy.stall()
    with subprocess.Popen(["cat", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as reader:
        wait_until(lambda: process_state(reader.pid) in "SD", "it to wait")
        for _ in range(3):
            run("head", "-c", "0", path, timeout=TIMEOUT_S - 1)
            run("stat", path, timeout=TIMEOUT_S - 1)
            run("dd", "if=/dev/zero", f"of={path}", "bs=10", "count=1", "seek=300000", "conv=notrunc", timeout=TIMEOUT_S - 1)
        run("cp", "/etc/passwd", path, timeout=TIMEOUT_S - 1)
        assert reader.wait(TIMEOUT_S) == 0, "there is nothing left to wait for"


@pytest.mark.limit(240)
def test_kills_and_cuts_while_files_come_back(pair):
    data = {f"file{i}": trees.random_bytes(3 * MIB, i) for i in range(8)}
    for name, content in data.items():
        pair.send_file(name, content)
    wait_all_released(pair.a)
    for turn, node in enumerate((pair.a, pair.b, None, pair.a)):
        pair.proxy.rate(down=8 * MIB)
        for name in data:
            drop_pages(pair.sent(name))
        with subprocess.Popen(["cat", *map(pair.sent, data)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as reader:
            down = pair.proxy.count["down"]
            wait_until(lambda down=down, turn=turn: pair.proxy.count["down"] > down + (turn + 1) * MIB, "some of it to come back")
            if node:
                node.kill9()
            else:
                pair.proxy.drop()
            if node is pair.a:
                reader.wait(20)
            else:
                reader.kill()
        pair.proxy.rate()
        if node:
            node.start()
        pair.wait_connected()
        for name, content in data.items():
            assert read(pair.sent(name)) == content
        wait_all_released(pair.a)


# -- the programs ----------------------------------------------------------------------------------


def git(*words, **kwargs):
    return run("git", "-c", "gc.auto=0", "-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", *words, **kwargs)


@pytest.mark.limit(300)
def test_git_works_in_a_released_repository(pair, scratch):
    source, repository = os.path.join(scratch, "source"), pair.sent("repository")
    run("git", "init", "-q", "-b", "main", source)
    for turn in range(5):
        trees.make_many(os.path.join(source, f"part{turn}"), scaled(100), seed=turn)
        git("add", "-A", cwd=source)
        git("commit", "-qm", f"part {turn}", cwd=source)
    git("clone", "-q", "--no-hardlinks", source, repository)
    for turn in range(3):
        wait_all_released(pair.a)
        assert git("status", "--porcelain", cwd=repository) == b""
        assert len(git("log", "--oneline", cwd=repository).splitlines()) == 5 + turn
        with open(os.path.join(repository, f"new{turn}"), "wb") as file:
            file.write(trees.random_bytes(MIB, turn))
        git("add", "-A", cwd=repository)
        git("commit", "-qm", "more", cwd=repository)
    wait_all_released(pair.a)
    git("gc", "-q", cwd=repository)
    git("fsck", "--full", "--strict", cwd=repository)
    wait_all_released(pair.a)
    for path in trees.files(repository):  # what gc removed is kept by the peer, who had it
        ours, theirs = (os.path.join(os.fsencode(top), path) for top in (repository, pair.got("repository")))
        wait_state(theirs, "complete")
        assert read(ours) == read(theirs), path
    run("git", "-c", "safe.directory=*", "fsck", "--full", cwd=pair.got("repository"))


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_sqlite_works_in_a_released_database(pair, journal):
    path, rows = pair.sent("base.db"), 0
    for turn in range(4):
        with contextlib.closing(sqlite3.connect(path)) as base:
            base.execute(f"PRAGMA journal_mode = {journal}")
            base.execute("CREATE TABLE IF NOT EXISTS lines(number INTEGER PRIMARY KEY, text BLOB)")
            with base:
                base.executemany("INSERT INTO lines(text) VALUES(?)", [(trees.random_bytes(3000, rows + i),) for i in range(200)])
                base.execute("UPDATE lines SET text = x'00' WHERE number % 7 = ?", (turn,))
            rows += 200
            assert base.execute("SELECT count(*) FROM lines").fetchone() == (rows,)
            assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        wait_all_released(pair.a)
    wait_until(lambda: hashlib.sha256(read(path)).digest() == hashlib.sha256(read(pair.got("base.db"))).digest(), "the database to arrive")


# -- the spool -------------------------------------------------------------------------------------


@pytest.fixture
def small(make_pair):
    return make_pair(through_proxy=True, debug=False, a_options={"spool_max": f"{SPOOL // MIB}M", "read_timeout": TIMEOUT_S})


@pytest.mark.limit(180 if LARGE < 1024 * MIB else 1800)
def test_a_file_larger_than_the_spool_arrives_and_is_read_back(small):
    most, digest, started = 0, hashlib.sha256(), time.monotonic()
    with open(small.sent("large"), "wb", buffering=0) as file:
        for index in range(LARGE // MIB):
            piece = trees.random_bytes(MIB, index)
            digest.update(piece)
            assert file.write(piece) == MIB
            most = max(most, taken(small.a))
        if LARGE > 4 * SPOOL:
            assert blocks(small.sent("large")) * 512 < LARGE, "released while it is being written"
    wait_state(small.sent("large"), "delivered", timeout=60)
    delivered = time.monotonic()
    assert trees.sha256(small.got("large")) == digest.hexdigest()
    back, reading = hashlib.sha256(), time.monotonic()
    with open(small.sent("large"), "rb", buffering=0) as file:
        while piece := file.read(MIB):
            back.update(piece)
            most = max(most, taken(small.a))
    print(f"{LARGE // MIB} MiB through a spool of {SPOOL // MIB} MiB, which held {most // MIB} MiB at most: "
          f"delivered in {delivered - started:.1f} s, read back in {time.monotonic() - reading:.1f} s")
    assert back.digest() == digest.digest()
    assert most <= SPOOL + 20 * MIB, "what readers get back may go beyond by what is asked for ahead"


WRITER = """
import os, sys
with open(sys.argv[1], "wb", buffering=0) as file:
    for _ in range(int(sys.argv[2])):
        try:
            file.write(os.urandom(1 << 20))
        except OSError as error:
            print(error.errno, flush=True)
            sys.exit(1)
"""


@contextlib.contextmanager
def writer(path, count):
    with subprocess.Popen([sys.executable, "-c", WRITER, path, str(count)], stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_writer_waits_while_the_link_drains(small):
    small.proxy.rate(up=16 * MIB)
    with writer(small.sent("large"), 3 * SPOOL // MIB) as process:
        wait_until(lambda: taken(small.a) > SPOOL - 3 * MIB, "the spool to be full")
        assert process.poll() is None
        with subprocess.Popen(["fallocate", "-l", str(SPOOL // 2), small.sent("reserved")]) as reserve:
            run("ls", "-lR", small.a.mount, timeout=20)  # others are answered meanwhile
            run("stat", small.sent("large"), timeout=20)
            assert process.wait(60) == 0 and reserve.wait(60) == 0
    wait_state(small.sent("large"), "delivered", timeout=60)
    run("cmp", small.sent("large"), small.got("large"))


def test_a_writer_is_told_that_the_link_does_not_drain(small):
    small.proxy.stall()
    with writer(small.sent("large"), 3 * SPOOL // MIB) as process:
        assert process.stdout.readline() == b"%d\n" % errno.ENOSPC
        assert process.wait(20) == 1
    with writer(small.sent("other"), 10) as process:  # and so are others, who are not even begun
        wait_until(lambda: process_state(process.pid) in "SD", "it to wait")
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    os.unlink(small.sent("large"))  # makes room at once
    run("sh", "-c", f"head -c 5M /dev/urandom > {small.sent('after')}", timeout=20)
    small.proxy.drop()
    small.proxy.go_on()
    wait_state(small.sent("after"), "delivered", timeout=60)
    assert not os.path.exists(small.got("large"))


def test_a_hole_in_a_released_file_needs_no_room(small):
    size = 2 * SPOOL
    with open(small.sent("large"), "wb", buffering=0) as file:
        for index in range(size // MIB):
            file.write(trees.random_bytes(MIB, index))
    wait_state(small.sent("large"), "delivered", timeout=60)
    with open(small.sent("large"), "rb") as file:
        file.seek(size - MIB)
        last = file.read()
    run("fallocate", "-p", "-l", str(size - MIB), small.sent("large"))
    wait_state(small.sent("large"), "delivered")
    for path in (small.sent("large"), small.got("large")):
        assert read(path) == bytes(size - MIB) + last


def test_without_anything_to_release_a_full_spool_is_full_at_once(make_pair):
    pair = make_pair(debug=False, a_options={"spool_max": "8M", "keep": "all"})
    with writer(pair.sent("large"), 100) as process:
        assert process.stdout.readline() == b"%d\n" % errno.ENOSPC
    assert 4 * MIB <= os.stat(pair.sent("large")).st_size <= 9 * MIB
    pair.wait_complete("large")


@pytest.mark.parametrize("keep", [{"keep": "all"}, {}], ids=["nothing is released", "released"])
def test_what_was_just_removed_gives_its_room(make_pair, keep):
    pair = make_pair(debug=False, a_options={"spool_max": "20M", **keep})
    content = bytes(15 * MIB)
    for name in ("first", "second"):
        pair.send_file(name, content)
        wait_state(pair.sent(name), "delivered")
        os.unlink(pair.sent(name))
        with open(pair.sent("scratch"), "wb") as file:  # never delivered, or not known to be
            file.write(content)
        os.unlink(pair.sent("scratch"))
        with open(pair.sent("replaced"), "wb") as file:
            file.write(content)
        with open(pair.sent("new"), "wb") as file:
            file.write(b"new")
        os.rename(pair.sent("new"), pair.sent("replaced"))
    assert os.stat(pair.sent("replaced")).st_size == 3


@pytest.mark.parametrize("how", ["by its name", "while it is open"])
def test_what_is_cut_off_gives_its_room(make_node, how):
    node = make_node(options={"spool_max": "20M", "keep": "all"}).start()
    folder = node.outbox("7-nobody-there")
    os.mkdir(folder)
    content = bytes(8 * MIB)
    for index in range(5):
        path = os.path.join(folder, f"file{index}")
        with open(path, "wb", buffering=0) as file:
            for _ in range(3):
                assert file.write(content) == len(content)
                os.truncate(path if how == "by its name" else file.fileno(), 0)
                file.seek(0)
            assert file.write(content) == len(content)
        os.truncate(path, 0)


# -- close=delivered -------------------------------------------------------------------------------


def test_close_waits_for_the_delivery(make_pair):
    pair = make_pair(debug=False, a_options={"close": "delivered"})
    for index in range(20):
        with open(pair.sent(f"file{index}"), "wb") as file:
            file.write(trees.random_bytes(100000 * index, index))
        assert state(pair.sent(f"file{index}")) == "delivered"
        assert state(pair.got(f"file{index}")) == "complete"
    with open(pair.sent("two"), "wb") as first, open(pair.sent("two"), "r+b") as second:
        first.write(b"first")
        first.close()
        second.seek(5)
        second.write(b"second")
    assert state(pair.sent("two")) == "delivered" and read(pair.got("two")) == b"firstsecond"


def test_close_tells_that_it_was_not_delivered(make_pair):
    pair = make_pair(through_proxy=True, debug=False, a_options={"close": "delivered", "read_timeout": TIMEOUT_S})
    pair.proxy.stall()
    handle = os.open(pair.sent("file"), os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(handle, b"x" * MIB)
    with pytest.raises(OSError) as caught:
        os.close(handle)
    assert caught.value.errno == errno.ETIMEDOUT and state(pair.sent("file")) in ("queued", "sending")
    run("sh", "-c", f"echo y > {pair.sent('killed')} & sleep 0.5; kill -9 $!", timeout=20)
    pair.proxy.drop()
    pair.proxy.go_on()
    wait_state(pair.sent("file"), "delivered")
    assert xattr(pair.sent("file"), "error") in (None, "")


def test_copies_wait_for_each_file(make_pair, scratch):
    pair, source = make_pair(debug=False, a_options={"close": "delivered"}), os.path.join(scratch, "tree")
    trees.make_many(source, scaled(50), folders=5)
    shutil.copytree(source, pair.sent("tree"))
    trees.compare_trees(source, pair.got("tree"), times=False)
