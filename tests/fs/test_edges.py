# SPDX-License-Identifier: MIT
"""The edges of what both ends may do at once: symlinks, folders that are swapped, descriptors that children inherit, long queues."""
import contextlib
import errno
import os
import resource
import subprocess

import pytest

import trees
from harness import CODE, Late, run, state, wait_state, wait_until, xattr


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def deliver(pair, name, data=b"data"):
    write(pair.sent(name), data)
    wait_state(pair.sent(name), "delivered")


def all_delivered(top):
    """Everything below a folder of the outbox, but symlinks, which have no attributes of their own."""
    paths = [os.path.join(os.fsencode(top), path) for path, info in trees.walk(top) if not os.path.stat.S_ISLNK(info.st_mode)]

    def done():
        while paths and state(paths[-1]) == "delivered":
            paths.pop()
        return not paths
    wait_until(done, f"all of {top} to be delivered", 60)


# -- symlinks ----------------------------------------------------------------------------------

LINKS = {"d/up": "..", "d/e/root": "../..", "d/e/f/deep": "../../../d", "d/to-e": "e", "chain": "d/e/root",
         "chain2": "chain/d/up", "d/e/back": "../up", "d/e/f/home": "../../../chain"}
BAD_LINKS = {"out": "..", "d/over": "../..", "d/behind": "up/..", "through": "d/e/root/..", "abs": "/etc", "d/e/x": "../up/../.."}


def links_below(top):
    return [os.fsdecode(path) for path, info in trees.walk(top) if os.path.stat.S_ISLNK(info.st_mode)]


def assert_links_stay_inside(top):
    """No symlink, whichever way it is followed, leads out of the link's tree; returns how many can be read."""
    inside, n = os.path.realpath(top), 0
    for path in links_below(top):
        try:
            os.readlink(os.path.join(top, path))
        except OSError as error:
            assert error.errno == errno.EPERM, error
            continue
        n += 1
        for way in (path, path + "/d", path + "/d/up", path + "/e/back"):
            try:
                real = os.path.realpath(os.path.join(top, way))
            except PermissionError:
                continue  # one on the way cannot be read
            assert (real + "/").startswith(inside + "/"), f"{way} leads to {real}"
    return n


def test_safe_symlinks_cannot_leave_the_tree(make_pair):
    pair = make_pair(b_options={"links": "safe"})
    os.makedirs(pair.sent("d/e/f"))
    for name, target in {**LINKS, **BAD_LINKS}.items():
        os.symlink(target, pair.sent(name))
    pair.send_file("all told", b"")
    assert set(links_below(pair.got())) == set(LINKS)
    assert assert_links_stay_inside(pair.got()) == len(LINKS)
    # moved up, by either end, the same targets would lead out
    os.rename(pair.sent("d/up"), pair.sent("up"))
    os.rename(pair.sent("d/e"), pair.sent("e"))
    pair.send_file("all moved", b"")
    assert_links_stay_inside(pair.got())
    os.rename(pair.got("e", "f"), pair.got("f"))
    os.rename(pair.got("e", "root"), pair.got("root"))
    assert_links_stay_inside(pair.got())
    assert len(links_below(pair.got())) == len(LINKS)


# -- folders with kept files -------------------------------------------------------------------

def test_swapped_folders_arrive_beside_what_was_kept(pair):
    for name in ("cur", "new", "x", "m"):
        os.mkdir(pair.sent(name))
    for name in ("cur/a", "cur/both", "new/b", "new/both", "x/f", "m/k", "t"):
        deliver(pair, name, name.encode())
    run("rm", "-r", pair.sent("cur"))
    os.rename(pair.sent("new"), pair.sent("cur"))
    write(pair.sent("cur/w"), b"later")
    run("rm", "-r", pair.sent("x"))
    write(pair.sent("x"), b"a file now")
    run("rm", "-r", pair.sent("m"))
    os.rename(pair.sent("t"), pair.sent("m"))
    pair.send_file("end", b"")
    all_delivered(pair.sent())
    for path, _ in trees.walk(pair.sent()):
        there, here = os.path.join(os.fsencode(pair.sent()), path), os.path.join(os.fsencode(pair.got()), path)
        assert xattr(there, "error") is None
        assert os.path.isdir(there) == os.path.isdir(here)
        assert os.path.isdir(there) or read(there) == read(here), path
    assert sorted(os.listdir(pair.got())) == ["cur", "end", "m", "m.kept", "x", "x.kept"]
    assert sorted(os.listdir(pair.got("cur"))) == ["a", "b", "both", "w"]
    assert read(pair.got("cur/a")) == b"cur/a" and read(pair.got("cur/both")) == b"new/both"
    assert read(pair.got("x.kept/f")) == b"x/f" and read(pair.got("m.kept/k")) == b"m/k"


def test_what_its_owner_named_is_not_lost_to_its_sender(make_pair):
    """Though the sender has released its bytes, so that this is the only copy; also after a kill of the receiver."""
    pair = make_pair(a_options={"release_after": 1})
    mine = trees.random_bytes(10000)
    os.mkdir(pair.sent("a"))
    for name in ("report", "a/f"):
        deliver(pair, name, mine)
    wait_until(lambda: all(os.stat(pair.sent(name)).st_blocks <= 1 for name in ("report", "a/f")), "the release")
    os.rename(pair.got("report"), pair.got("final"))
    os.rename(pair.got("a"), pair.got("b"))
    pair.b.kill9()
    pair.b.start()
    os.mkdir(pair.sent("b"))
    for name in ("final", "b/f"):
        deliver(pair, name, b"theirs")
    for name in ("final", "b/f"):
        assert read(pair.got(name)) == b"theirs"
    for name in ("final.kept", "b.kept/f"):
        assert read(pair.got(name)) == mine
    assert read(pair.sent("report")) == mine  # it comes back from where it stands now
    write(pair.sent("report"), b"mine, and more")
    wait_until(lambda: read(pair.got("final.kept")) == b"mine, and more", "the next version")
    assert sorted(os.listdir(pair.got())) == ["b", "b.kept", "final", "final.kept"]


def test_what_was_removed_before_its_delivery_is_not_there(make_pair):
    """Though all of it may have arrived, and be complete, before the removal did."""
    pair = make_pair(through_proxy=True)
    deliver(pair, "file")
    os.symlink("file", pair.sent("link"))
    wait_until(lambda: os.path.islink(pair.got("link")), "the link")
    pair.proxy.rate(down=1)  # nothing is acknowledged any more
    os.mkdir(pair.sent("folder"))
    write(pair.sent("folder/file"), b"content")
    write(pair.sent("again"), b"content")
    os.symlink("file", pair.sent("folder/link"))
    os.symlink("nowhere", pair.sent("moved"))
    os.rename(pair.sent("moved"), pair.sent("folder/moved"))
    wait_state(pair.got("folder/file"), "complete")
    wait_until(lambda: os.path.islink(pair.got("folder/moved")), "the last of it")
    for name in ("file", "link", "moved"):
        os.unlink(pair.sent("folder", name))
    os.rmdir(pair.sent("folder"))
    os.unlink(pair.sent("again"))
    pair.proxy.rate()
    os.unlink(pair.sent("file"))  # these were delivered: they stay there
    os.unlink(pair.sent("link"))
    deliver(pair, "end")
    assert sorted(os.listdir(pair.got())) == ["end", "file", "link"]


def test_a_folder_that_is_made_again_gives_the_one_above_its_time(pair):
    os.makedirs(pair.sent("top/d"))
    deliver(pair, "top/d/f")
    run("rm", "-r", pair.sent("top/d"))
    os.mkdir(pair.sent("top/d"))
    pair.send_file("end", b"")
    assert os.listdir(pair.got("top/d")) == ["f"]  # kept
    assert os.stat(pair.got("top")).st_mtime_ns == os.stat(pair.sent("top")).st_mtime_ns


# -- descriptors that children inherit ---------------------------------------------------------

WRITER = 'exec 3>"$1"; /bin/echo part >&3; echo waiting; read go; echo more >&3'


@pytest.fixture
def writer(pair):
    """A shell whose child wrote to a file that it still has open; it goes on after a line."""
    with subprocess.Popen(["sh", "-c", WRITER, "sh", pair.sent("f")], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdout.readline() == b"waiting\n"
        # the child's end is taken for the last close for a moment only
        wait_state(pair.sent("f"), "writing")
        wait_until(lambda: os.stat(pair.got("f")).st_size == 5, "the part")
        pair.send_file("meanwhile", bytes(100_000))
        assert state(pair.got("f")) == "arriving" and state(pair.sent("f")) == "writing"
        yield shell
        shell.kill()


def test_a_file_is_whole_when_the_last_descriptor_is_closed(pair, writer):
    writer.stdin.write(b"\n")
    writer.stdin.close()
    assert writer.wait(20) == 0
    pair.wait_complete("f")
    assert read(pair.got("f")) == b"part\nmore\n"


def test_a_file_that_is_only_opened_again_while_its_seal_is_answered_is_delivered(make_pair):
    """The seal has left, its answer has not come; somebody opens the file for writing, does not write, and closes it after the answer."""
    pair = make_pair(through_proxy=True)
    for attempt in range(3):  # each has 50 ms until the store finds the file still open
        name = f"file{attempt}"
        pair.proxy.rate(down=200)
        first, second = (os.open(pair.sent(name), os.O_WRONLY | os.O_CREAT) for _ in range(2))
        os.write(first, b"content")
        os.close(first)
        os.close(second)
        wait_until(lambda name=name: state(pair.got(name)) == "complete", "the seal to be there")
        third = os.open(pair.sent(name), os.O_WRONLY)
        with contextlib.suppress(Late):
            wait_state(pair.sent(name), "writing", timeout=1)
        pair.proxy.rate()
        pair.send_file(f"after {name}", b"the answers came")
        os.close(third)
        wait_state(pair.sent(name), "delivered")


def test_a_file_whose_child_has_closed_it_is_interrupted_by_a_kill(pair, writer):
    pair.a.kill9()
    writer.kill()
    pair.a.start()
    wait_state(pair.sent("f"), "interrupted")
    pair.wait_connected()
    wait_state(pair.got("f"), "interrupted")


@pytest.fixture
def few_descriptors():
    """What is started has as many as in a shell, and may ask for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    yield lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_programs_may_have_more_files_open_than_a_shell_allows(few_descriptors, make_node):
    node = make_node(listen=False, debug=False).start()
    few_descriptors()
    os.mkdir(node.outbox(CODE))
    with contextlib.ExitStack() as stack:
        for number in range(400):
            file = stack.enter_context(open(node.outbox(CODE, str(number)), "wb", buffering=0))
            assert file.write(b"x") == 1


# -- operations --------------------------------------------------------------------------------

def test_a_long_queue_of_operations_survives_a_kill(make_pair, scratch):
    """More than a MiB of them, not acknowledged: content must not overtake what it belongs to."""
    pair = make_pair(through_proxy=True, debug=False)
    pair.proxy.cut()
    wait_state(pair.sent(), "offline")
    source, tail = os.path.join(scratch, "queue"), "n" * 200
    os.mkdir(source)
    for index in range(30):
        folder = os.path.join(source, f"{index}-{tail}")
        os.mkdir(folder)
        for number in range(10):
            os.symlink("t" * 4000, os.path.join(folder, f"link-{number}"))
            for file in range(2):
                write(os.path.join(folder, f"{number}-{file}-{tail}"), b"%d" % number * file)
    run("cp", "-a", source, pair.sent())
    pair.a.kill9()
    pair.a.start()
    for folder in os.listdir(source):
        assert state(pair.sent("queue", folder)) == "queued"
    pair.proxy.restore()
    pair.wait_tree(source, "queue")
    all_delivered(pair.sent())


def test_content_does_not_overtake_an_older_time(make_pair):
    """The file is small and goes first; the operation with the time that it had before stands behind more than a MiB of others."""
    pair = make_pair(through_proxy=True, debug=False)
    pair.proxy.cut()
    wait_state(pair.sent(), "offline")
    write(pair.sent("f"), b"one")
    for number in range(400):
        os.symlink("t" * 4000, pair.sent(f"link-{number}"))
    os.utime(pair.sent("f"), ns=(1, 1_000_000_001))
    with open(pair.sent("f"), "ab") as file:
        file.write(b" two")
    meant = os.stat(pair.sent("f")).st_mtime_ns
    pair.proxy.restore()
    pair.wait_complete("f")
    wait_state(pair.sent("f"), "delivered")
    assert read(pair.got("f")) == b"one two" and os.stat(pair.got("f")).st_mtime_ns == meant


def test_what_came_twice_is_acknowledged(make_pair):
    """The acknowledgement is lost with a kill: the peer has it all, does nothing, and says so again."""
    pair = make_pair(through_proxy=True, debug=False)
    pair.proxy.rate(down=1)
    write(pair.sent("f"), b"once")
    pair.wait_complete("f")
    assert state(pair.sent("f")) == "sending"
    pair.a.kill9()
    pair.proxy.drop()
    pair.proxy.rate()
    pair.a.start()
    wait_state(pair.sent("f"), "delivered")


# -- the inbox is its owner's ------------------------------------------------------------------

def test_nothing_moves_into_a_folder_that_was_removed(pair):
    os.mkdir(pair.sent("gone"))
    deliver(pair, "file")
    folder = os.open(pair.got("gone"), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.rmdir(pair.got("gone"))
        with pytest.raises(FileNotFoundError):
            os.rename(pair.got("file"), "file", dst_dir_fd=folder)
        run("sh", "-c", 'cd "$1" && mkdir -p "$2" && cd "$2" && rmdir "$2" && ! mkdir below', "sh",
            pair.b.outbox(pair.code), pair.b.outbox(pair.code, "cwd"))
    finally:
        os.close(folder)
    pair.b.stop()
    pair.b.start()
    assert read(pair.got("file")) == b"data" and os.listdir(pair.got()) == ["file"]


@pytest.mark.main_path
@pytest.mark.parametrize("way", ["chmod each", "chmod -R"])
def test_read_only_folders_can_be_removed_from_the_inbox(shared_pair, way):
    pair, name = shared_pair, "read-only" + way.replace(" ", "")
    os.makedirs(pair.sent(name, "below"))
    deliver(pair, f"{name}/file")
    deliver(pair, f"{name}/below/file")
    for folder in ("below", "."):
        os.chmod(pair.sent(name, folder), 0o555)
    wait_until(lambda: os.stat(pair.got(name)).st_mode & 0o777 == 0o555 ==
               os.stat(pair.got(name, "below")).st_mode & 0o777, "the modes")
    if way == "chmod -R":
        run("chmod", "-R", "u+w", pair.got(name))
    else:
        for folder in (".", "below"):
            os.chmod(pair.got(name, folder), 0o755)
    assert os.stat(pair.got(name)).st_mode & 0o777 == 0o755
    assert os.stat(pair.sent(name)).st_mode & 0o777 == 0o555  # local
    run("rm", "-rf", pair.got(name))
    assert not os.path.exists(pair.got(name)) and os.path.exists(pair.sent(name, "below/file"))
    os.chmod(pair.sent(name), 0o755)
    os.chmod(pair.sent(name, "below"), 0o755)
