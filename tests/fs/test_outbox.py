# SPDX-License-Identifier: MIT
"""The outbox as a folder: every operation a program may use, without a peer; then the same with one, compared at the end."""
import errno
import mmap
import os
import shutil
import stat

import pytest

import harness
import trees
from harness import CODE, MIB, run, state, wait_state, wait_until


@pytest.fixture(scope="module")
def box(scratch_root):
    """An outbox whose code nobody answers: the spool alone serves it."""
    node = harness.Node(os.path.join(scratch_root, "outbox"), "A", listen=False).start()
    try:
        os.mkdir(node.outbox(CODE))
        yield node.outbox(CODE)
    finally:
        node.destroy()


@pytest.fixture
def work(box, request):
    """A folder of its own for each test."""
    path = os.path.join(box, request.node.name.translate(str.maketrans("[]/ ", "____"))[:100])
    os.mkdir(path)
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def refused(number, function, *args):
    with pytest.raises(OSError) as caught:
        function(*args)
    assert caught.value.errno == number, caught.value


@pytest.mark.main_path
def test_what_was_written_is_read(work):
    for size in (0, 1, 4096, 131073, 3 * MIB + 17):
        path = os.path.join(work, str(size))
        data = trees.random_bytes(size, size)
        write(path, data)
        assert os.stat(path).st_size == size and read(path) == data


def test_writes_at_any_offset_in_any_order(work):
    path = os.path.join(work, "file")
    data = trees.random_bytes(2 * MIB + 1000)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    pieces = list(range(0, len(data), 70001))
    for start in pieces[::-2] + pieces[-2::-2]:
        assert os.pwrite(handle, data[start:start + 70001], start) == len(data[start:start + 70001])
    assert os.pread(handle, len(data), 0) == data
    os.close(handle)
    assert read(path) == data


def test_overwriting_changes_only_what_was_written(work):
    path = os.path.join(work, "file")
    data = bytearray(trees.random_bytes(MIB))
    write(path, data)
    with open(path, "r+b") as file:
        for start, size in ((0, 1), (4095, 2), (500_000, 70_000), (MIB - 1, 1)):
            piece = trees.random_bytes(size, start)
            file.seek(start)
            file.write(piece)
            data[start:start + size] = piece
    assert read(path) == data


def test_holes_read_as_zeros(work):
    path = os.path.join(work, "file")
    with open(path, "wb") as file:
        file.seek(10 * MIB)
        file.write(b"end")
    assert os.stat(path).st_size == 10 * MIB + 3
    assert read(path) == bytes(10 * MIB) + b"end"


def test_truncate_cuts_and_grows(work):
    path = os.path.join(work, "file")
    write(path, b"0123456789" * 1000)
    os.truncate(path, 15)
    assert read(path) == b"012345678901234"
    os.truncate(path, 20)
    assert read(path) == b"012345678901234" + bytes(5)
    with open(path, "r+b") as file:
        file.truncate(3)
        assert os.fstat(file.fileno()).st_size == 3
    assert read(path) == b"012"
    write(path, b"new")  # O_TRUNC
    assert read(path) == b"new"


def test_append_goes_to_the_end(work):
    path = os.path.join(work, "file")
    write(path, b"one")
    for word in (b" two", b" three"):
        with open(path, "ab") as file:
            file.write(word)
    assert read(path) == b"one two three"


def test_create_exclusively(work):
    path = os.path.join(work, "file")
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    refused(errno.EEXIST, os.open, path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    refused(errno.EEXIST, os.mkdir, path)


def test_missing_things_are_missing(work):
    path = os.path.join(work, "nothing")
    for function in (os.stat, os.unlink, os.rmdir, os.readlink, os.listdir):
        refused(errno.ENOENT, function, path)
    refused(errno.ENOENT, os.rename, path, path + "2")
    refused(errno.ENOENT, os.mkdir, os.path.join(path, "below"))


@pytest.mark.main_path
def test_rename_moves_and_replaces(work):
    one, two = os.path.join(work, "one"), os.path.join(work, "two")
    write(one, b"1")
    os.rename(one, two)
    assert os.listdir(work) == ["two"] and read(two) == b"1"
    write(one, b"new")
    handle = os.open(two, os.O_RDONLY)
    os.rename(one, two)
    assert os.listdir(work) == ["two"] and read(two) == b"new"
    assert os.read(handle, 10) == b"1"  # who has the old one open keeps it
    os.close(handle)
    folder = os.path.join(work, "folder")
    os.makedirs(os.path.join(folder, "in"))
    os.rename(two, os.path.join(folder, "in", "deep"))
    os.rename(folder, os.path.join(work, "moved"))
    assert read(os.path.join(work, "moved", "in", "deep")) == b"new"


def test_rename_refuses_what_posix_refuses(work):
    folder, file, full = (os.path.join(work, name) for name in ("folder", "file", "full"))
    os.makedirs(os.path.join(folder, "below"))
    os.makedirs(os.path.join(full, "x"))
    write(file, b"")
    refused(errno.EISDIR, os.rename, file, folder)
    refused(errno.ENOTDIR, os.rename, folder, file)
    refused(errno.ENOTEMPTY, os.rename, folder, full)
    refused(errno.EINVAL, os.rename, folder, os.path.join(folder, "below", "self"))
    os.rmdir(os.path.join(full, "x"))
    os.rename(folder, full)  # onto an empty folder
    assert os.listdir(full) == ["below"]


def test_rename_into_another_link_is_exdev(work, box):
    other = os.path.join(os.path.dirname(box), "9-other-link")
    os.mkdir(other)
    path = os.path.join(work, "file")
    write(path, b"moved by mv")
    refused(errno.EXDEV, os.rename, path, os.path.join(other, "file"))
    run("mv", path, other)
    assert read(os.path.join(other, "file")) == b"moved by mv" and not os.path.exists(path)


def test_unlink_keeps_open_files(work):
    path = os.path.join(work, "file")
    write(path, b"still readable")
    handle = os.open(path, os.O_RDWR)
    os.unlink(path)
    assert not os.path.exists(path) and os.pread(handle, 100, 0) == b"still readable"
    os.pwrite(handle, b"STILL", 0)
    assert os.pread(handle, 5, 0) == b"STILL"
    os.close(handle)
    refused(errno.ENOENT, os.stat, path)


def test_rmdir_only_empties(work):
    folder = os.path.join(work, "folder")
    os.mkdir(folder)
    write(os.path.join(folder, "x"), b"")
    refused(errno.ENOTEMPTY, os.rmdir, folder)
    refused(errno.EISDIR, os.unlink, folder)
    os.unlink(os.path.join(folder, "x"))
    os.rmdir(folder)
    refused(errno.ENOTDIR, os.rmdir, _file(work))


def _file(work):
    path = os.path.join(work, "plain")
    write(path, b"x")
    return path


def test_modes_and_times_are_kept(work):
    folder, file = os.path.join(work, "folder"), _file(work)
    os.mkdir(folder)
    stamp = 1_234_567_890_123_456_789
    for path, mode in ((folder, 0o750), (file, 0o604)):
        os.chmod(path, mode)
        os.utime(path, ns=(stamp, stamp))
        info = os.stat(path)
        assert stat.S_IMODE(info.st_mode) == mode and info.st_mtime_ns == stamp
    old = os.umask(0o027)
    try:
        os.close(os.open(os.path.join(work, "masked"), os.O_CREAT | os.O_WRONLY, 0o666))
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(os.path.join(work, "masked")).st_mode) == 0o640


def test_mtime_moves_with_a_write_and_stays_with_a_read(work):
    path = _file(work)
    os.utime(path, ns=(1, 1))
    read(path)
    assert os.stat(path).st_mtime_ns == 1
    write(path, b"later")
    assert os.stat(path).st_mtime_ns > 10 ** 18
    os.utime(path, ns=(-5_000_000_001, -5_000_000_001))  # before 1970
    assert os.stat(path).st_mtime_ns == -5_000_000_001


def test_symlinks_are_data(work):
    for target in (b"plain", b"no/such/thing", b"../up", b"x" * 4000, b"latin1-\xe9"):
        path = os.path.join(os.fsencode(work), b"to-" + target.replace(b"/", b"-")[:20])
        os.symlink(target, path)
        assert os.readlink(path) == target
        assert stat.S_ISLNK(os.lstat(path).st_mode) and os.lstat(path).st_size == len(target)
    os.utime(path, ns=(7, 7), follow_symlinks=False)
    assert os.lstat(path).st_mtime_ns == 7


@pytest.mark.main_path
def test_every_name_is_kept_as_its_bytes(work):
    top = os.fsencode(work)
    for name in trees.ODD_NAMES:
        os.mkdir(os.path.join(top, name))
        write(os.path.join(top, name, name), name)
    assert sorted(os.listdir(top)) == sorted(trees.ODD_NAMES)
    for name in trees.ODD_NAMES:
        assert read(os.path.join(top, name, name)) == name


@pytest.mark.parametrize("name", [b"new\nline", b"tab\t", b"\x1b[31m", b"\x01", b"del\x7f"], ids=repr)
def test_control_bytes_are_refused(work, name):
    path = os.path.join(os.fsencode(work), name)
    fine = os.fsencode(_file(work))
    refused(errno.EINVAL, os.open, path, os.O_CREAT | os.O_WRONLY)
    refused(errno.EINVAL, os.mkdir, path)
    refused(errno.EINVAL, os.symlink, b"x", path)
    refused(errno.EINVAL, os.rename, fine, path)
    assert os.listdir(work) == ["plain"]


def test_too_long_names_are_refused(work):
    refused(errno.ENAMETOOLONG, os.mkdir, os.path.join(work, "x" * 256))


def test_the_reserved_name_is_refused_at_the_root_of_a_link(box, work):
    refused(errno.EINVAL, os.mkdir, os.path.join(box, ".ftx"))
    os.mkdir(os.path.join(work, ".ftx"))


def test_devices_fifos_and_sockets_are_refused(work):
    with pytest.raises(OSError):
        os.mkfifo(os.path.join(work, "fifo"))
    with pytest.raises(OSError):
        os.mknod(os.path.join(work, "null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
    assert os.listdir(work) == []


def test_setuid_bits_do_not_stick(work):
    path = _file(work)
    try:
        os.chmod(path, 0o4755)
    except OSError:
        os.chmod(path, 0o755)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o755


def test_readdir_of_many_is_whole_and_stable(work):
    names = {f"{number:04}" for number in range(3000)}
    for name in names:
        write(os.path.join(work, name), b"")
    assert set(os.listdir(work)) == names
    seen = set()
    with os.scandir(work) as entries:  # files that go while it is read cost none of the others
        for count, entry in enumerate(entries):
            assert entry.name not in seen
            seen.add(entry.name)
            if count % 2:
                os.unlink(entry.path)
    assert seen == names and len(os.listdir(work)) == 1500
    shutil.rmtree(work)


def test_statfs_tells_the_disk_below(work, scratch_root):
    info, disk = os.statvfs(work), os.statvfs(scratch_root)
    assert info.f_bsize == 4096 and info.f_namemax == 255
    assert info.f_blocks > 0 and 0 < info.f_bavail <= info.f_blocks
    assert abs(info.f_bavail * info.f_frsize - disk.f_bavail * disk.f_frsize) < disk.f_blocks * disk.f_frsize / 4


def test_fsync_is_answered(work):
    with open(os.path.join(work, "file"), "wb") as file:
        file.write(b"x" * 100_000)
        file.flush()
        os.fsync(file.fileno())
    handle = os.open(work, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def test_shared_map_is_written(work):
    path = os.path.join(work, "file")
    write(path, bytes(MIB))
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), MIB) as view:
        view[12345:12350] = b"hello"
        view.flush()
    assert read(path)[12340:12355] == bytes(5) + b"hello" + bytes(5)


def test_security_capability_is_no_data(work):
    refused(errno.ENODATA, os.getxattr, _file(work), "security.capability")


def test_writing_then_queued(work):
    path = os.path.join(work, "file")
    with open(path, "wb", buffering=0) as file:
        file.write(b"x")
        assert state(path) == "writing"
    wait_state(path, "queued")


def test_everything_survives_a_restart(make_node, scratch):
    source = os.path.join(scratch, "source")
    trees.make_zoo(source)
    node = make_node(listen=False).start()
    os.mkdir(node.outbox(CODE))
    run("cp", "-a", source, node.outbox(CODE, "tree"))
    trees.compare_trees(source, node.outbox(CODE, "tree"))
    for way in ("stop", "kill9"):
        getattr(node, way)()
        node.start()
        trees.compare_trees(source, node.outbox(CODE, "tree"))
    write(node.outbox(CODE, "last"), b"answered before the kill")
    os.rename(node.outbox(CODE, "tree"), node.outbox(CODE, "renamed"))
    os.unlink(node.outbox(CODE, "renamed", "sparse"))
    node.kill9()
    node.start()
    assert read(node.outbox(CODE, "last")) == b"answered before the kill"
    assert sorted(os.listdir(node.outbox(CODE))) == ["last", "renamed"]
    assert not os.path.exists(node.outbox(CODE, "renamed", "sparse"))


@pytest.mark.main_path
def test_operations_reach_the_peer(shared_pair):
    """All kinds of changes, some before delivery and some after; at the end both trees are the same."""
    pair, top = shared_pair, shared_pair.sent("ops")
    os.mkdir(top)
    for number in range(20):
        write(os.path.join(top, f"f{number:02}"), trees.random_bytes(number * 5000, number))
    os.rename(os.path.join(top, "f00"), os.path.join(top, "renamed at once"))
    os.truncate(os.path.join(top, "f01"), 100)
    with open(os.path.join(top, "f02"), "ab") as file:
        file.write(b"appended at once")
    os.mkdir(os.path.join(top, "folder"))
    os.rename(os.path.join(top, "f03"), os.path.join(top, "folder", "f03"))
    os.symlink("folder/f03", os.path.join(top, "link"))
    os.chmod(os.path.join(top, "f04"), 0o640)
    pair.wait_tree(top, "ops")
    for number in (5, 6, 7, 8):
        wait_state(os.path.join(top, f"f{number:02}"), "delivered")
    os.rename(os.path.join(top, "f05"), os.path.join(top, "renamed after delivery"))
    os.truncate(os.path.join(top, "f06"), 7)
    with open(os.path.join(top, "f07"), "ab") as file:
        file.write(b"appended after delivery")
    with open(os.path.join(top, "f08"), "r+b") as file:
        file.seek(1000)
        file.write(b"patched after delivery")
    write(os.path.join(top, "f09"), b"written anew")
    os.rename(os.path.join(top, "f10"), os.path.join(top, "f11"))  # onto another
    os.utime(os.path.join(top, "f12"), ns=(5, 1_111_111_111_111_111_111))
    os.rename(os.path.join(top, "folder"), os.path.join(top, "folder moved"))
    pair.wait_tree(top, "ops")


def test_a_changed_byte_sends_little(make_pair):
    pair = make_pair(through_proxy=True)
    write(pair.sent("big"), trees.random_bytes(16 * MIB))
    pair.wait_complete("big")
    wait_state(pair.sent("big"), "delivered")
    before = pair.proxy.count["up"]
    with open(pair.sent("big"), "r+b") as file:
        file.seek(9 * MIB)
        file.write(b"changed")
    wait_until(lambda: read(pair.got("big"))[9 * MIB:9 * MIB + 7] == b"changed", "the change to arrive")
    pair.wait_complete("big")
    assert pair.proxy.count["up"] - before < 2 * MIB


def test_unlink_after_delivery_leaves_the_peers_copy(shared_pair):
    pair = shared_pair
    pair.send_file("kept", b"yours now")
    wait_state(pair.sent("kept"), "delivered")
    os.unlink(pair.sent("kept"))
    pair.send_file("kept-next", b"after it")  # sent later, so the removal has been heard
    assert read(pair.got("kept")) == b"yours now"


def test_unlink_before_delivery_removes_the_partial(make_pair):
    pair = make_pair(through_proxy=True)
    pair.proxy.rate(up=MIB)
    write(pair.sent("cancelled"), trees.random_bytes(32 * MIB))
    wait_until(lambda: os.stat(pair.got("cancelled")).st_size, "the partial")
    os.unlink(pair.sent("cancelled"))
    pair.proxy.rate()
    wait_until(lambda: not os.path.exists(pair.got("cancelled")), "the partial to go")
    pair.send_file("next", b"the link goes on")
    assert pair.proxy.count["up"] < 24 * MIB


def test_bytes_leave_while_the_file_is_open(shared_pair):
    pair = shared_pair
    data = trees.random_bytes(3 * MIB)
    with open(pair.sent("open"), "wb", buffering=0) as file:
        file.write(data)
        file.flush()
        wait_until(lambda: harness.progress(pair.got("open"))[0] >= 2 * MIB, "bytes of a file that is still open", 15)
        assert state(pair.got("open")) == "arriving" and state(pair.sent("open")) == "writing"
    pair.wait_complete("open")
    assert read(pair.got("open")) == data
