# SPDX-License-Identifier: MIT
"""ftx send and receive without a mount, and without FUSE: with each other and with mounts, killed and gone on with."""
import contextlib
import json
import os
import select
import signal
import subprocess
import threading

import pytest

import command
import disks
import harness
import trees
from command import CODE, Terminal, ftx, refused
from harness import MIB, SLOW, wait_state, wait_until
from proxy import UP, Proxy

ALONE = ("--no-mount", "--no-lan", "--no-portmap")
# No ftxfs is mounted there, and /dev/fuse is none.
WITHOUT_FUSE = ("unshare", "-m", "--", "sh", "-c",
                'umount -a -l -t fuse.ftxfs; mount --bind /dev/null /dev/fuse && exec "$@"', "sh")


class End:
    """One ftx that sends or receives; a context that ends it. What it has said is in `lines`."""

    def __init__(self, *arguments, code=None, within=(), state="/nowhere"):
        self.lines = []
        self.process = command.start("--json", *arguments, stdin=subprocess.PIPE, within=within,
                                     env=command.environment(XDG_STATE_HOME=state))
        if code:
            self.process.stdin.write(code.encode() + b"\n")
        self.process.stdin.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()

    def line(self, timeout=20):
        assert select.select([self.process.stdout], [], [], timeout * SLOW)[0], self.lines
        text = self.process.stdout.readline()
        assert text, (self.lines, self.process.stderr.read())
        self.lines.append(json.loads(text))
        return self.lines[-1]

    def wait_line(self, words):
        while words not in json.dumps(self.line()):
            pass

    def end(self, timeout=60):
        """Exit status, complaints."""
        timer = threading.Timer(timeout * SLOW, self.process.kill)
        timer.start()
        self.lines += [json.loads(line) for line in self.process.stdout]
        complaints = self.process.stderr.read().decode()
        timer.cancel()
        return self.process.wait(), complaints

    def succeed(self):
        assert self.end() == (0, ""), self.lines
        return self.lines[-1]


class Place:
    """Folders, a port and a proxy for two ends: the sender listens, the receiver dials."""

    def __init__(self, base):
        self.base, self.state, self.target = base, os.path.join(base, "state"), os.path.join(base, "target")
        os.mkdir(self.target)
        self.port = harness.free_port()
        self.proxy = Proxy(self.port)

    def send(self, *paths, **kwargs):
        return End("send", *ALONE, "--listen", f"127.0.0.1:{self.port}", *paths, state=self.state, **kwargs)

    def receive(self, code=None, **kwargs):
        return End("receive", *ALONE, "--listen", "none", "--peer", f"127.0.0.1:{self.proxy.port}", self.target, code=code, **kwargs)

    def left(self):
        """What of both ends' states is still there."""
        sends = os.path.join(self.state, "ftxfs/send")
        return os.listdir(sends) + [name for name in os.listdir(self.target) if name == ".ftx"]


@pytest.fixture
def place(scratch):
    place = Place(scratch)
    yield place
    place.proxy.close()


def tree_with(base, size):
    """A folder with one large file and some small ones."""
    top = os.path.join(base, "tree")
    os.makedirs(os.path.join(top, "sub"))
    trees.write_random(os.path.join(top, "film"), size, seed=7)
    for index in range(50):
        with open(os.path.join(top, "sub", f"{index:02}"), "wb") as out:
            out.write(trees.random_bytes(index * 91, index))
    return top


def test_nothing_of_fuse_is_linked():
    assert b"fuse" not in harness.run("ldd", command.FTX)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take /dev/fuse away")
def test_everything_is_carried_without_fuse(place, scratch):
    top, target = os.path.join(scratch, "zoo"), place.target
    trees.make_zoo(top)
    os.setxattr(os.path.join(top, "sparse"), "user.color", b"red")
    here = ("--no-lan", "--no-portmap", "--listen")
    with End("send", *here, f"127.0.0.1:{place.port}", top, within=WITHOUT_FUSE, state=place.state) as sender:
        code = sender.line()["code"]
        assert CODE.fullmatch(code)
        with End("receive", *here, "none", "--peer", f"127.0.0.1:{place.port}", target, code=code, within=WITHOUT_FUSE) as receiver:
            received = receiver.succeed()["received"]
        sent = sender.succeed()["delivered"]
    trees.compare_trees(top, os.path.join(target, "zoo"))
    assert sent["files"] == received["files"] == len(trees.files(top)) and sent["bytes"] == received["bytes"]
    assert os.getxattr(os.path.join(target, "zoo", "sparse"), "user.color") == b"red"
    assert os.listxattr(os.path.join(target, "zoo")) == []  # what the two ends tell each other stays between them
    assert trees.room(os.path.join(target, "zoo", "sparse")) < 2 * MIB
    assert os.listdir(target) == ["zoo"] and not place.left()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a machine where nothing is mounted")
def test_no_mount_is_needed_where_none_runs(place, scratch):
    with End("send", os.path.join(scratch, "target"), within=("unshare", "-n", *WITHOUT_FUSE), state=place.state) as sender:
        assert CODE.fullmatch(sender.line()["code"])
        assert sender.line() == {"message": "waiting for the other end"}


def test_a_mount_receives_from_where_the_files_are(make_node, place, scratch):
    node = make_node(debug=False).start()
    os.mkdir(node.inbox("7-mounted-there"))
    top = tree_with(scratch, 3 * MIB)
    with End("send", *ALONE, "--listen", "none", "--peer", f"127.0.0.1:{node.port}", "--to", "7-mounted-there", top,
             os.path.join(top, "film"), state=place.state) as sender:
        assert sender.line() == {"code": "7-mounted-there"}
        assert sender.succeed()["delivered"]["files"] == 52
    trees.compare_trees(top, node.inbox("7-mounted-there", "tree"))
    assert trees.sha256(node.inbox("7-mounted-there", "film")) == trees.sha256(os.path.join(top, "film"))
    assert not place.left()


def test_what_a_mount_sends_goes_into_a_folder(make_node, place, scratch):
    node = make_node(debug=False).start()
    top = tree_with(scratch, 3 * MIB)
    sender = command.start("--json", "send", top, mount=node.mount)
    try:
        code = json.loads(sender.stdout.readline())["code"]
        with End("receive", *ALONE, "--listen", "none", "--peer", f"127.0.0.1:{node.port}", place.target, code=code) as receiver:
            assert receiver.succeed()["received"]["files"] == 51
        assert sender.communicate(timeout=20 * SLOW)[1] == b"" and sender.returncode == 0
    finally:
        sender.kill()
        sender.wait()
    trees.compare_trees(top, os.path.join(place.target, "tree"))
    assert os.listdir(place.target) == ["tree"]


@pytest.mark.parametrize("who", ["sender", "receiver"])
def test_who_was_killed_on_the_way_goes_on(place, scratch, who):
    size = 24 * MIB
    top = tree_with(scratch, size)
    half = threading.Event()
    place.proxy.at("down", 2 * size // 3, half.set)  # from who listens to who dialled
    place.proxy.rate(down=24 * MIB)
    with place.send(top) as sender:
        code = sender.line()["code"]
        with place.receive(code) as receiver:
            assert half.wait(20 * SLOW)
            (sender if who == "sender" else receiver).kill()
            place.proxy.drop()
            place.proxy.rate()
            assert trees.room(place.state) < 12 * MIB  # a journal: nothing of what is sent
            again = place.send(top) if who == "sender" else place.receive(code)
            with again:
                if who == "sender":
                    assert again.line()["code"] == code
                assert again.succeed()
            other = receiver if who == "sender" else sender
            assert other.succeed()
    trees.compare_trees(top, os.path.join(place.target, "tree"))
    assert size < place.proxy.count["down"] < size + 10 * MIB  # what was on its way, in sockets
    assert not place.left()


def test_a_file_that_changes_is_not_sent_as_something_else(place, scratch):
    source = os.path.join(scratch, "film")
    trees.write_random(source, 12 * MIB)
    place.proxy.rate(down=8 * MIB)
    changed = threading.Event()
    place.proxy.at("down", 2 * MIB, changed.set)
    with place.send(source) as sender:
        code = sender.line()["code"]
        with place.receive(code) as receiver:
            assert changed.wait(20 * SLOW)
            with open(source, "r+b") as file:
                file.seek(11 * MIB)
                file.write(b"another end")
            status, complaints = sender.end()
            assert status == 1 and "changed while it was being sent" in complaints, complaints
            place.proxy.rate()
            with place.send(source) as again:  # what it is now, over the same link
                assert again.line()["code"] == code and again.succeed()["delivered"]["files"] == 1
            assert receiver.succeed()["received"]["files"] == 1
    assert trees.sha256(os.path.join(place.target, "film")) == trees.sha256(source)
    assert not place.left()


def test_nothing_there_is_replaced_or_followed(place, scratch):
    outside, top = os.path.join(scratch, "outside"), tree_with(scratch, MIB)
    os.mkdir(outside)
    os.symlink(outside, os.path.join(place.target, "tree"))
    note = os.path.join(place.target, "note")
    for path, text in ((os.path.join(scratch, "note"), "new"), (note, "mine")):
        with open(path, "w", encoding="ascii") as out:
            out.write(text)
    with place.send(top, os.path.join(scratch, "note")) as sender:
        code = sender.line()["code"]
        with place.receive(code) as receiver:
            status, complaints = receiver.end()
            assert status == 1 and "were there already" in complaints, complaints
        assert sender.succeed()
    assert not os.listdir(outside)
    with open(note, encoding="ascii") as file:
        assert file.read() == "mine"
    os.unlink(os.path.join(place.target, "tree"))  # what came is not lost by that
    os.rename(note, os.path.join(scratch, "mine"))
    with place.receive() as receiver:
        assert receiver.succeed()["received"]["files"] == 52
    trees.compare_trees(top, os.path.join(place.target, "tree"))


def test_a_full_disk_makes_it_wait(place, scratch):
    disk = disks.Tmpfs(place.target, 64)
    try:
        ballast = os.path.join(place.target, "ballast")
        trees.write_random(ballast, 32 * MIB)
        source = os.path.join(scratch, "film")
        trees.write_random(source, 20 * MIB, seed=3)
        with place.send(source) as sender:
            with place.receive(sender.line()["code"]) as receiver:
                receiver.wait_line("the disk is full")
                os.unlink(ballast)
                assert receiver.succeed() and sender.succeed()
        assert trees.sha256(os.path.join(place.target, "film")) == trees.sha256(source)
    finally:
        disk.remove()


def test_a_person_is_asked_and_can_end_it(place, scratch):
    source = os.path.join(scratch, "film")
    trees.write_random(source, 6 * MIB)
    words = ("receive", *ALONE, "--listen", "none", "--peer", f"127.0.0.1:{place.proxy.port}", place.target)
    with place.send(source) as sender:
        code = sender.line()["code"]
        with Terminal(*words) as terminal:
            terminal.wait("Tab completes words")
            assert not terminal.echoes()
            place.proxy.rate(down=2 * MIB)
            terminal.type(code + "\r")
            terminal.wait("1 file, 6.0 MiB. Receive?")
            terminal.type("y\n")
            terminal.wait("receiving")
            terminal.type("\x03")
            assert terminal.end() == -signal.SIGINT and "goes on where it was" in terminal.text
            assert code not in terminal.text
        place.proxy.rate()
        with Terminal(*words) as terminal:
            terminal.wait("Enter goes on")
            terminal.type("\r")
            terminal.wait("Receive?")
            terminal.type("\n")
            assert terminal.end() == 0 and "received: 1 file, 6.0 MiB" in terminal.text
        assert sender.succeed()
    assert not place.left()


def test_nothing_comes_before_the_answer_and_a_no_is_known_to_the_sender(place, scratch):
    source = tree_with(scratch, 4 * MIB)
    with place.send(source) as sender:
        with Terminal("receive", *ALONE, "--listen", "none", "--peer", f"127.0.0.1:{place.proxy.port}", place.target) as terminal:
            terminal.wait("Code")
            terminal.type(sender.line()["code"] + "\r")
            terminal.wait("Receive?")
            terminal.type("n\n")
            assert terminal.end() == 1 and "not received" in terminal.text
        status, complaints = sender.end()
        assert status == 1 and "refused" in complaints
    assert os.listdir(place.target) == []
    assert sum(place.proxy.count.values()) < MIB


def test_a_link_that_is_refused_is_no_success(place, scratch):
    source = os.path.join(scratch, "tree")
    os.mkdir(source)
    os.symlink("/etc/passwd", os.path.join(source, "out"))
    with place.send(source) as sender, place.receive(sender.line()["code"]):
        status, complaints = sender.end()
    assert status == 1 and "out: refused" in complaints


def test_another_code_is_told_of(place, scratch):
    source = os.path.join(scratch, "note")
    with open(source, "wb") as out:
        out.write(b"x")
    with place.send(source) as sender:
        with place.receive(sender.line()["code"][:5] + "other-words-here") as receiver:
            receiver.wait_line("has another code")
        sender.wait_line("has another code")


def test_a_mistyped_code_is_not_kept(place, scratch):
    source = os.path.join(scratch, "note")
    trees.write_random(source, 10)
    with place.send(source) as sender:
        code = sender.line()["code"]
        with place.receive("9999-other-words-here") as receiver:
            receiver.wait_line("waiting")
            receiver.process.terminate()
            status, complaints = receiver.end()
            assert status == -signal.SIGTERM and "the code is taken back" in complaints
        assert os.listdir(place.target) == []
        with place.receive("9998-other-words-here") as receiver:
            receiver.wait_line("waiting")  # and is killed: nobody can take it back but the next
        with place.receive(code) as receiver:
            assert receiver.succeed() and sender.succeed()
    assert os.listdir(place.target) == ["note"] and not place.left()


def test_ways_that_lead_nowhere_are_named(place, scratch):
    source, dead = os.path.join(scratch, "note"), harness.free_port()
    trees.write_random(source, 10)
    with End("send", *ALONE, "--listen", f"127.0.0.1:{place.port}", "--peer", f"127.0.0.1:{dead}", "--relay", f"ws://127.0.0.1:{dead}",
             source, state=place.state) as sender:
        code, seen = sender.line()["code"], {}
        while len(seen) < 2:
            line = sender.line()
            if "unreachable" in line:
                seen[line["unreachable"]] = line
        assert set(seen) == {f"127.0.0.1:{dead}", f"ws://127.0.0.1:{dead}"}
        for way, line in seen.items():
            assert line["error"] == "Connection refused" and line["message"].startswith(way) and "?" in line["message"]
        with place.receive(code) as receiver:
            assert receiver.succeed() and sender.succeed()
    with Terminal("send", *ALONE, "--listen", "none", "--relay", f"ws://127.0.0.1:{dead}", source, XDG_STATE_HOME=place.state) as terminal:
        terminal.wait("does it run there?")
        assert f"ftx receive --relay ws://127.0.0.1:{dead} {CODE.search(terminal.text).group()}" in terminal.text
    with Terminal("send", *ALONE, "--listen", f"127.0.0.1:{place.port}", source, XDG_STATE_HOME=place.state) as terminal:
        terminal.wait("the other end has not connected yet; if it is elsewhere")


def test_a_code_that_is_used_up_is_told_of(make_node, place, scratch):
    node = make_node(debug=False).start()
    os.mkdir(node.inbox("7-used-once"))
    source = os.path.join(scratch, "note")
    trees.write_random(source, 10)
    words = ("send", *ALONE, "--listen", "none", "--peer", f"127.0.0.1:{node.port}", "--to", "7-used-once", source)
    with End(*words, state=place.state) as sender:
        assert sender.succeed()
    with End(*words, state=place.state) as sender:
        sender.wait_line("knows no such code")


def test_what_was_taken_comes_again_with_the_same_code(place, scratch):
    source, got = os.path.join(scratch, "note"), os.path.join(place.target, "note")
    trees.write_random(source, 10_000)
    for _ in range(2):
        with place.send("--to", "7-each-day", source) as sender, place.receive("7-each-day") as receiver:
            assert receiver.succeed() and sender.succeed()
        assert trees.sha256(got) == trees.sha256(source)
        os.unlink(got)
    assert not place.left()


def test_the_store_of_a_mount_is_left_alone(make_pair, scratch):
    pair, note = make_pair(debug=False), os.path.join(scratch, "note")
    trees.write_random(note, 10)
    pair.send_file("kept", b"mine")
    ways = ("--no-lan", "--no-portmap", "--listen", "none", "--peer", f"127.0.0.1:{pair.b.port}", "--store", pair.a.store)
    refused(1, "send", *ways, note, words=("in use",))
    pair.a.stop()
    refused(1, "send", *ways, note, words=("a mount has its links there; name another --store",))
    refused(1, "receive", *ways, pair.code, scratch, words=("a mount has its links there",))
    pair.a.start()
    pair.wait_connected()
    assert os.listdir(pair.sent()) == ["kept"] and os.listdir(pair.got()) == ["kept"]


def test_wrong_words_end_with_a_line(place, scratch):
    source = os.path.join(scratch, "note")
    with open(source, "wb") as out:
        out.write(b"x")
    env = command.environment(XDG_STATE_HOME=place.state)
    for words, said in ((("send", "--no-mount", "--mount", scratch, source), "--mount"),
                        (("send", "--listen", "127.0.0.1:99999", source), "HOST:PORT"),
                        (("receive", "--peer", "nowhere:x", "7-some-code", place.target), "HOST:PORT"),
                        (("send", "--no-mount", "--to", "X", source), "a code has"),
                        (("send", "--no-lan", "--listen", "none", source), "no way to the other end"),
                        (("receive", "--no-mount", os.path.join(scratch, "absent/")), "No such file"),
                        (("receive", "--no-mount", "--connections", "12", place.target), "1 to 9")):
        refused(2, *words, words=(said,), env=env)
    os.symlink(scratch, os.path.join(place.target, ".ftx"))
    refused(2, "receive", "--no-mount", "7-some-code", place.target, words=("no folder",), env=env)
    os.unlink(os.path.join(place.target, ".ftx"))
    os.makedirs(os.path.join(place.target, ".ftx"))
    with open(os.path.join(place.target, ".ftx/state.db"), "wb"):
        pass
    refused(2, "receive", "--no-mount", "7-some-code", place.target, words=("its own things",), env=env)
    with place.send(source) as sender:
        assert sender.line()
        done = ftx("send", *ALONE, "--listen", "localhost:0", source, env=env)
        assert done.returncode == 1 and b"already" in done.stderr
    refused(1, "send", *ALONE, "--listen", "192.0.2.1:1", source, env=env, words=("cannot listen",), stdout=True)
