# SPDX-License-Identifier: MIT
"""inotify on the inbox: who watches a folder sees what the peer makes, completes, renames and removes there, each change once."""
import contextlib
import errno
import os
import re
import subprocess
import sys
import threading

import pytest

import trees
from harness import MIB, SLOW, SCALE, progress, run, scaled, state, wait_state, wait_until, xattr
from watcher import Watcher

REPEATED = re.compile(r"repeated for watchers: item (\d+) (\w+)")
ASKED = "asking the kernel whether folder"


@pytest.fixture
def watch():
    """watch(paths...): a Watcher that is closed with the test."""
    made = []

    def make(*paths, **kwargs):
        made.append(Watcher(*paths, **kwargs))
        return made[-1]
    yield make
    for watcher in made:
        watcher.close()


@pytest.fixture
def slow_pair(make_pair):
    """A pair whose link carries 2 MiB/s; pair.proxy.rate() lifts that."""
    pair = make_pair(through_proxy=True)
    pair.proxy.rate(up=2 * MIB)
    return pair


def send(pair, name, data=b"content"):
    with open(pair.sent(name), "wb") as out:
        out.write(data)


def send_told(pair, watch, *names):
    """Until each was told as complete, which comes after stat shows it: a later watcher sees nothing of that."""
    watcher = watch(pair.got())
    for name in names:
        send(pair, name)
        watcher.wait(name, "CREATE", "CLOSE_WRITE")


def delivered(pair, *names):
    """Waits at the sender, so that nothing at the other end is looked at."""
    for name in names:
        wait_state(pair.sent(name), "delivered")


def log_text(node):
    with open(node.log, encoding="utf-8", errors="replace") as file:
        return file.read()


def repeats(node):
    """What the notifier did so far: (item, what) each."""
    return REPEATED.findall(log_text(node))


def quiet(pair, watcher):
    """Everything sent so far was told: a last file comes after it."""
    send(pair, "last")
    watcher.wait("last", "CREATE", "CLOSE_WRITE")
    return watcher.settled()


@pytest.mark.main_path
def test_each_file_is_seen_once_complete(pair, watch):
    """200 files, empty to 1 MiB, with folders and symlinks between; whoever acts on an event finds what it says."""
    wrong, sizes = [], {}

    def check(event):
        path, what, name = event
        if what == "CLOSE_WRITE" and name in sizes:
            try:
                found = os.path.join(path, name)
                told = os.stat(found).st_size, state(found)
                with open(found, "rb") as file:
                    told += (len(file.read()),)
                if told != (sizes[name], "complete", sizes[name]):
                    wrong.append((name, told))
            except OSError as error:
                wrong.append((name, error))
    watcher = watch(pair.got(), also=check)
    for index in range(200):
        name = f"file{index}"
        sizes[name] = (0, 1, index, 4096 + index, MIB)[index % 5] if index != 4 else scaled(8 * MIB)
        send(pair, name, trees.random_bytes(sizes[name]))
        if index % 20 == 0:
            os.symlink(name, pair.sent(f"link{index}"))
            os.mkdir(pair.sent(f"folder{index}"))
    for name in sizes:
        watcher.wait(name, "CREATE", "CLOSE_WRITE")
    quiet(pair, watcher)
    for name in sizes:
        assert watcher.of(name) == ["CREATE", "CLOSE_WRITE"]
    for index in range(0, 200, 20):
        assert watcher.of(f"link{index}") == ["CREATE"] and watcher.of(f"folder{index}") == ["CREATE+"]
    assert not wrong


def test_inotifywait_sees_them(pair):
    with subprocess.Popen(["inotifywait", "-m", "-e", "create,moved_to,close_write", "--format", "%e %f", pair.got()],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            while "established" not in process.stderr.readline():
                assert process.poll() is None
            for index in range(20):
                send(pair, f"file{index}", b"x" * index)
            os.mkdir(pair.sent("last"))
            said = []
            while not said or said[-1] != "CREATE,ISDIR last":
                said.append(process.stdout.readline().strip())
            while len(said) < 41:  # a file may be complete after a later folder is made
                said.append(process.stdout.readline().strip())
        finally:
            process.terminate()
            said += process.stdout.read().split("\n")[:-1]
    wanted = [f"{what} file{index}" for index in range(20) for what in ("CREATE", "CLOSE_WRITE,CLOSE")]
    assert sorted(said) == sorted([*wanted, "CREATE,ISDIR last"])


@pytest.mark.main_path
def test_a_large_file_is_complete_only_at_its_end(slow_pair, watch):
    pair = slow_pair
    watcher = watch(pair.got())
    send(pair, "film", trees.random_bytes(6 * MIB))
    watcher.wait("film", "CREATE")
    single = watch(pair.got("film"))  # a watch on the file itself
    wait_until(lambda: progress(pair.got("film"))[0] > MIB, "some of it")
    assert watcher.of("film") == ["CREATE"] and state(pair.got("film")) == "arriving"
    pair.proxy.rate()
    watcher.wait("film", "CREATE", "CLOSE_WRITE")
    assert state(pair.got("film")) == "complete"
    wait_until(lambda: single.of("") == ["CLOSE_WRITE"], "the same on the file itself")


@pytest.mark.main_path
def test_an_update_is_told_once(pair, watch):
    """In place or by rename: one event says that the next version is here, and it is the one that stat and open show."""
    send_told(pair, watch, "inplace", "renamed")
    shown = {}

    def check(event):
        if event[1] in ("CLOSE_WRITE", "MOVED_TO"):
            with open(os.path.join(event[0], event[2]), "rb") as file:
                shown[event[2]] = os.stat(os.path.join(event[0], event[2])).st_size, os.fstat(file.fileno()).st_ino, file.read()
    before = {name: os.stat(pair.got(name)).st_ino for name in ("inplace", "renamed")}
    watcher = watch(pair.got(), also=check)
    send(pair, "inplace", b"the second, longer version")
    send(pair, ".renamed.tmp", b"the second, longer version")
    os.rename(pair.sent(".renamed.tmp"), pair.sent("renamed"))
    for name in before:
        wait_until(lambda name=name: watcher.of(name), f"an event of {name}")
    quiet(pair, watcher)
    assert watcher.of("inplace") == ["CLOSE_WRITE"]
    assert watcher.of("renamed") in (["CLOSE_WRITE"], ["MOVED_TO"])
    for name, inode in before.items():
        size, number, data = shown[name]
        assert size == len(data) and data == b"the second, longer version" and number != inode


@pytest.mark.main_path
def test_renames_by_the_sender(pair, watch):
    for folder in ("left", "right", "unseen"):
        os.mkdir(pair.sent(folder))
    for name in ("within", "across", "left/there", "unseen/shown", "left/hidden"):
        send(pair, name)
    delivered(pair, "within", "across", "left/there", "unseen/shown", "left/hidden")
    top, left, right = pair.got(), pair.got("left"), pair.got("right")
    watcher = watch(top, left, right)
    os.rename(pair.sent("within"), pair.sent("within2"))
    os.rename(pair.sent("left/there"), pair.sent("right/there"))
    os.rename(pair.sent("unseen/shown"), pair.sent("right/shown"))
    os.rename(pair.sent("left/hidden"), pair.sent("unseen/hidden"))
    os.rename(pair.sent("right"), pair.sent("right2"))
    send(pair, "right2/inside")  # the watch is on the folder, whatever its name
    watcher.wait("inside", "CREATE", "CLOSE_WRITE")
    quiet(pair, watcher)
    assert watcher.of("within") == ["MOVED_FROM"] and watcher.of("within2") == ["MOVED_TO"]
    assert [event for event in watcher.seen if event[2] == "there"] == [(left, "MOVED_FROM", "there"), (right, "MOVED_TO", "there")]
    assert [event for event in watcher.seen if event[2] == "shown"] == [(right, "MOVED_TO", "shown")]
    assert [event for event in watcher.seen if event[2] == "hidden"] == [(left, "MOVED_FROM", "hidden")]
    assert watcher.of("right") == ["MOVED_FROM+"] and watcher.of("right2") == ["MOVED_TO+"]
    with open(pair.got("right2", "inside"), "rb") as file:
        assert file.read() == b"content"


@pytest.mark.main_path
def test_what_comes_from_a_folder_that_goes(pair, watch):
    os.mkdir(pair.sent("parcel"))
    send(pair, "parcel/file")
    delivered(pair, "parcel/file")
    watcher = watch(pair.got())
    os.rename(pair.sent("parcel/file"), pair.sent("file"))
    os.rmdir(pair.sent("parcel"))
    watcher.wait("parcel", "DELETE+")
    assert watcher.of("file") in (["MOVED_TO"], ["CREATE", "CLOSE_WRITE"])


@pytest.mark.main_path
def test_removals_by_the_sender(slow_pair, watch):
    pair = slow_pair
    os.mkdir(pair.sent("empty"))
    send(pair, "cancelled", trees.random_bytes(16 * MIB))
    wait_until(lambda: set(os.listdir(pair.got())) == {"empty", "cancelled"}, "both")
    watcher = watch(pair.got())
    single = watch(pair.got("cancelled"))
    os.rmdir(pair.sent("empty"))
    os.unlink(pair.sent("cancelled"))
    watcher.wait("empty", "DELETE+")
    watcher.wait("cancelled", "DELETE")
    wait_until(lambda: single.of("", "DELETE_SELF"), "the file itself to go")
    assert os.listdir(pair.got()) == []


@pytest.mark.main_path
def test_the_owners_own_changes_are_not_repeated(pair, watch):
    send_told(pair, watch, "removed", "moved")
    watcher = watch(pair.got())
    os.unlink(pair.got("removed"))
    os.rename(pair.got("moved"), pair.got("moved2"))
    quiet(pair, watcher)
    assert watcher.of("removed") == ["DELETE"]
    assert watcher.of("moved") == ["MOVED_FROM"] and watcher.of("moved2") == ["MOVED_TO"]


@pytest.mark.main_path
def test_a_watcher_that_follows_new_folders(pair, watch):
    """As inotifywait -r does: a new folder is watched as soon as it is seen."""
    def follow(event):
        if event[1] == "CREATE+":
            with contextlib.suppress(FileNotFoundError):
                watcher.add(os.path.join(event[0], event[2]))
    watcher = watch(also=follow)
    watcher.add(pair.got())
    for folder in ("a", "a/b", "a/b/c"):
        os.mkdir(pair.sent(folder))
        watcher.wait(os.path.basename(folder), "CREATE+")
        wait_until(lambda folder=folder: pair.got(folder) in watcher.paths.values(), "the next watch")
    send(pair, "a/b/c/file")
    watcher.wait("file", "CREATE", "CLOSE_WRITE")


@pytest.mark.main_path
def test_modes_of_the_sender_do_not_blind_a_watcher(pair, watch):
    """The folder and the file may not be written, by their modes, when the changes come."""
    os.mkdir(pair.sent("sealed"))
    os.mkdir(pair.sent("sealed", "inner"))
    wait_until(lambda: os.path.isdir(pair.got("sealed", "inner")), "the folders")
    watcher = watch(pair.got("sealed", "inner"))
    with open(os.open(pair.sent("sealed/inner/file"), os.O_CREAT | os.O_WRONLY, 0o444), "wb") as out:
        watcher.wait("file", "CREATE")
        os.mkdir(pair.sent("sealed/inner/folder"))
        os.chmod(pair.sent("sealed/inner"), 0o500)
        os.chmod(pair.sent("sealed"), 0o100)
        wait_until(lambda: os.stat(pair.got("sealed")).st_mode & 0o777 == 0o100, "the modes")
        out.write(b"content")
    watcher.wait("file", "CREATE", "CLOSE_WRITE")
    watcher.wait("folder", "CREATE+")
    assert os.stat(pair.got("sealed/inner")).st_mode & 0o777 == 0o500
    assert os.stat(pair.got("sealed/inner/file")).st_mode & 0o777 == 0o444
    for folder in ("sealed", "sealed/inner"):
        os.chmod(pair.sent(folder), 0o700)


def test_nothing_is_repeated_where_nobody_looked(pair, scratch, watch):
    """A tree of new folders comes into a folder that is watched: only its top is told."""
    source = os.path.join(scratch, "tree")
    for index in range(5):
        os.makedirs(os.path.join(source, f"folder{index}", "deep"))
        for name in range(10):
            trees.write_random(os.path.join(source, f"folder{index}", "deep", f"{name}"), 100)
    watcher = watch(pair.got())
    run("cp", "-r", source, pair.sent())
    delivered(pair, *(os.path.join("tree", os.fsdecode(path)) for path in trees.files(source)))
    quiet(pair, watcher)
    assert watcher.of("tree", "CREATE+", "CLOSE_WRITE", "CREATE") == ["CREATE+"]
    assert [what for _, what in repeats(pair.b) if what == "made"] == ["made", "made"]  # tree and last
    assert [what for _, what in repeats(pair.b) if what == "complete"] in ([], ["complete"])


def test_a_folder_that_was_only_listed_is_found_out(pair):
    os.mkdir(pair.sent("listed"))
    wait_until(lambda: os.path.isdir(pair.got("listed")), "the folder")
    os.listdir(pair.got("listed"))
    n = max(400, scaled(800))
    for index in range(n):
        send(pair, f"listed/{index}", b"x")
    delivered(pair, *(f"listed/{index}" for index in range(n)))
    assert ASKED in log_text(pair.b) and len(repeats(pair.b)) < n
    assert sorted(os.listdir(pair.got("listed"))) == sorted(map(str, range(n)))


@pytest.mark.main_path
def test_a_storm_is_told_in_full_to_who_watches(pair, watch):
    """2000 small files; asking the kernel who watches disturbs neither the watch nor a program whose folder it is."""
    os.mkdir(pair.sent("storm"))
    wait_until(lambda: os.path.isdir(pair.got("storm")), "the folder")
    inside = subprocess.Popen([sys.executable, "-c", "import os; input(); print(os.getcwd(), len(os.listdir('.')))"],
                              cwd=pair.got("storm"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    watcher = watch(pair.got("storm"))
    n = max(400, int(2000 * SCALE))
    for index in range(n):
        send(pair, f"storm/{index}", b"x" * (index % 100))
    wait_until(lambda: watcher.count("CLOSE_WRITE") >= n, "all of them", 60)
    watcher.settled()
    assert all(watcher.of(str(index)) == ["CREATE", "CLOSE_WRITE"] for index in range(0, n, 7))
    assert watcher.count("CREATE") == watcher.count("CLOSE_WRITE") == n and len(watcher.seen) == 2 * n
    assert ASKED in log_text(pair.b), "it was never asked: this proved nothing"
    assert inside.communicate("\n")[0].split() == [pair.got("storm"), str(n)]


@pytest.mark.main_path
def test_programs_that_look_meanwhile_change_nothing(pair, watch):
    """Names that the kernel knows already, and programs that try to write, while the changes are told."""
    watcher, stop, codes = watch(pair.got()), threading.Event(), set()

    def look():
        while not stop.is_set():
            for index in range(50):
                for function, *arguments in ((os.stat, pair.got(f"{index}")), (os.open, pair.got(f"{index}"), os.O_WRONLY),
                                             (os.open, pair.got(f"new{index}"), os.O_CREAT | os.O_WRONLY), (os.mkdir, pair.got("new"))):
                    try:
                        function(*arguments)
                        codes.add(function.__name__)
                    except OSError as error:
                        codes.add(error.errno)
    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for index in range(50):
            send(pair, f"{index}", b"x" * index)
        for index in range(50):
            watcher.wait(f"{index}", "CREATE", "CLOSE_WRITE", timeout=40)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert codes <= {"stat", errno.ENOENT, errno.EPERM} and errno.EPERM in codes
    assert sorted(os.listdir(pair.got())) == sorted(str(index) for index in range(50))


def test_a_link_that_pairs_is_seen_in_the_box(make_pair, watch):
    pair = make_pair(connect=False)
    pair.a.start()
    pair.b.start()
    inbox, outbox = watch(pair.a.inbox()), watch(pair.b.outbox())
    pair.arm()
    inbox.wait(pair.code, "CREATE+")
    outbox.wait(pair.code, "CREATE+")
    pair.wait_connected()


@pytest.mark.main_path
def test_unmounting_while_watched(pair, watch):
    watcher = watch(pair.got())
    send(pair, "before")
    watcher.wait("before", "CREATE", "CLOSE_WRITE")
    pair.b.stop()
    wait_until(lambda: watcher.count("UNMOUNT+"), "the watch to end")
    pair.b.start()
    again = watch(pair.got())
    send(pair, "after")
    again.wait("after", "CREATE", "CLOSE_WRITE", timeout=60)
    pair.b.kill9()
    pair.b.start()
    third = watch(pair.got())
    send(pair, "at last")
    third.wait("at last", "CREATE", "CLOSE_WRITE", timeout=60)


@pytest.mark.parametrize("end", ["terminate", "lazily", "fusermount"])
def test_ending_in_the_middle_of_a_storm(pair, watch, end):
    """It ends in time, and what lies below the mount stays as it was."""
    watcher = watch(pair.got())
    stop = threading.Event()

    def storm():
        index = 0
        while not stop.is_set():
            send(pair, f"{index}", b"x")
            index += 1
    thread = threading.Thread(target=storm)
    thread.start()
    try:
        wait_until(lambda: watcher.count("CLOSE_WRITE") > 50, "the storm")
        if end == "terminate":
            pair.b.terminate()
        elif end == "lazily":
            run("fusermount3", "-u", "-z", pair.b.mount)
            assert pair.b.process.wait(5 * SLOW) == 0
            pair.b.process = None
        else:  # a mount in use cannot be unmounted, but it is used for moments only
            wait_until(lambda: subprocess.run(["fusermount3", "-u", pair.b.mount], stderr=subprocess.DEVNULL,
                                              check=False).returncode == 0, "a moment of rest")
            assert pair.b.process.wait(5 * SLOW) == 0
            pair.b.process = None
        assert os.listdir(pair.b.mount) == []
    finally:
        stop.set()
        thread.join()
    pair.b.start()
    pair.wait_connected()
    pair.send_file("after", b"content")


def test_attributes_that_the_sender_changes(pair, watch):
    send_told(pair, watch, "file")
    watcher = watch(pair.got())
    os.chmod(pair.sent("file"), 0o600)
    watcher.wait("file", "ATTRIB")
    assert os.stat(pair.got("file")).st_mode & 0o777 == 0o600
    assert xattr(pair.got("file"), "state") == "complete"
