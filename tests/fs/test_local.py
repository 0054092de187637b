# SPDX-License-Identifier: MIT
"""Names that desktops leave stay on the machine where they were made; renames to and from them do what unlink and create do."""
import os

import pytest

from harness import Pair, state, wait_state, wait_until, xattr

NAMES = [".Trash-1000", ".DS_Store", "Thumbs.db", "desktop.ini", ".nfs0000000000c0ffee", ".fuse_hidden0000000100000001"]


@pytest.fixture(scope="module")
def pair(scratch_root):
    it = Pair(os.path.join(scratch_root, "local"))
    try:
        yield it.connect()
    finally:
        it.destroy()


@pytest.fixture
def work(pair, request):
    name = request.node.name.translate(str.maketrans("[]/ ", "____"))[:100]
    os.mkdir(pair.sent(name))
    return name


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def seen_after(pair, work, name):
    """Names in the inbox once a file that was made last has arrived."""
    write(pair.sent(work, name), b"last")
    pair.wait_complete(os.path.join(work, name))
    return sorted(os.listdir(pair.got(work)))


@pytest.mark.parametrize("name", NAMES)
def test_name_is_used_as_usual_and_stays_here(pair, work, name):
    for path in (pair.sent(work, name), pair.sent(work, "folder", name)):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w+b") as file:
            file.write(b"one two three")
            file.seek(4)
            file.write(b"TWO")
            file.truncate(9)
        with open(path, "ab") as file:
            file.write(b"!")
        assert read(path) == b"one TWO t!" and os.stat(path).st_size == 10
        os.setxattr(path, "user.a", b"1")
        os.chmod(path, 0o600)
        assert state(path) == "local" and xattr(path, "progress") is None
    assert seen_after(pair, work, "last") == ["folder", "last"]
    assert os.listdir(pair.got(work, "folder")) == []
    wait_state(pair.sent(work, "folder"), "delivered")
    os.unlink(pair.sent(work, name))
    os.rename(pair.sent(work, "folder", name), pair.sent(work, name))
    assert sorted(os.listdir(pair.sent(work))) == sorted(["folder", "last", name])
    assert seen_after(pair, work, "later") == ["folder", "last", "later"]


def test_trash_folder_keeps_all_below_it(pair, work):
    trash = pair.sent(work, ".Trash-0")
    os.makedirs(os.path.join(trash, "files", "deep"))
    for path in ("info", "files/deep/file"):
        write(os.path.join(trash, path), b"x" * 2_000_000)
    os.symlink("file", os.path.join(trash, "files/deep/link"))
    assert state(os.path.join(trash, "files/deep/file")) == state(os.path.join(trash, "files/deep")) == "local"
    assert seen_after(pair, work, "last") == ["last"]


def test_file_is_thrown_away_and_put_back(pair, work):
    path, trash = pair.sent(work, "report"), pair.sent(work, ".Trash-0", "files")
    data = os.urandom(3_000_000)
    os.makedirs(trash)
    write(path, data)
    os.setxattr(path, "user.a", b"1")
    wait_state(path, "delivered")
    handle, here = os.open(path, os.O_RDONLY), os.stat(path)
    os.rename(path, os.path.join(trash, "report"))  # after delivery: the peer's copy is its own
    assert state(os.path.join(trash, "report")) == "local"
    assert seen_after(pair, work, "last") == ["last", "report"]
    with open(os.path.join(trash, "report"), "r+b") as file:
        file.write(b"changed")
    os.rename(os.path.join(trash, "report"), path)
    assert os.stat(path).st_ino == here.st_ino and os.pread(handle, 7, 0) == b"changed"
    os.close(handle)
    wait_state(path, "delivered")
    assert read(pair.got(work, "report")) == b"changed" + data[7:] == read(path)
    assert os.getxattr(pair.got(work, "report"), "user.a") == b"1"


def test_a_sparse_file_that_is_put_back_stays_sparse(pair, work):
    path, trash = pair.sent(work, "disk"), pair.sent(work, ".Trash-0")
    os.mkdir(trash)
    with open(os.path.join(trash, "disk"), "wb") as file:
        file.truncate(64 << 20)
        file.seek(20 << 20)
        file.write(b"data" * 100_000)
    sent = pair.a.status()["links"][0]["up_bytes"]
    os.rename(os.path.join(trash, "disk"), path)
    wait_state(path, "delivered")
    assert read(pair.got(work, "disk")) == read(path)
    assert pair.a.status()["links"][0]["up_bytes"] - sent < 2 << 20
    assert os.stat(pair.got(work, "disk")).st_blocks * 512 < 2 << 20


def test_folder_is_thrown_away_before_it_was_delivered(pair, work):
    os.makedirs(pair.sent(work, "folder", "inner"))
    os.mkdir(pair.sent(work, ".Trash-0"))
    with open(pair.sent(work, "folder", "inner", "file"), "wb") as out:  # open: not delivered
        out.write(b"x" * 100_000)
        out.flush()
        wait_until(lambda: state(pair.got(work, "folder", "inner", "file")) == "arriving", "the file at the peer")
        os.rename(pair.sent(work, "folder"), pair.sent(work, ".Trash-0", "folder"))
        out.write(b"y" * 100_000)
    wait_until(lambda: os.listdir(pair.got(work)) == [], "the peer to lose it")
    assert read(pair.sent(work, ".Trash-0", "folder", "inner", "file")) == b"x" * 100_000 + b"y" * 100_000
    os.rename(pair.sent(work, ".Trash-0", "folder"), pair.sent(work, "back"))
    pair.wait_complete(os.path.join(work, "back", "inner", "file"))
    assert read(pair.got(work, "back", "inner", "file")) == b"x" * 100_000 + b"y" * 100_000
    assert os.listdir(pair.got(work)) == ["back"]


def test_local_names_survive_a_kill(scratch):
    pair = Pair(scratch)
    try:
        pair.connect()
        os.makedirs(pair.sent(".Trash-0", "files"))
        write(pair.sent(".Trash-0", "files", "kept"), b"kept")
        write(pair.sent("Thumbs.db"), b"thumbs")
        write(pair.sent(".Trash-0", "back"), b"back")
        os.rename(pair.sent(".Trash-0", "back"), pair.sent("back"))
        pair.a.kill9()
        pair.a.start()
        assert read(pair.sent(".Trash-0", "files", "kept")) == b"kept" and read(pair.sent("Thumbs.db")) == b"thumbs"
        assert state(pair.sent("Thumbs.db")) == "local"
        pair.wait_complete("back")
        pair.send_file("last", b"last")
        assert sorted(os.listdir(pair.got())) == ["back", "last"]
    finally:
        pair.destroy()
