# SPDX-License-Identifier: MIT
"""user.* attributes: what programs may do with them in an outbox, how they come to the inbox, what the tools that copy them see."""
import errno
import os
import shutil
import stat
import subprocess

import pytest

import harness
from harness import CODE, Pair, run, wait_state, wait_until

ITEM_BYTES = 65536  # names and values of an item


@pytest.fixture(scope="module")
def pair(scratch_root):
    it = Pair(os.path.join(scratch_root, "xattr"))
    try:
        yield it.connect()
    finally:
        it.destroy()


@pytest.fixture
def own_pair(scratch):
    it = Pair(scratch)
    try:
        yield it.connect()
    finally:
        it.destroy()


@pytest.fixture
def work(pair, request):
    """The name of a folder of its own for each test, in the outbox."""
    name = request.node.name.translate(str.maketrans("[]/ ", "____"))[:100]
    os.mkdir(pair.sent(name))
    return name


def write(path, data=b"bytes"):
    with open(path, "wb") as file:
        file.write(data)
    return path


def refused(number, function, *args, **kwargs):
    with pytest.raises(OSError) as caught:
        function(*args, **kwargs)
    assert caught.value.errno == number, caught.value


def attributes(path):
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)}


def wait_attributes(path, expected):
    wait_until(lambda: os.path.lexists(path) and attributes(path) == expected, f"attributes of {path}: {list(expected)}")


@pytest.mark.main_path
def test_attributes_of_files_and_folders_travel(pair, work):
    file, folder = write(pair.sent(work, "file")), pair.sent(work, "folder")
    os.mkdir(folder)
    values = {"user.mime_type": b"text/plain", "user.empty": b"", "user.bytes": bytes(range(256)), "user.ä\n": b"1"}
    for name, value in values.items():
        os.setxattr(file, name, value)
    os.setxattr(folder, "user.colour", b"blue")
    assert attributes(file) == values
    wait_attributes(pair.got(work, "file"), values)
    wait_attributes(pair.got(work, "folder"), {"user.colour": b"blue"})
    pair.wait_complete(os.path.join(work, "file"))
    wait_state(file, "delivered")
    os.removexattr(file, "user.empty")
    os.setxattr(file, "user.bytes", b"other")
    values.update({"user.bytes": b"other"})
    del values["user.empty"]
    wait_attributes(pair.got(work, "file"), values)


def test_attribute_moves_no_content_and_no_mtime(pair, work):
    file = write(pair.sent(work, "file"), os.urandom(300_000))
    os.utime(file, ns=(1, 1_234_567_890))
    wait_state(file, "delivered")
    before, sent = os.stat(file), pair.a.status()["links"][0]["up_bytes"]
    here = os.stat(pair.got(work, "file"))
    os.setxattr(file, "user.a", b"1")
    after = os.stat(file)
    assert after.st_mtime_ns == before.st_mtime_ns == 1_234_567_890 and after.st_ctime_ns > before.st_ctime_ns
    wait_attributes(pair.got(work, "file"), {"user.a": b"1"})
    wait_state(file, "delivered")
    there = os.stat(pair.got(work, "file"))
    assert (there.st_mtime_ns, there.st_ino) == (1_234_567_890, here.st_ino) and there.st_ctime_ns > here.st_ctime_ns
    assert pair.a.status()["links"][0]["up_bytes"] == sent


def test_flags_and_absent_names(pair, work):
    file = write(pair.sent(work, "file"))
    refused(errno.ENODATA, os.getxattr, file, "user.a")
    refused(errno.ENODATA, os.removexattr, file, "user.a")
    refused(errno.ENODATA, os.setxattr, file, "user.a", b"1", os.XATTR_REPLACE)
    os.setxattr(file, "user.a", b"1", os.XATTR_CREATE)
    refused(errno.EEXIST, os.setxattr, file, "user.a", b"2", os.XATTR_CREATE)
    os.setxattr(file, "user.a", b"2", os.XATTR_REPLACE)
    assert attributes(file) == {"user.a": b"2"}
    handle = os.open(file, os.O_RDONLY)
    os.unlink(file)
    assert os.getxattr(handle, "user.a") == b"2"
    os.close(handle)


def test_names_and_spaces_that_do_not_cross(pair, work):
    file, link = write(pair.sent(work, "file")), pair.sent(work, "link")
    os.symlink("file", link)
    refused(errno.EPERM, os.setxattr, file, "user.ftx.state", b"delivered")
    refused(errno.EPERM, os.setxattr, file, "user.ftx.mine", b"1")
    refused(errno.EPERM, os.removexattr, file, "user.ftx.state")
    refused(errno.EINVAL, os.setxattr, file, "user.", b"1")
    os.setxattr(file, "user." + "n" * 250, b"1")
    refused(errno.ERANGE, os.setxattr, file, "user." + "n" * 251, b"1")
    for name in ("trusted.a", "security.a", "system.a", "other.a"):
        if os.geteuid() != 0 and name.startswith(("trusted", "security")):
            continue  # the kernel says EPERM before it asks
        refused(errno.EOPNOTSUPP, os.setxattr, file, name, b"1")
        refused(errno.EOPNOTSUPP, os.removexattr, file, name)
    if os.geteuid() == 0:
        refused(errno.EOPNOTSUPP, os.setxattr, file, "security.capability", bytes.fromhex("01000002000400000000000000000000") + bytes(4))
    for name in ("trusted.a", "security.capability", "security.selinux"):
        refused(errno.ENODATA, os.getxattr, file, name)
    refused(errno.EPERM, os.setxattr, link, "user.a", b"1", follow_symlinks=False)
    for place in (pair.a.mount, pair.a.outbox(), pair.a.outbox(CODE), os.path.join(pair.a.mount, ".ftx")):
        refused(errno.EOPNOTSUPP if os.access(place, os.W_OK) else errno.EACCES, os.setxattr, place, "user.a", b"1")
        refused(errno.ENODATA, os.getxattr, place, "user.a")
        assert os.listxattr(place) == []
    assert os.listxattr(file) == ["user." + "n" * 250]  # ours are told, not listed
    assert os.getxattr(file, "user.ftx.state") in (b"queued", b"sending", b"delivered")


def test_limits_of_an_item(pair, work):
    file = write(pair.sent(work, "file"))
    most = ITEM_BYTES - len("user.big")
    refused(errno.ENOSPC, os.setxattr, file, "user.big", b"x" * (most + 1))
    refused(errno.ENOSPC, os.setxattr, file, "user.big", b"x" * ITEM_BYTES)
    os.setxattr(file, "user.big", b"x" * most)
    refused(errno.ENOSPC, os.setxattr, file, "user.a", b"")
    refused(errno.E2BIG, os.setxattr, file, "user.big", b"x" * (ITEM_BYTES + 1))
    assert attributes(file) == {"user.big": b"x" * most}
    wait_attributes(pair.got(work, "file"), {"user.big": b"x" * most})
    os.removexattr(file, "user.big")
    many = {f"user.{number}": b"v" * 100 for number in range(256)}
    for name, value in many.items():
        os.setxattr(file, name, value)
    refused(errno.ENOSPC, os.setxattr, file, "user.more", b"")
    wait_attributes(pair.got(work, "file"), many)


def test_sizes_that_are_asked_with_too_little_room(pair, work):
    file = write(pair.sent(work, "file"))
    os.setxattr(file, "user.a", b"12345678")
    tool = ("import ctypes, os, sys; c = ctypes.CDLL(None, use_errno=True); room = ctypes.create_string_buffer(99); p = sys.argv[1].encode();"
            "print([(c.getxattr(p, b'user.a', room, n), c.listxattr(p, room, n), ctypes.get_errno()) for n in (0, 6, 7, 8)])")
    answers = run("/usr/bin/python3", "-c", tool, file).decode().strip()
    assert answers == f"[(8, 7, 0), (-1, -1, {errno.ERANGE}), (-1, 7, {errno.ERANGE}), (8, 7, {errno.ERANGE})]"


def test_inbox_belongs_to_the_sender(pair, work):
    file = write(pair.sent(work, "file"))
    os.setxattr(file, "user.a", b"1")
    wait_attributes(pair.got(work, "file"), {"user.a": b"1"})
    for place in (pair.got(work, "file"), pair.got(work), pair.got()):
        refused(errno.EPERM, os.setxattr, place, "user.b", b"1")
        refused(errno.EPERM, os.removexattr, place, "user.a")
    denied = errno.EPERM if os.geteuid() else errno.EOPNOTSUPP  # an ordinary user is stopped by the kernel
    refused(denied, os.setxattr, pair.got(work, "file"), "security.a", b"1")
    os.rename(pair.got(work, "file"), pair.got(work, "mine"))
    assert attributes(pair.got(work, "mine")) == {"user.a": b"1"}


def test_rename_update_and_removal(pair, work):
    file, moved = write(pair.sent(work, "file"), b"one"), pair.sent(work, "moved")
    os.setxattr(file, "user.a", b"1")
    wait_state(file, "delivered")
    os.rename(file, moved)
    with open(moved, "ab") as out:  # a new version of the same file
        out.write(b" two")
        os.setxattr(out.fileno(), "user.b", b"2")
    wait_state(moved, "delivered")
    wait_until(lambda: open(pair.got(work, "moved"), "rb").read() == b"one two", "the update")
    assert attributes(pair.got(work, "moved")) == attributes(moved) == {"user.a": b"1", "user.b": b"2"}
    os.setxattr(write(pair.sent(work, "temporary"), b"three"), "user.c", b"3")
    os.rename(pair.sent(work, "temporary"), moved)  # another file in its place
    wait_until(lambda: open(pair.got(work, "moved"), "rb").read() == b"three", "the file that replaces it")
    wait_attributes(pair.got(work, "moved"), {"user.c": b"3"})
    os.unlink(moved)
    write(moved, b"four")
    assert attributes(moved) == {}
    wait_until(lambda: open(pair.got(work, "moved"), "rb").read() == b"four", "a file that was made anew")
    assert attributes(pair.got(work, "moved")) == {}


@pytest.mark.parametrize("tool", ["cp -a", "cp --preserve=all -r", "rsync -aX", "tar"])
def test_tools_carry_them_and_do_not_fail_for_others(pair, work, scratch, tool):
    """What only the source has (security.*, ACLs, trusted.*) is left behind; what the tool says of it is its own affair, but for cp."""
    source = os.path.join(scratch, "source")
    os.makedirs(os.path.join(source, "folder"))
    file = write(os.path.join(source, "folder", "file"))
    try:
        os.setxattr(file, "user.a", b"1")
    except OSError:
        pytest.skip("the disk of this machine has no attributes")
    os.setxattr(os.path.join(source, "folder"), "user.b", os.urandom(100))
    with_acl = subprocess.run(["setfacl", "-m", "u:1:r", file], stderr=subprocess.DEVNULL, check=False).returncode == 0 \
        if shutil.which("setfacl") else False
    to = pair.sent(work, "copy")
    if tool == "tar":
        archive = os.path.join(scratch, "archive")
        run("tar", "--xattrs", "-C", source, "-cf", archive, ".")
        os.mkdir(to)
        run("tar", "--xattrs", "-C", to, "-xf", archive)
    elif tool.startswith("rsync"):
        run(*tool.split(), source + "/", to)
    else:
        said = run(*tool.split(), source, to)
        assert said == b"" or with_acl and b"preserving permissions" in said
    for path in ("folder", "folder/file"):
        expected = {name: value for name, value in attributes(os.path.join(source, path)).items() if name.startswith("user.")}
        assert expected and attributes(os.path.join(to, path)) == expected
        wait_attributes(pair.got(work, "copy", path), expected)
    back = os.path.join(scratch, "back")
    wait_state(pair.got(work, "copy", "folder", "file"), "complete")
    run("cp", "-a", pair.got(work, "copy"), back)
    assert attributes(os.path.join(back, "folder", "file")) == {"user.a": b"1"}


def test_getfattr_and_setfattr(pair, work):
    file = write(pair.sent(work, "file"))
    run("setfattr", "-n", "user.comment", "-v", "hello", file)
    assert b'user.comment="hello"' in run("getfattr", "-d", file)
    wait_attributes(pair.got(work, "file"), {"user.comment": b"hello"})
    assert b'user.comment="hello"' in run("getfattr", "-d", pair.got(work, "file"))
    run("setfattr", "-x", "user.comment", file)
    wait_attributes(pair.got(work, "file"), {})


def test_attributes_survive_kills_of_both_ends(own_pair):
    pair, expected = own_pair, {}
    file = write(pair.sent("file"))
    for round_ in range(3):
        for number in range(20):
            name, value = f"user.{number % 7}", os.urandom(10 + number * 50)
            os.setxattr(file, name, value)
            expected[name] = value
        os.setxattr(file, "user.large", b"%d" % round_ * 40_000)
        expected["user.large"] = b"%d" % round_ * 40_000
        pair.a.kill9()  # answered: in the journal
        if round_ == 1:
            pair.b.kill9()
            pair.b.start()
        pair.a.start()
        assert attributes(file) == expected
        pair.wait_connected()
        wait_attributes(pair.got("file"), expected)
        os.removexattr(file, "user.3")
        del expected["user.3"]
    wait_attributes(pair.got("file"), expected)
    pair.b.kill9()
    pair.b.start()
    assert attributes(pair.got("file")) == expected
    for node in (pair.a, pair.b):
        node.stop()
        node.start()
    assert attributes(pair.got("file")) == attributes(file) == expected


# -- what else does not cross --


def test_owners_are_taken_and_ignored(pair, work):
    file = write(pair.sent(work, "file"))
    owner = os.stat(file)
    if os.geteuid() == 0:
        os.chown(file, 12345, 54321)
        os.chown(pair.sent(work), 12345, -1)
        os.chown(file, -1, 0)
        run("rsync", "-a", "--chown=1:1", file, pair.sent(work, "copy"))
        assert (os.stat(pair.sent(work, "copy")).st_uid, os.stat(pair.sent(work, "copy")).st_gid) == (owner.st_uid, owner.st_gid)
    os.chown(file, owner.st_uid, owner.st_gid)
    assert (os.stat(file).st_uid, os.stat(file).st_gid) == (owner.st_uid, owner.st_gid)
    wait_state(file, "delivered")


def test_kinds_that_are_not_carried(pair, work):
    file = write(pair.sent(work, "file"))
    refused(errno.EPERM, os.link, file, pair.sent(work, "hard"))
    refused(errno.EPERM, os.mkfifo, pair.sent(work, "fifo"))
    refused(errno.EPERM, os.mknod, pair.sent(work, "socket"), stat.S_IFSOCK | 0o600)
    if os.geteuid() == 0:
        refused(errno.EPERM, os.mknod, pair.sent(work, "null"), stat.S_IFCHR | 0o600, os.makedev(1, 3))
        refused(errno.EPERM, os.mknod, pair.sent(work, "disk"), stat.S_IFBLK | 0o600, os.makedev(7, 0))
    os.mknod(pair.sent(work, "regular"), stat.S_IFREG | 0o640)
    assert sorted(os.listdir(pair.sent(work))) == ["file", "regular"]
    harness.wait_until(lambda: sorted(os.listdir(pair.got(work))) == ["file", "regular"], "both at the peer")
    wait_state(pair.got(work, "regular"), "complete")
