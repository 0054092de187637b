# SPDX-License-Identifier: MIT
"""What leaves an inbox for a folder beside the store is not copied; what cannot be moved is, and who reads it goes on reading it."""
import errno
import fcntl
import os
import struct

import pytest

import disks
import trees
from command import good, lines, refused
from harness import CODE, wait_state, wait_until
from watcher import Watcher

MIB = 1 << 20
FS_IOC_FIEMAP, SHARED = 0xC020660B, 0x2000


def objects(node):
    """Inodes of all that the store holds."""
    return {os.stat(os.path.join(folder, name)).st_ino
            for folder, _, names in os.walk(os.path.join(node.store, ".ftx/objects")) for name in names}


def sends(pair, name, size=3 * MIB):
    """A file that is complete there, and that nobody has read."""
    trees.write_random(pair.sent(name), size)
    wait_state(pair.got(name), "complete")
    with open(pair.sent(name), "rb") as file:
        return file.read()


def content(path):
    with open(path, "rb") as file:
        return file.read()


def fails(error, path, name, value):
    with pytest.raises(OSError) as raised:
        os.setxattr(path, "system.ftx." + name, value.encode())
    assert raised.value.errno == error, raised.value


def test_a_tree_leaves_without_being_copied(shared_pair, scratch):
    pair, names = shared_pair, ("tree/a", "tree/sub/b", "tree/sub/c")
    os.makedirs(pair.sent("tree/sub"))
    for name in names:
        trees.write_random(pair.sent(name), MIB)
    os.setxattr(pair.sent("tree/a"), "user.color", b"red")
    os.chmod(pair.sent("tree/a"), 0o440)
    for name in names:
        wait_state(pair.got(name), "complete")
    wait_until(lambda: os.stat(pair.got("tree/a")).st_mode & 0o777 == 0o440, "its mode")
    wait_until(lambda: os.listxattr(pair.got("tree/a")) == ["user.color"], "its attribute")
    before, out = objects(pair.b), os.path.join(scratch, "out")
    os.mkdir(out)
    assert lines("take", pair.got("tree"), out)[-1] == {"taken": os.path.join(out, "tree"), "files": 3, "bytes": 3 * MIB}
    assert {os.stat(os.path.join(out, name)).st_ino for name in names} <= before
    trees.compare_trees(pair.sent("tree"), os.path.join(out, "tree"))
    assert os.getxattr(os.path.join(out, "tree/a"), "user.color") == b"red"
    assert os.listdir(pair.got()) == []
    wait_until(lambda: not objects(pair.b) & before, "the store to be empty of them")
    pair.b.kill9()
    pair.b.start()
    pair.wait_connected()
    assert os.listdir(pair.got()) == []


def test_its_owner_may_write_to_it_and_nobody_sees_that(shared_pair, scratch):
    pair, out = shared_pair, os.path.join(scratch, "film")
    data, before = sends(pair, "film"), objects(pair.b)
    with open(pair.got("film"), "rb") as reader:
        assert reader.read(10) == data[:10]
        good("take", pair.got("film"), out)
        with open(out, "r+b") as file:
            file.write(bytes(len(data)))
        reader.seek(0)
        assert reader.read() == data
    assert os.stat(out).st_ino not in before and os.listdir(pair.got()) == []


def test_who_watches_hears_of_it(shared_pair, scratch):
    pair = shared_pair
    sends(pair, "film")
    watcher = Watcher(pair.got())
    try:
        good("take", pair.got("film"), scratch)
        watcher.wait("film", "DELETE")
    finally:
        watcher.close()


def test_where_it_cannot_be_moved_to_it_is_copied(shared_pair, scratch):
    pair, elsewhere = shared_pair, os.path.join(scratch, "elsewhere")
    data, disk = sends(pair, "film"), disks.Tmpfs(elsewhere, 16)
    try:
        good("take", pair.got("film"), elsewhere)
        assert content(os.path.join(elsewhere, "film")) == data and os.listdir(pair.got()) == []
    finally:
        disk.remove()


def test_the_attributes_say_why_not(shared_pair, scratch):
    pair, path = shared_pair, shared_pair.got("film")
    data, out = sends(pair, "film"), os.open(scratch, os.O_RDONLY)
    inside, file = os.open(pair.got(), os.O_RDONLY), os.open(os.path.join(scratch, "file"), os.O_RDWR | os.O_CREAT)
    try:
        for value in ("", "film", f"{out}", f"{out}/", f"{out}/..", f"{out}/a/b", "-1/a", "9999999/a"):
            fails(errno.EINVAL, path, "take", value)
        fails(errno.ENAMETOOLONG, path, "take", f"{out}/" + "n" * 256)
        fails(errno.EBADF, path, "take", "9999/a")
        fails(errno.EXDEV, path, "take", f"{inside}/a")  # another mount: our own
        fails(errno.ENOTDIR, path, "take", f"{file}/a")
        fails(errno.EEXIST, path, "take", f"{out}/file")
        fails(errno.EPERM, pair.sent("film"), "take", f"{out}/a")
        fails(errno.EPERM, pair.got(), "take", f"{out}/a")
        with open(path, "rb"):
            fails(errno.EBUSY, path, "take", f"{out}/a")
        os.write(file, b"x")
        for value in (f"{file}", f"{out}", f"{file}/a", "x"):
            fails(errno.EINVAL, path, "clone", value)
        fails(errno.EXDEV, path, "clone", f"{inside}")
        assert content(path) == data and "ftx" not in str(os.listxattr(path))
        wait_until(lambda: not os.setxattr(path, "system.ftx.take", f"{out}/taken".encode()), "nobody to have it open")
        assert content(os.path.join(scratch, "taken")) == data and not os.path.exists(path)
    finally:
        for fd in (out, inside, file):
            os.close(fd)


class Btrfs(disks.Ext4):
    """A file system that shares blocks."""

    make = ("mkfs.btrfs", "-q", "-f")


def is_shared(path):
    """Do its blocks belong to another file, too?"""
    with open(path, "rb") as file:
        request = bytearray(struct.pack("=QQIIII", 0, 1 << 62, 1, 0, 1, 0) + bytes(56))
        fcntl.ioctl(file, FS_IOC_FIEMAP, request)
        return bool(struct.unpack_from("=I", request, 32 + 40)[0] & SHARED)


def test_what_somebody_reads_is_shared_where_blocks_can_be(scratch, make_pair):
    pair = make_pair(connect=False, debug=False)
    disk = Btrfs(pair.b.base + "/disk", pair.b.base + "/image", 256)
    try:
        pair.b.store = os.path.join(disk.path, "store")
        pair.connect()
        data, out = sends(pair, "film"), os.path.join(disk.path, "film")
        with open(pair.got("film"), "rb") as reader:
            reader.read(1)
            good("take", pair.got("film"), disk.path)
            assert is_shared(out) and content(out) == data
            os.truncate(out, 0)
            reader.seek(0)
            assert reader.read() == data
        assert os.listdir(pair.got()) == []
        sends(pair, "moved")
        before = objects(pair.b)
        good("take", pair.got("moved"), disk.path)
        assert os.stat(os.path.join(disk.path, "moved")).st_ino in before
        pair.destroy()
    finally:
        disk.remove()


def test_take_refuses_what_is_no_item(shared_pair):
    refused(2, "take", f"inbox/{CODE}", "/", mount=shared_pair.b.mount)
    refused(4, "take", "nobody", "/", mount=shared_pair.b.mount)
