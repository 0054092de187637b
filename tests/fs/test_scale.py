# SPDX-License-Identifier: MIT
"""Many names, long names, deep folders, and folders that change while they are read. tests/bench/scale has the numbers."""
import ctypes
import errno
import os
import random
import re
import shutil
import subprocess

import pytest

from harness import SCALE, run, scaled, wait_until

MANY = scaled(20_000)
DEPTH = 64
BYTES_PER_ITEM = 300   # the goal, which tests/bench/scale measures
BYTES_OF_HOLES = 300   # what the state of a file that waited to be sent leaves between items that stay

libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
libc.opendir.argtypes = [ctypes.c_char_p]
libc.telldir.restype = ctypes.c_long
for function in (libc.readdir, libc.telldir, libc.rewinddir, libc.closedir):
    function.argtypes = [ctypes.c_void_p]
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
NAME_AT = 19  # of struct dirent on 64-bit Linux


class Folder:
    """opendir and its family, which Python's os does not have; the dots are left out."""

    def __init__(self, path):
        self.stream = libc.opendir(os.fsencode(path))
        assert self.stream, os.strerror(ctypes.get_errno())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        libc.closedir(self.stream)

    def next(self):
        """(where it stands, name), or None at the end."""
        while True:
            at = libc.telldir(self.stream)
            entry = libc.readdir(self.stream)
            if not entry:
                return None
            name = os.fsdecode(ctypes.string_at(entry + NAME_AT))
            if name not in (".", ".."):
                return at, name

    def rest(self):
        return list(iter(self.next, None))

    def seek(self, at):
        libc.seekdir(self.stream, at)


def touch(path):
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))


def fill(folder, names):
    os.mkdir(folder)
    for name in names:
        touch(os.path.join(folder, name))


def numbered(count, first=0):
    return [f"file-{number:06}" for number in range(first, first + count)]


def memory(node):
    with open(f"/proc/{node.process.pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) << 10


def queue_is_empty(pair):
    link, other = pair.a.status()["links"][0], pair.b.status()["links"][0]
    return not link["queue"]["operations"] + link["queue"]["files"] + other["arriving"]["files"]


def wait_delivered(pair):
    wait_until(lambda: queue_is_empty(pair), "all to be delivered", 120)


@pytest.mark.limit(240)
def test_many_in_one_folder(make_pair):
    pair = make_pair(debug=False)
    names = numbered(MANY)
    fill(pair.sent("many"), names)
    for folder in (pair.sent("many"), pair.got("many")):
        wait_until(lambda: len(os.listdir(folder)) == MANY, "all names", 120)  # pylint: disable=cell-var-from-loop
        assert sorted(os.listdir(folder)) == names
    wait_delivered(pair)
    assert run("find", pair.got("many"), "-type", "f", "-size", "0").count(b"\n") == MANY
    before = [memory(node) for node in (pair.a, pair.b)]
    fill(pair.sent("more"), numbered(MANY))
    wait_delivered(pair)
    if SCALE == 1:  # sanitizers have memory of their own
        def grown():
            return [memory(node) - start for node, start in zip((pair.a, pair.b), before)]
        # What the second twenty thousand need once the work is over; on a busy machine many of them waited at once.
        wait_until(lambda: max(grown()) <= (BYTES_PER_ITEM + BYTES_OF_HOLES) * MANY, "work's memory to be given back", 20)
    for node in (pair.a, pair.b):
        node.stop(timeout=20)
        node.start()
    assert sorted(os.listdir(pair.got("more"))) == names
    shutil.rmtree(pair.sent("many"))
    assert not os.path.exists(pair.sent("many"))
    pair.send_file("last", b"the link still works")


def test_depth_and_long_names(make_pair):
    pair = make_pair(debug=False)
    deep = pair.sent()
    for level in range(DEPTH - 1):
        deep = os.path.join(deep, f"d{level}")
        os.mkdir(deep)
    touch(os.path.join(deep, "file"))
    os.mkdir(os.path.join(deep, "last"))
    with pytest.raises(OSError) as caught:
        touch(os.path.join(deep, "last", "too-deep"))
    assert caught.value.errno == errno.ELOOP
    os.mkdir(pair.sent("long"))
    names = [f"{number:04}-{'n' * 250}" for number in range(scaled(500))] + ["\u00e9" * 127 + "x", "\udcff" * 255]
    assert all(len(os.fsencode(name)) == 255 for name in names)
    for name in names:
        touch(pair.sent("long", name))
    with pytest.raises(OSError) as caught:
        touch(pair.sent("long", "n" * 256))
    assert caught.value.errno == errno.ENAMETOOLONG
    nested = pair.sent()
    for letter in "abcdefghijklmno":  # 15 * 256 and a name: just below PATH_MAX in the link
        nested = os.path.join(nested, letter * 255)
        run("mkdir", nested[len(pair.sent()) + 1:], cwd=pair.sent())
    wait_delivered(pair)
    for box in (pair.sent, pair.got):
        assert run("find", "d0", "-name", "file", cwd=box()).decode().count("/") == DEPTH - 1
        assert sorted(os.listdir(box("long"))) == sorted(names)
        assert run("find", "a" * 255, "-type", "d", cwd=box()).count(b"\n") == 15


@pytest.fixture
def work(shared_pair, request):
    """A folder of its own in A's outbox, of which each test knows the name."""
    path = shared_pair.sent(request.node.name)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_telldir_and_seekdir_find_the_place_again(work):
    names = numbered(scaled(4000))
    fill(work, names)
    with Folder(work) as folder:
        all_of_it = folder.rest()
        assert sorted(name for _, name in all_of_it) == names
        order = list(range(len(all_of_it)))
        random.Random(1).shuffle(order)
        for index in order[:200]:
            folder.seek(all_of_it[index][0])
            assert folder.next() == all_of_it[index]
        # What goes and comes elsewhere moves no place.
        for index in order[200:600]:
            os.unlink(os.path.join(work, all_of_it[index][1]))
        for name in numbered(300, first=len(names)):
            touch(os.path.join(work, name))
        for index in order[:200]:
            folder.seek(all_of_it[index][0])
            assert folder.next()[1] == all_of_it[index][1]
        # The place of what is gone is that of what came after it.
        gone = set(order[200:600])
        for index in sorted(gone)[:50]:
            after = next((i for i in range(index, len(all_of_it)) if i not in gone), None)
            folder.seek(all_of_it[index][0])
            if after is not None:
                assert folder.next()[1] == all_of_it[after][1]


def test_a_listing_has_each_name_once_while_others_come_and_go(work):
    """POSIX: what is there all the time is listed once; what comes or goes may or may not be."""
    stay, go = numbered(scaled(3000)), [f"go-{number}" for number in range(scaled(3000))]
    mixed = [name for both in zip(stay, go) for name in both]
    fill(work, mixed)
    source, come = random.Random(2), 0
    with Folder(work) as folder:
        seen = []
        while (entry := folder.next()):
            seen.append(entry[1])
            if go and source.random() < 0.4:
                os.unlink(os.path.join(work, go.pop(source.randrange(len(go)))))
            if source.random() < 0.2 and come < 500:
                come += 1
                touch(os.path.join(work, f"come-{come}"))
    assert len(seen) == len(set(seen))
    assert set(stay) <= set(seen)
    with Folder(work) as folder:
        assert sorted(name for _, name in folder.rest()) == sorted(stay + go + [f"come-{number + 1}" for number in range(come)])


@pytest.mark.parametrize("way", ["forward", "restarting"])
def test_everything_can_be_removed_while_it_is_read(work, way):
    count = scaled(4000)
    fill(work, numbered(count))
    removed = 0
    with Folder(work) as folder:
        while (entry := folder.next()):
            os.unlink(os.path.join(work, entry[1]))
            removed += 1
            if way == "restarting" and removed % 50 == 0:
                libc.rewinddir(folder.stream)
    assert removed == count
    os.rmdir(work)


def test_a_tree_is_removed_while_it_is_listed(shared_pair, work):
    os.mkdir(work)
    for number in range(10):
        fill(os.path.join(work, str(number)), numbered(scaled(300)))
    name = os.path.basename(work)
    wait_until(lambda: os.path.isdir(shared_pair.got(name, "9")), "the folders at B")
    for path in (work, shared_pair.got(name)):
        with subprocess.Popen(["sh", "-c", "while ls -R . ; do :; done", "sh"], cwd=os.path.dirname(path),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as lister:
            try:
                run("rm", "-rf", path)
            finally:
                lister.kill()
        assert not os.path.exists(path)
