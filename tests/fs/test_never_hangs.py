# SPDX-License-Identifier: MIT
"""Whatever the peer does and however many readers wait for it, everything else in the mount is answered, and the mount can be ended."""
import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading

import pytest

import disks
import trees
from harness import CODE, MIB, SANITIZED, SLOW, Late, is_mounted, process_state, run, wait_until

PATIENCE_S = 40          # far below the readers' own timeout: what ends because a reader gave up comes too late
READ_TIMEOUT_S = 600
MISSING = 32 * MIB
PREAD, WRITE, FSYNC = {"x86_64": (17, 1, 74), "aarch64": (67, 64, 82)}[platform.machine()]

# Reads 4096 bytes at each offset, all at once: by pread in threads, or by page faults in processes. Says what each got.
READERS = """
import hashlib, mmap, os, sys, threading
way, path, offsets = sys.argv[1], sys.argv[2], [int(word) for word in sys.argv[3:]]
handle = os.open(path, os.O_RDONLY)
said = [None] * len(offsets)
def by_pread(index, offset):
    try:
        said[index] = hashlib.sha256(os.pread(handle, 4096, offset)).hexdigest()
    except OSError as error:
        said[index] = str(error.errno)
if way == "pread":
    threads = [threading.Thread(target=by_pread, args=pair) for pair in enumerate(offsets)]
    for thread in threads:
        thread.start()
    print("reading", flush=True)
    for thread in threads:
        thread.join()
    print(*said, sep="\\n", flush=True)
else:
    pages = mmap.mmap(handle, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    print("reading", flush=True)
    for offset in offsets:
        if os.fork() == 0:
            text = hashlib.sha256(pages[offset:offset + 4096]).hexdigest()
            os.write(1, text.encode() + b"\\n")
            os._exit(0)
    for _ in offsets:
        os.wait()
"""


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def in_syscall(pid, number):
    """How many threads of the process are in this system call."""
    found = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/task/{task}/syscall", encoding="ascii") as file:
            found += file.read().split()[0] == str(number)
    return found


class Readers:
    """Many readers of one file, in one session of processes that is killed with the test."""

    def __init__(self, way, path, offsets):
        self.process = subprocess.Popen([sys.executable, "-c", READERS, way, path, *map(str, offsets)],
                                        bufsize=0,  # else readline takes what end() is to read
                                        stdout=subprocess.PIPE, start_new_session=True)
        assert self.process.stdout.readline() == b"reading\n"
        if way == "map":
            return  # what is here
        waits = self.in_pread if way == "pread" else self.in_fault
        try:
            wait_until(lambda: waits() == len(offsets), "all readers to wait")
        except Late as late:
            raise AssertionError(f"{late}; {waits()} of {len(offsets)} do, their states: {self.states()}") from None

    def in_pread(self):
        return in_syscall(self.process.pid, PREAD)

    def in_fault(self):
        return [process_state(pid) for pid in children(self.process.pid)].count("D")  # killable, as any wait for a page

    def states(self):
        return "".join(map(process_state, children(self.process.pid)))

    def end(self, timeout=PATIENCE_S):
        return self.process.communicate(timeout=timeout * SLOW)[0].decode().split()

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=10 * SLOW)


@pytest.fixture
def readers():
    """readers(way, path, offsets): killed with the test, before its mounts are ended."""
    made = []

    def make(*args):
        made.append(Readers(*args))
        return made[-1]
    yield make
    for one in made:
        if one.process.poll() is None:
            one.kill()


@pytest.fixture
def half_sent(make_pair, scratch):
    """A pair with a small tree that has arrived and a file of which most is missing: little can pass any more."""
    pair = make_pair(through_proxy=True, debug=False, b_options={"read_timeout": READ_TIMEOUT_S})
    source = os.path.join(scratch, "tree")
    trees.make_many(source, 60, folders=6)
    trees.write_random(os.path.join(source, "f000/large"), 4 * MIB)  # is read ahead
    run("cp", "-a", source, pair.sent())
    pair.wait_tree(source, "tree")
    pair.proxy.rate(up=4 * MIB)
    pair.source = os.path.join(scratch, "missing")
    trees.write_random(pair.source, MISSING)
    run("cp", pair.source, pair.sent("missing"))
    wait_until(lambda: os.stat(pair.got("missing")).st_size == MISSING, "the true size")
    yield pair
    for node in (pair.a, pair.b):
        if node.process:
            node.process.send_signal(signal.SIGCONT)


def far_offsets(count):
    """Offsets in the last quarter, which comes last."""
    step = MISSING // 4 // count // 4096 * 4096
    return [MISSING - (index + 1) * step for index in range(count)]


def silence(pair, how, node):
    """`node` does not answer its peer any more."""
    if how == "gone":
        node.kill9()
    elif how == "blackholed":
        pair.proxy.stall()
    else:
        node.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: process_state(node.process.pid) == "T", "the daemon to stop")


def ask_everything(node, box, fresh):
    """Each command must end well, without waiting for anything that is not here."""
    top = box()
    limit = {"timeout": PATIENCE_S}
    run("df", node.mount, **limit)
    run("df", "-i", node.mount, **limit)
    assert b"missing" in run("ls", "-lR", node.mount, **limit)
    assert run("find", node.mount, "-newermt", "2000-01-01", "-type", "f", **limit).count(b"\n") >= 61
    run("du", "-sh", node.mount, **limit)
    run("stat", os.path.join(top, "missing"), os.path.join(top, "tree"), **limit)
    run("stat", "-f", node.mount, **limit)
    run("getfattr", "-R", "-n", "user.ftx.state", os.path.join(top, "tree"), **limit)
    run("cat", os.path.join(node.mount, ".ftx/status"), **limit)
    run("cp", "-r", os.path.join(top, "tree"), node.outbox(CODE, fresh), **limit)
    run("cp", "-r", node.outbox(CODE, fresh), node.outbox(CODE, fresh + "-again"), **limit)
    run("cmp", os.path.join(top, "tree/f001/000001"), node.outbox(CODE, fresh + "-again/f001/000001"), **limit)
    run("mv", node.outbox(CODE, fresh + "-again"), node.outbox(CODE, fresh + "-moved"), **limit)
    run("sync", "-f", node.mount, **limit)
    run("rm", "-r", node.outbox(CODE, fresh + "-moved"), **limit)


@pytest.mark.parametrize("how", ["gone", "blackholed", "stopped"])
def test_a_sender_is_answered_while_its_peer_is(half_sent, how):
    pair = half_sent
    silence(pair, how, pair.b)
    ask_everything(pair.a, pair.sent, "fresh")
    run("cmp", pair.source, pair.sent("missing"), timeout=PATIENCE_S)


@pytest.mark.parametrize("how", ["gone", "blackholed", "stopped"])
def test_a_receiver_with_waiting_readers_is_answered_while_its_peer_is(half_sent, readers, how):
    pair = half_sent
    silence(pair, how, pair.a)
    waiting = readers("pread", pair.got("missing"), far_offsets(10))
    ask_everything(pair.b, pair.got, "fresh")
    assert waiting.in_pread() == 10, "the readers gave up: this proved little"


@pytest.mark.limit(150)
@pytest.mark.parametrize("way, count", [("pread", 200), ("fault", 40)])
def test_waiting_readers_use_nothing_up(half_sent, readers, way, count):
    """More of them than the daemon has threads and the kernel has places for requests in the background."""
    pair = half_sent
    pair.proxy.stall()
    offsets = far_offsets(count)
    waiting = readers(way, pair.got("missing"), offsets)
    with open(pair.got("tree/f000/000000"), "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    ask_everything(pair.b, pair.got, "fresh")
    if way == "pread":
        killed = readers(way, pair.got("missing"), offsets)
        killed.kill()
    else:  # to open it and look at it waits for no page fault
        run("head", "-c", "4096", pair.got("missing"), timeout=PATIENCE_S)
    pair.proxy.rate()
    pair.proxy.go_on()
    with open(pair.source, "rb") as file:
        expected = {trees.hashlib.sha256(os.pread(file.fileno(), 4096, offset)).hexdigest() for offset in offsets}
    said = waiting.end(60)
    assert len(said) == count and set(said) == expected


def test_a_killed_page_fault_holds_up_no_other_mapping(half_sent, readers):
    """The kernel takes its request not back, and mmap waits, not to be interrupted, for pages that are being read."""
    pair = half_sent
    pair.proxy.stall()
    readers("fault", pair.got("missing"), far_offsets(3)).kill()
    said = readers("map", pair.got("missing"), [0]).end()
    with open(pair.source, "rb") as file:
        assert said == [trees.hashlib.sha256(file.read(4096)).hexdigest()]


@pytest.mark.parametrize("side", ["a", "b"])
def test_sigterm_ends_it_in_time_with_everything_open(half_sent, readers, side):
    pair = half_sent
    node = getattr(pair, side)
    pair.proxy.stall()
    waiting = readers("pread", pair.got("missing"), far_offsets(30))
    writer = os.open(node.outbox(CODE, "open"), os.O_WRONLY | os.O_CREAT)
    folder = os.open(node.mount, os.O_RDONLY | os.O_DIRECTORY)
    os.write(writer, b"half")
    with subprocess.Popen(["sleep", "600"], cwd=node.outbox(CODE)) as inside:
        try:
            node.terminate()
        finally:
            inside.kill()
    for handle in (writer, folder):
        with pytest.raises(OSError):
            os.fsync(handle)
        with contextlib.suppress(OSError):
            os.close(handle)
    if side == "b":
        assert len(waiting.end()) == 30
    assert not is_mounted(node.mount)


def test_a_lazy_unmount_is_immediate_and_the_daemon_ends_with_its_last_user(half_sent, readers):
    pair = half_sent
    pair.proxy.stall()
    waiting = readers("pread", pair.got("missing"), far_offsets(30))
    run("fusermount3", "-u", "-z", pair.b.mount, timeout=PATIENCE_S)
    assert os.listdir(pair.b.mount) == []
    assert pair.b.running() and waiting.in_pread() == 30
    waiting.kill()
    assert pair.b.process.wait(10 * SLOW) == 0
    pair.b.process = None
    pair.b.start()
    pair.proxy.rate()
    pair.proxy.go_on()
    pair.wait_complete("missing")


def test_sigterm_ends_it_in_time_after_a_lazy_unmount(half_sent, readers):
    pair = half_sent
    pair.proxy.stall()
    waiting = readers("pread", pair.got("missing"), far_offsets(30))
    run("fusermount3", "-u", "-z", pair.b.mount, timeout=PATIENCE_S)
    pair.b.terminate()
    assert len(waiting.end()) == 30


def test_sigterm_right_after_sigcont_ends_it(make_node):
    """The main thread has not run again by then: no other thread may take the signal from it."""
    node = make_node()
    for _ in range(4):
        node.start()
        node.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: process_state(node.process.pid) == "T", "the daemon to stop")
        node.process.send_signal(signal.SIGCONT)
        node.terminate()


HOLD_DISK = """
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static void wait_while_held(void)
{
    while (access(getenv("FTX_TEST_HOLD"), F_OK) == 0)
        usleep(10000);
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t offset)
{
    if (getenv("FTX_TEST_HOLD_WRITES"))
        wait_while_held();
    return syscall(SYS_pwrite64, fd, bytes, size, offset);
}
int fdatasync(int fd) { wait_while_held(); return (int)syscall(SYS_fdatasync, fd); }
int fsync(int fd) { wait_while_held(); return (int)syscall(SYS_fsync, fd); }
int syncfs(int fd) { wait_while_held(); return (int)syscall(SYS_syncfs, fd); }
"""


@pytest.fixture
def slow_disk(make_node, scratch, monkeypatch):
    """make(writes): a node, and a context in which its disk ends no sync (with `writes`: nor a write) until it is left."""
    if SANITIZED or not shutil.which("cc"):
        pytest.skip("needs a compiler, and to be loaded first")

    def make(writes):
        source, library, hold = (os.path.join(scratch, name) for name in ("hold.c", "hold.so", "hold"))
        with open(source, "w", encoding="ascii") as file:
            file.write(HOLD_DISK)
        run("cc", "-shared", "-fPIC", "-o", library, source)
        monkeypatch.setenv("LD_PRELOAD", library)
        monkeypatch.setenv("FTX_TEST_HOLD", hold)
        if writes:
            monkeypatch.setenv("FTX_TEST_HOLD_WRITES", "1")
        node = make_node(debug=False, listen=False).start()
        monkeypatch.delenv("LD_PRELOAD")
        os.mkdir(node.outbox(CODE))
        run("cp", source, node.outbox(CODE, "aside"))

        @contextlib.contextmanager
        def held():
            with open(hold, "w", encoding="ascii"):
                pass
            try:
                yield
            finally:
                os.unlink(hold)
        return node, held
    return make


def look_everywhere(node):
    for command in (["df"], ["ls", "-lR"], ["find"], ["du"], ["stat", "-f"]):
        run(*command, node.mount, timeout=PATIENCE_S)


@pytest.mark.parametrize("call", ["fsync", "write"])
def test_programs_that_wait_for_a_slow_disk_hold_nothing_up(slow_disk, call):
    """More of them than there were threads; a small write is something that hardly ever waits."""
    number = {"fsync": FSYNC, "write": WRITE}[call]
    node, held = slow_disk(call == "write")
    handles = [os.open(node.outbox(CODE, str(index)), os.O_WRONLY | os.O_CREAT) for index in range(30)]
    failed = []

    def write_and_sync(handle):
        try:
            os.write(handle, b"x" * 10000)
            os.fsync(handle)
        except OSError as error:
            failed.append(error)
    waiting = [threading.Thread(target=write_and_sync, args=[handle]) for handle in handles]
    with held():
        for thread in waiting:
            thread.start()
        wait_until(lambda: in_syscall(os.getpid(), number) == len(handles), "all to wait for the disk")
        look_everywhere(node)
        if call == "fsync":
            run("cp", node.outbox(CODE, "aside"), node.outbox(CODE, "copy"), timeout=PATIENCE_S)
        assert in_syscall(os.getpid(), number) == len(handles)
    for thread in waiting:
        thread.join(PATIENCE_S)
    assert not failed
    for handle in handles:
        os.close(handle)


def test_the_end_of_a_lazily_unmounted_one_leaves_the_next_mount_alone(make_node):
    old = make_node("A", debug=False).start()
    held = os.open(old.mount, os.O_RDONLY | os.O_DIRECTORY)
    run("fusermount3", "-u", "-z", old.mount)
    new = make_node("B", debug=False)
    new.mount, unused = old.mount, new.mount
    new.start()
    os.mkdir(new.outbox(CODE))
    old.process.send_signal(signal.SIGTERM)
    assert old.process.wait(10 * SLOW) == 0
    old.process = None
    assert os.listdir(new.outbox()) == [CODE]
    with pytest.raises(OSError):
        os.listdir(held)
    os.close(held)
    new.stop()
    os.rmdir(unused)


# -- killed ------------------------------------------------------------------------------------

def waits_for_fuse(pid):
    """A thread of the process is in a system call on a mount of FUSE."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/wchan", encoding="ascii") as file:
            if file.read() == "request_wait_answer":
                return True
    return False


def test_ftxfs_can_be_killed_while_it_uses_its_own_mount(make_pair, scratch):
    """The notifier waits for an answer that nobody will give any more, and nobody else holds the connection."""
    disks.need_root()
    pair = make_pair(connect=False, debug=False)
    faulty = disks.Faulty(pair.b, scratch)
    faulty.start()
    pair.a.start()
    pair.arm()
    pair.wait_connected()
    assert os.listdir(pair.got()) == []  # looked at
    faulty.begin("answer", "/dev/fuse")
    with open(pair.sent("f"), "wb") as file:
        file.write(b"data")
    wait_until(lambda: waits_for_fuse(pair.b.process.pid), "the notifier to use the mount")
    pair.b.kill9_now()
    try:
        wait_until(lambda: pair.b.process.poll() is not None, "the killed ftxfs to end")
    finally:
        subprocess.run(["umount", "-f", pair.b.mount], stderr=subprocess.DEVNULL, check=False)  # else it would never end
    pair.b.kill9()
    pair.b.start()
    pair.wait_complete("f")
