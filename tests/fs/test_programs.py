# SPDX-License-Identifier: MIT
"""Programs that nobody adapted, at work in an outbox; what they made is compared at both ends.
tests/long runs some of them for long: FTX_STRESS_SECONDS, FTX_OPEN_SECONDS."""
import contextlib
import errno
import mmap
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile

import pytest

import harness
import trees
from harness import MIB, run, scaled, state, wait_state, wait_until

STRESS_SECONDS = int(os.environ.get("FTX_STRESS_SECONDS", "5"))
OPEN_SECONDS = int(os.environ.get("FTX_OPEN_SECONDS", "0"))
GIT_ENVIRONMENT = dict(os.environ, GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_SYSTEM=os.devnull, GIT_AUTHOR_NAME="a",
                       GIT_AUTHOR_EMAIL="a@b", GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@b")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def program(*names):
    """The first of these that is here; a missing one fails the test: tools/packages test brings them."""
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, f"none of {names} is installed: tools/packages test"
    return found


def git(*words, **kwargs):
    return run(program("git"), *words, env=GIT_ENVIRONMENT, **kwargs)


def arrives(pair, name, data=None):
    """The outbox's file is delivered as it is."""
    wait_state(pair.sent(name), "delivered", timeout=60)
    pair.wait_complete(name)
    wanted = read(pair.sent(name)) if data is None else data
    wait_until(lambda: read(pair.got(name)) == wanted, f"{name} to be equal")


def blocks(path):
    return os.stat(path).st_blocks * 512


def age(top, start=1_000_000_000):
    """Gives everything in a tree times of its own, a second apart: rsync takes a file of equal size and second for the same."""
    for number, (path, _) in enumerate(sorted(trees.walk(top), reverse=True)):
        os.utime(os.path.join(os.fsencode(top), path), (start + number, start + number), follow_symlinks=False)


# -- copying -------------------------------------------------------------------------------------

def make_sparse(path):
    """8 MiB with data at 1 MiB and a hole at the end."""
    with open(path, "wb") as file:
        file.truncate(8 * MIB)
        file.seek(MIB)
        file.write(trees.random_bytes(MIB))


def test_cp_keeps_everything_and_holes(shared_pair, scratch):
    pair, source, back = shared_pair, os.path.join(scratch, "zoo"), os.path.join(scratch, "back")
    trees.make_zoo(source)
    make_sparse(os.path.join(source, "holes"))
    write(os.path.join(source, "zeros"), bytes(4 * MIB))  # --sparse=always makes a hole of it
    run("cp", "-a", "--sparse=always", source, pair.sent("cp"))
    trees.compare_trees(source, pair.sent("cp"))
    pair.wait_tree(source, "cp")
    for end in (pair.sent, pair.got):
        assert blocks(end("cp", "holes")) < 2 * MIB and blocks(end("cp", "zeros")) < MIB
    run("cp", "-a", "--sparse=auto", pair.got("cp"), back)
    trees.compare_trees(source, back)
    assert blocks(os.path.join(back, "holes")) < 2 * MIB


def test_cp_and_mv_within_the_outbox(shared_pair):
    pair = shared_pair
    write(pair.sent("one"), trees.random_bytes(3 * MIB))
    run("cp", "--reflink=auto", pair.sent("one"), pair.sent("two"))
    run("mv", pair.sent("one"), pair.sent("three"))
    for name in ("two", "three"):
        arrives(pair, name, trees.random_bytes(3 * MIB))


def test_tar_unpacks(shared_pair, scratch):
    source, archive = os.path.join(scratch, "zoo"), os.path.join(scratch, "zoo.tar")
    trees.make_zoo(source)
    run("tar", "-C", scratch, "--format=pax", "-S", "-cf", archive, "zoo")
    os.mkdir(shared_pair.sent("tar"))
    run("tar", "-C", shared_pair.sent("tar"), "-xpf", archive)
    trees.compare_trees(source, shared_pair.sent("tar", "zoo"))
    shared_pair.wait_tree(source, "tar/zoo")
    run("tar", "-C", shared_pair.got("tar"), "-df", archive)  # tar compares the inbox itself


def test_dd_overwrites_in_place(shared_pair):
    data = bytearray(trees.random_bytes(4 * MIB))
    write(shared_pair.sent("dd"), data)
    arrives(shared_pair, "dd", data)
    for seek, piece in ((3, 5), (100, 200), (1000, 1)):
        run("dd", "if=/dev/zero", f"of={shared_pair.sent('dd')}", "bs=4096", f"seek={seek}", f"count={piece}", "conv=notrunc,fsync")
        data[seek * 4096:(seek + piece) * 4096] = bytes(piece * 4096)
    arrives(shared_pair, "dd", data)


# -- rsync ---------------------------------------------------------------------------------------

def test_rsync_finds_nothing_to_do_the_second_time(shared_pair, scratch):
    source = os.path.join(scratch, "zoo")
    trees.make_zoo(source)
    run("rsync", "-a", source + "/", shared_pair.sent("rsync"))
    shared_pair.wait_tree(source, "rsync")
    for end in (shared_pair.sent, shared_pair.got):
        assert run("rsync", "-ain", "--checksum", source + "/", end("rsync")) == b""


def test_rsync_in_place_sends_only_what_changed(make_pair, scratch):
    pair, source = make_pair(through_proxy=True), os.path.join(scratch, "source")
    os.mkdir(source)
    for number in range(6):
        trees.write_random(os.path.join(source, f"f{number}"), 2 * MIB, number)

    age(source)

    def synchronize():
        before = pair.proxy.count["up"]
        run("rsync", "-aX", "--inplace", "--partial", "--no-whole-file", source + "/", pair.sent("copy"))
        pair.wait_tree(source, "copy")
        for number in range(6):
            wait_state(pair.sent("copy", f"f{number}"), "delivered")
        return pair.proxy.count["up"] - before
    assert synchronize() > 12 * MIB
    assert synchronize() < 64 << 10
    with open(os.path.join(source, "f1"), "r+b") as file:
        file.seek(MIB)
        file.write(b"changed")
    with open(os.path.join(source, "f2"), "ab") as file:
        file.write(trees.random_bytes(100_000))
    os.truncate(os.path.join(source, "f3"), 1_500_000)
    trees.write_random(os.path.join(source, "new"), 50_000, 9)
    for name in ("f1", "f2", "f3", "new"):
        os.utime(os.path.join(source, name), (1_100_000_000, 1_100_000_000))
    assert 150_000 < synchronize() < 512 << 10


def test_rsync_deletes_what_is_gone(shared_pair, scratch):
    pair, source = shared_pair, os.path.join(scratch, "source")
    trees.make_many(source, 60, folders=5)
    age(source)
    run("rsync", "-a", "--delete", source + "/", pair.sent("mirror"))
    pair.wait_tree(source, "mirror")
    shutil.rmtree(os.path.join(source, "f001"))
    for path in trees.files(source)[::3]:
        os.unlink(os.path.join(os.fsencode(source), path))
    write(os.path.join(source, "f001"), b"a file where a folder was")
    age(source, 1_100_000_000)
    run("rsync", "-a", "--delete", "--force", source + "/", pair.sent("mirror"))
    trees.compare_trees(source, pair.sent("mirror"))
    pair.send_file("after the mirror", b"removals were heard")
    for path in trees.files(source):  # what was delivered and then removed stays the peer's
        if os.path.dirname(path):
            assert read(os.path.join(os.fsencode(pair.got("mirror")), path)) == read(os.path.join(os.fsencode(source), path))


# -- git, sqlite, editors, compilers -------------------------------------------------------------

def make_repository(top):
    os.makedirs(os.path.join(top, "folder"))
    git("init", "-q", "-b", "main", top)
    for version in range(5):
        for number in range(30):
            write(os.path.join(top, "folder", f"{number}.txt"), b"%d %d\n" % (number, version) * 200)
        write(os.path.join(top, "big"), trees.random_bytes(500_000, version))
        git("-C", top, "add", "-A")
        git("-C", top, "commit", "-q", "-m", f"version {version}")
        if version == 3:
            git("-C", top, "gc", "-q")


def test_git_clones_into_the_outbox(shared_pair, scratch):
    pair, source = shared_pair, os.path.join(scratch, "source")
    make_repository(source)
    top = pair.sent("repository")
    git("clone", "-q", source, top)
    write(os.path.join(top, "folder", "0.txt"), b"changed here\n")
    git("-C", top, "commit", "-q", "-a", "-m", "made in the outbox")
    git("-C", top, "gc", "-q")
    git("-C", top, "fsck", "--strict")
    head = git("-C", top, "rev-parse", "HEAD")
    git("-C", top, "checkout", "-q", "-b", "branch", "HEAD~2")
    git("-C", top, "checkout", "-q", "main")
    assert git("-C", top, "status", "--porcelain") == b""
    inbox = pair.got("repository")
    for path in trees.files(top):
        pair.wait_complete(os.path.join("repository", os.fsdecode(path)))
    wait_until(lambda: not trees.differences(os.path.join(top, "folder"), os.path.join(inbox, "folder")), "the work tree")
    git("-C", inbox, "fsck", "--strict")
    assert git("-C", inbox, "rev-parse", "HEAD") == head
    assert git("-C", inbox, "status", "--porcelain") == b""
    copy = os.path.join(scratch, "from the inbox")
    git("clone", "-q", inbox, copy)
    trees.compare_trees(os.path.join(top, "folder"), os.path.join(copy, "folder"), times=False)


@pytest.mark.parametrize("journal", ["wal", "delete", "truncate", "persist"])
def test_sqlite_keeps_a_database(shared_pair, journal):
    pair, name = shared_pair, f"database-{journal}"
    path = pair.sent(name)
    sqlite = program("sqlite3")
    script = [f"pragma journal_mode={journal};", "create table t(id integer primary key, text);", "create index i on t(text);"]
    for number in range(10):
        script += ["begin;", f"with recursive n(x) as (values(1) union all select x+1 from n where x<500) "
                   f"insert into t(text) select hex(randomblob(20)) from n;", f"delete from t where id % 7 = {number % 7};", "commit;"]
    script += ["begin;", "delete from t;", "rollback;", "vacuum;", "pragma wal_checkpoint(truncate);"]
    run(sqlite, "-bail", path, "\n".join(script))
    count = run(sqlite, path, "select count(*), total(id) from t; pragma integrity_check;")
    assert count.endswith(b"ok\n") and not count.startswith(b"0|")
    arrives(pair, name)
    assert run(sqlite, f"file:{pair.got(name)}?immutable=1", "select count(*), total(id) from t; pragma integrity_check;") == count


def test_sqlite_is_used_by_two_processes(shared_pair):
    path = shared_pair.sent("shared-database")
    sqlite = program("sqlite3")
    run(sqlite, path, "pragma journal_mode=wal; create table t(who, n);")
    script = "pragma busy_timeout=30000;" + "".join(f"insert into t values(1, {n});" for n in range(50))
    at_work = [subprocess.Popen([sqlite, "-bail", path, script], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait() for process in at_work] == [0, 0, 0]
    assert run(sqlite, path, "select count(*) from t; pragma integrity_check;") == b"150\nok\n"
    arrives(shared_pair, "shared-database")


def test_vim_saves_a_file(shared_pair):
    pair = shared_pair
    write(pair.sent("text"), b"old line\n" * 1000)
    os.chmod(pair.sent("text"), 0o640)
    for option in ("nobackup", "backup backupcopy=no backupdir=.", "backupcopy=yes"):
        run(program("vim.tiny", "vim"), "-u", "NONE", "-es", "-c", f"set {option}", "-c", "%s/line/line and more/", "-c", "wq", pair.sent("text"),
            cwd=pair.sent())
    wanted = b"old line" + b" and more" * 3 + b"\n"
    assert read(pair.sent("text")) == wanted * 1000
    assert os.stat(pair.sent("text")).st_mode & 0o777 == 0o640
    arrives(pair, "text", wanted * 1000)
    assert os.stat(pair.got("text")).st_mode & 0o777 == 0o640


def test_a_compiler_builds_and_the_result_runs_at_both_ends(shared_pair):
    pair = shared_pair
    os.mkdir(pair.sent("build"))
    write(pair.sent("build", "main.c"), b'#include <stdio.h>\nint main(void) { puts("built in an outbox"); return 0; }\n')
    run(program("cc", "gcc", "clang"), "-g", "-o", "program", "main.c", cwd=pair.sent("build"))
    run(program("strip"), "program", cwd=pair.sent("build"))
    assert run(pair.sent("build", "program")) == b"built in an outbox\n"
    arrives(pair, "build/program")
    assert run(pair.got("build", "program")) == b"built in an outbox\n"


# -- testers -------------------------------------------------------------------------------------

@pytest.mark.parametrize("engine", ["psync", "mmap", "pvsync2"])
def test_fio_verifies_random_writes(shared_pair, engine):
    pair, name = shared_pair, f"fio-{engine}"
    done = run(program("fio"), "--name=job", f"--filename={pair.sent(name)}", f"--ioengine={engine}", "--rw=randwrite", f"--bsrange={'4k' if engine == 'mmap' else 512}-64k",
               f"--size={scaled(16 * MIB)}", "--verify=crc32c", "--do_verify=1", "--verify_fatal=1", "--randrepeat=0", "--fallocate=posix",
               "--fsync=64", "--bs_unaligned" if engine == "psync" else "--invalidate=0", "--output-format=terse", cwd=os.path.dirname(pair.a.base))
    assert b";0;" in done
    arrives(pair, name)


ROUND_S = 5
# What is left out of stress-ng's class of file systems.
NOT_STRESSED = {
    "bind-mount": "mounts / again and again; stress-ng's manual advises against it",
    "binderfs": "mounts a file system of its own",
    "dirdeep": "wants folders to the depth of PATH_MAX; ours end at 64",
    "dup": "works on /dev/zero",
    "eventfd": "works on no file",
    "fanotify": "marks every mount of the machine",
    "fiemap": "FUSE has no FS_IOC_FIEMAP",
    "filename": "wants what it removes to be gone: runs for itself, without --keep-files",
    "getdent": "reads /tmp, /dev, /proc",
    "io": "sync(2), of the whole machine",
    "ioprio": "works on no file",
    "link": "hard links are EPERM",
    "procfs": "reads /proc",
    "verity": "FUSE has no FS_IOC_ENABLE_VERITY",
}


def stress(top, seconds, *words):
    """stress-ng, which checks what it does, in a folder; all stressors at once."""
    text = run(program("stress-ng"), *words, "--timeout", str(seconds), "--temp-path", top, "--verify", cwd=top, timeout=240).decode()
    assert "successful run completed" in text and " fail: " not in text, text  # it counts failures as success, too


def data_ranges(handle, size):
    """(start, end) of what is not a hole."""
    end = 0
    while end < size:
        try:
            start = os.lseek(handle, end, os.SEEK_DATA)
        except OSError as error:
            assert error.errno == errno.ENXIO
            return
        end = os.lseek(handle, start, os.SEEK_HOLE)
        yield start, end


def compare_sparse(one, other):
    """Asserts that two files have the same bytes; reads only what is data in one of them: stressors leave files of 8 TiB."""
    size = os.stat(one).st_size
    assert os.stat(other).st_size == size, one
    with open(one, "rb") as left, open(other, "rb") as right:
        for file in (left, right):
            for start, end in data_ranges(file.fileno(), size):
                for at in range(start, end, MIB):
                    n = min(MIB, end - at)
                    assert os.pread(left.fileno(), n, at) == os.pread(right.fileno(), n, at), f"{one} at {at}"


def compare_what_is_left(pair, name):
    """All that the outbox's folder holds is the same in the inbox, which may hold more: what was delivered and then removed."""
    for path, info in trees.walk(pair.sent(name)):
        path = os.path.join(name, os.fsdecode(path))
        if stat.S_ISREG(info.st_mode):
            wait_state(pair.sent(path), "delivered", timeout=60)
            pair.wait_complete(path)
            compare_sparse(pair.sent(path), pair.got(path))
        elif stat.S_ISLNK(info.st_mode):
            wait_until(lambda path=path: os.readlink(pair.got(path)) == os.readlink(pair.sent(path)), f"{path} to be equal")
        wait_until(lambda path=path, mode=info.st_mode: os.lstat(pair.got(path)).st_mode == mode, f"the mode of {path}")


@pytest.mark.limit(4 * STRESS_SECONDS + 300)
def test_stressors_find_nothing(shared_pair):
    """Rounds of all stressors at once; they leave their files, which are then compared at both ends."""
    pair = shared_pair
    known = run(program("stress-ng"), "--class", "filesystem?").decode().split(":")[1].split()
    chosen = [word for name in known if name not in NOT_STRESSED for word in (f"--{name}", "1")]
    assert len(chosen) > 60
    sizes = [word for name in ("fallocate", "hdd", "iomix", "sync-file") for word in (f"--{name}-bytes", "4M")]
    for number in range(max(1, STRESS_SECONDS // ROUND_S)):
        name = f"stress{number}"
        os.mkdir(pair.sent(name))
        stress(pair.sent(name), min(ROUND_S, STRESS_SECONDS), *chosen, *sizes, "--keep-files")
        compare_what_is_left(pair, name)
        stress(pair.sent(name), 1, "--filename", "1")
        shutil.rmtree(pair.sent(name))
        shutil.rmtree(pair.got(name), ignore_errors=True)  # some of it the sender removes at the same time
        pair.send_file(f"after {name}", b"the link goes on")


# -- readers of what has not come yet --------------------------------------------------------------

def test_unzip_lists_an_archive_whose_middle_is_missing(make_pair, scratch):
    pair, path = make_pair(through_proxy=True), os.path.join(scratch, "archive.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number in range(8):
            archive.writestr(f"member-{number}", trees.random_bytes(4 * MIB, number))
    pair.proxy.rate(up=2 * MIB)
    run("cp", path, pair.sent("archive.zip"))
    wait_until(lambda: os.stat(pair.got("archive.zip")).st_size == os.path.getsize(path), "the size")
    text = run(program("unzip"), "-l", pair.got("archive.zip"))
    assert text.count(b"member-") == 8 and b"8 files" in text
    here, total = harness.progress(pair.got("archive.zip"))
    assert state(pair.got("archive.zip")) == "arriving" and here < total
    pair.proxy.rate()
    pair.wait_complete("archive.zip")
    run(program("unzip"), "-tq", pair.got("archive.zip"))


# -- several writers, and writers that go wrong ----------------------------------------------------

# Appends lines of many sizes to a file that stays open: each line is one write(2), and must stay in one piece.
APPENDER = """
import os, random, sys
name, path, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
for number in range(count):
    line = f"{name} {number} ".encode() + name.encode() * random.choice((1, 100, 5000, 200_000, 1_500_000)) + b"\\n"
    assert os.write(handle, line) == len(line)
"""


def test_several_processes_append(shared_pair):
    path = shared_pair.sent("log")
    loop = 'for i in $(seq 200); do echo "$0 $i a line that must stay whole" >>"$1"; done'
    at_work = [subprocess.Popen(["sh", "-c", loop, name, path], stdin=subprocess.DEVNULL) for name in "abcd"]
    assert [process.wait() for process in at_work] == [0] * 4
    lines = read(path).decode().splitlines()
    assert sorted(lines) == sorted(f"{name} {number} a line that must stay whole" for name in "abcd" for number in range(1, 201))
    arrives(shared_pair, "log")


def test_several_processes_append_long_lines_to_an_open_file(shared_pair):
    path, count = shared_pair.sent("long-log"), scaled(40)
    at_work = [subprocess.Popen([sys.executable, "-c", APPENDER, name, path, str(count)], stdin=subprocess.DEVNULL) for name in "abcd"]
    assert [process.wait() for process in at_work] == [0] * 4
    heads = []
    for line in read(path).splitlines():
        name, number, rest = line.split(b" ")
        assert rest == name * len(rest), f"a torn line of {name}, {number}"
        heads.append((name, int(number)))
    assert sorted(heads) == [(name, number) for name in (b"a", b"b", b"c", b"d") for number in range(count)]
    for name in (b"a", b"b", b"c", b"d"):
        assert [number for writer, number in heads if writer == name] == list(range(count))
    arrives(shared_pair, "long-log")


def test_what_a_killed_writer_wrote_arrives(shared_pair):
    writer = subprocess.Popen(["sh", "-c", 'exec 3>"$0"; head -c 3000000 /dev/zero >&3; echo end >&3; echo ready; exec sleep 1000', shared_pair.sent("killed")],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert writer.stdout.readline() == b"ready\n"
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    arrives(shared_pair, "killed", bytes(3_000_000) + b"end\n")


def test_a_writer_killed_while_it_writes_leaves_a_sealed_file(shared_pair):
    pair = shared_pair
    with open(pair.sent("cut-off"), "wb") as file:
        writer = subprocess.Popen(["head", "-c", str(1 << 30), "/dev/zero"], stdin=subprocess.DEVNULL, stdout=file)
    try:
        wait_until(lambda: harness.progress(pair.got("cut-off"))[0] > MIB, "some of it to be there")
    finally:
        writer.kill()
        writer.wait()
    assert writer.returncode == -signal.SIGKILL
    arrives(pair, "cut-off", bytes(os.stat(pair.sent("cut-off")).st_size))


def read_first(path, size):
    """So many bytes and not one more: at the end of a file that is open at its sender a reader waits for what comes."""
    with open(path, "rb", buffering=0) as file:
        return b"".join(iter(lambda: file.read(min(MIB, size - file.tell())), b""))


def pauses():
    """What is between two writes: nothing but the bytes' way to the peer; in a long run also silence, from less than the 50 ms to a minute."""
    if not OPEN_SECONDS:
        return [0] * 5
    longest = min(60, OPEN_SECONDS / 4)
    lengths, left = [], OPEN_SECONDS
    source = random.Random(OPEN_SECONDS)
    while left > 0:
        lengths.append(min(left, source.choice((0, 0.03, 0.06, 1, 5, longest))))
        left -= lengths[-1] + 0.05
    return lengths


@pytest.mark.limit(2 * OPEN_SECONDS + 90)
def test_what_is_written_to_an_open_file_arrives_in_each_pause(shared_pair):
    """Appended and overwritten: the peer has every byte while the file stays open, and nothing is complete before it is closed."""
    pair, source, model = shared_pair, random.Random(7), bytearray()
    with open(pair.sent("journal"), "wb", buffering=0) as file:
        for pause in pauses():
            piece = source.randbytes(source.choice((1, 5000, 100_000)))
            model += piece
            file.seek(0, os.SEEK_END)
            file.write(piece)
            at = source.randrange(len(model))
            model[at:at + 10] = piece[:min(10, len(model) - at)].ljust(min(10, len(model) - at), b".")
            file.seek(at)
            file.write(model[at:at + 10])
            wait_until(lambda: harness.progress(pair.got("journal")) == (len(model), len(model)), "all bytes so far")
            wait_until(lambda: read_first(pair.got("journal"), len(model)) == model, "what was overwritten")
            assert state(pair.got("journal")) == "arriving" and state(pair.sent("journal")) == "writing"
            time.sleep(pause)
    arrives(pair, "journal", bytes(model))


def test_a_mapped_file_arrives_as_it_was_left(shared_pair):
    pair, size = shared_pair, 3 * MIB
    data = trees.random_bytes(size)
    with open(pair.sent("mapped"), "w+b") as file:
        file.truncate(size)
        with mmap.mmap(file.fileno(), size) as view:
            view[:] = data
            view[1000:1005] = b"first"
            file.close()  # the mapping stays
            view[2000:2006] = b"second"
    wanted = bytearray(data)
    wanted[1000:1005], wanted[2000:2006] = b"first", b"second"
    arrives(pair, "mapped", bytes(wanted))


def test_allocated_and_punched_files_arrive(shared_pair):
    pair, data = shared_pair, bytearray(trees.random_bytes(4 * MIB))
    run("fallocate", "-l", str(4 * MIB), pair.sent("allocated"))
    arrives(pair, "allocated", bytes(4 * MIB))
    assert blocks(pair.got("allocated")) < MIB  # zeros that nobody wrote do not travel
    with open(pair.sent("allocated"), "r+b") as file:
        file.write(data)
    arrives(pair, "allocated", bytes(data))
    run("fallocate", "-p", "-o", str(MIB), "-l", str(2 * MIB), pair.sent("allocated"))
    data[MIB:3 * MIB] = bytes(2 * MIB)
    arrives(pair, "allocated", bytes(data))
    run("fallocate", "-z", "-o", "100", "-l", "1000", pair.sent("allocated"))
    data[100:1100] = bytes(1000)
    arrives(pair, "allocated", bytes(data))
    with contextlib.suppress(OSError):
        os.posix_fadvise(os.open(pair.sent("allocated"), os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)
    assert blocks(pair.sent("allocated")) < 3 * MIB
