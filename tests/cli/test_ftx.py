# SPDX-License-Identifier: MIT
"""ftx in pipes: what it does, what it prints, how it ends."""
import contextlib
import json
import os
import re
import signal
import subprocess

import pytest

import harness
import trees
from hosts import RELAY
from command import CODE, FTX, environment, ftx, good, lines, refused, start
from harness import wait_state, wait_until

ODD = b"esc-\x1b[31m-\xc2\x9b-\xe2\x80\xae-\xe9-\xc3\xa9"  # on this machine; a mount refuses control bytes
ODD_SENT = b"bell-\xc2\x9b-\xe2\x80\xae-\xe9-\xc3\xa9"


@pytest.fixture
def node(make_node):
    return make_node(debug=False).start()


@pytest.fixture(scope="module")
def shared_node(scratch_root):
    """For tests that only add links."""
    node = harness.Node(os.path.join(scratch_root, "shared"), "A", debug=False)
    try:
        yield node.start()
    finally:
        node.destroy()


def make_tree(scratch):
    top = os.path.join(scratch, "tree")
    os.makedirs(os.path.join(top, "empty"))
    os.makedirs(os.path.join(top, "sub"))
    trees.write_random(os.path.join(top, "big"), 3_000_000)
    for name in (b"small", ODD_SENT):
        with open(os.path.join(os.fsencode(top), b"sub", name), "wb") as out:
            out.write(name)
    os.symlink("small", os.path.join(top, "sub", "link"))
    os.chmod(os.path.join(top, "sub", "small"), 0o750)
    os.utime(os.path.join(top, "sub"), ns=(10**18, 10**18 + 7))
    return top


@pytest.mark.parametrize("arguments", [
    (), ("--json",), ("nonsense",), ("\x1b[31m",), ("--nonsense",), ("--mount",), ("code", "a", "b"), ("code", "Ab"), ("code", "\x1b[2J\n"),
    ("join", "abc"), ("join", "x" * 65), ("join", ""), ("join", "a b c d"), ("links", "x"), ("status", "a", "b"), ("watch", "--count", "0"),
    ("watch", "--count", "-1"), ("watch", "--count", "9" * 30), ("rename",), ("rename", "abcd"), ("rename", "abcd", "../x"), ("send",),
    ("send", "/nowhere/at/all"), ("send", "/"), ("send", "--to", "x/y", "/etc/hostname"), ("send", "/etc/hostname", "/bin/../etc/hostname"),
    ("receive", "/nowhere/at/all"), ("receive", "Abcd", "/tmp"), ("receive", "abcd", "/tmp", "x"), ("take", "x"), ("history", "--limit", "-1"),
    ("history", "--since", "soon"), ("history", "--until", ""), ("history", "--state", "x"), ("history", "--link", "a b"),
    ("stats", "--since", "12"), ("verify",), ("verify", "a"), ("verify-peer",), ("verify-peer", "/etc"), ("pause",), ("pause", "abc"),
    ("pause", "abcd", "efgh"), ("resume", "a*"), ("retry", "*"), ("rearm", "*"), ("unpair", "\n"), ("limit", "*"), ("config", "abcd"),
    ("priority", "x"), ("group", "abcd", "="), ("group", "abcd", "efgh"), ("group", "ABCD"), ("group", "abcd", "=", "x"), ("group", "abcd", "*", "efgh"),
    ("ungroup",), ("ungroup", "abcd", "gently"), ("ungroup", "\x1b[2J"), ("doctor", "x"), ("cancel",), ("accept",), ("reject",), ("code", "--count", "3"),
], ids=lambda arguments: ascii(" ".join(arguments))[:40])
def test_wrong_usage_is_one_line_and_exit_2(arguments):
    refused(2, *arguments)


@pytest.mark.parametrize("arguments", [
    ("code",), ("join", "7-guitar-harvest"), ("links",), ("status",), ("status", "abcd"), ("watch",), ("rename", "abcd", "efgh"),
    ("send", "/etc/hostname"), ("receive", "abcd", "/tmp"), ("take", "inbox/abcd/x", "/tmp"), ("history",), ("stats",), ("verify", "abcd"),
    ("verify-peer", "abcd"), ("pause", "abcd"), ("pause", "*"), ("unpair", "abcd"), ("limit", "*", "up=1"), ("cancel", "outbox/abcd/x"),
    ("priority", "abcd", "3"), ("group",), ("group", "abcd", "=", "efgh"), ("ungroup", "abcd"),
], ids=" ".join)
def test_without_a_mount_it_exits_3(scratch, arguments):
    refused(3, *arguments, mount=scratch, words=(scratch, "ftxfs"))


def test_help_and_version():
    text = good("--help")
    for name in ("code", "join", "send", "receive", "watch", "doctor", "--mount", "--json", "FTX_MOUNT"):
        assert name in text
    assert good("send", "--help").startswith("usage: ftx send [options] PATH...") and "--exclude" in good("help", "send")
    assert re.fullmatch(r"ftx \d+\.\d+\.\d+\n", good("--version"))


def test_output_that_cannot_be_written_is_a_failure():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([FTX, "--help"], stdout=full, stderr=subprocess.PIPE, env=environment(), check=False)
    assert done.returncode == 1 and done.stderr.startswith(b"ftx: ")


def test_finds_the_mount(shared_node):
    node = shared_node
    code = good("code", mount=node.mount)
    name = CODE.search(code).group()
    inside = node.outbox(name)
    assert name in good("links", cwd=inside)                                         # the one around
    assert name in good("links", env=environment(FTX_MOUNT=node.mount))              # the variable
    assert name in good("links", mount=inside)                                       # anything in it
    assert name in good("links", mount=node.mount, env=environment(FTX_MOUNT="/x"))  # the option before the variable
    assert good("status", inside).startswith(name)                                   # the path's own
    if os.geteuid() == 0:  # the only one: all others are taken away, where only we see it
        away = "while read -r _ _ _ _ point _ _ _ _ rest; do :; done < /dev/null; " \
               f"for point in $(grep ' fuse.ftxfs ' /proc/self/mountinfo | cut -d' ' -f5 | grep -vx '{node.mount}'); do umount -l \"$point\"; done; "
        one = subprocess.run(["unshare", "-m", "sh", "-c", away + f"exec {FTX} links"], stdout=subprocess.PIPE, cwd="/", env=environment(),
                             check=False)
        assert one.returncode == 0 and name.encode() in one.stdout
        none = subprocess.run(["unshare", "-m", "sh", "-c", away + f"umount -l {node.mount}; exec {FTX} links"], stderr=subprocess.PIPE, cwd="/",
                              env=environment(), check=False)
        assert none.returncode == 3 and b"no ftxfs is mounted" in none.stderr


def test_several_mounts_have_to_be_told_apart(make_node):
    make_node("A", debug=False).start()
    make_node("B", debug=False).start()
    refused(3, "links", words=("--mount",))


def test_a_mount_that_goes_ends_watch(node):
    with subprocess.Popen([FTX, "--mount", node.mount, "--json", "watch"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
                          env=environment()) as watching:
        assert watching.stdout.readline()
        node.terminate()
        complaint = watching.communicate(timeout=20 * harness.SLOW)[1]
    assert watching.returncode == 3 and b"any more" in complaint


def test_a_dead_mount_is_named(node):
    node.kill9()
    refused(3, "links", mount=node.mount, words=(node.mount, "ended"))


def test_codes_are_random_words_of_the_list(shared_node):
    node = shared_node
    codes = [lines("code", mount=node.mount)[0] for _ in range(5)]
    assert all(CODE.fullmatch(code["code"]) and code["link"] == code["code"] for code in codes)
    assert len({code["code"] for code in codes}) == 5
    assert {code["code"] for code in codes} <= set(os.listdir(node.outbox()))


def test_a_code_can_have_a_name_at_once(make_pair):
    pair = make_pair(connect=False, debug=False)
    pair.a.start()
    pair.b.start()
    code = lines("code", "alice", mount=pair.a.mount)[0]
    assert code["link"] == "alice" and os.listdir(pair.a.outbox()) == ["alice"]
    refused(1, "code", "alice", mount=pair.a.mount, words=("alice",))
    assert os.listdir(pair.a.outbox()) == ["alice"]
    assert lines("join", mount=pair.b.mount, stdin=code["code"].encode() + b"\n") == [{"link": code["code"]}]  # the code is not in argv
    wait_state(pair.a.outbox("alice"), "connected")
    good("rename", code["code"], "bobs", mount=pair.b.mount)
    assert os.listdir(pair.b.inbox()) == os.listdir(pair.b.outbox()) == ["bobs"]
    refused(4, "rename", "nobody", "else", mount=pair.b.mount)
    refused(1, "join", "bobs", mount=pair.b.mount, words=("already",))
    assert "s3cret" not in refused(2, "join", mount=pair.b.mount, stdin=b"4821-S3cret-s3cret\n", words=("a code has",))


def test_no_link_is_exit_4(shared_node):
    node = shared_node
    os.mkdir(node.inbox("9-not-paired"))
    refused(4, "verify-peer", "nobody", mount=node.mount)
    refused(4, "verify-peer", "9-not-paired", mount=node.mount, words=("not paired",))
    refused(4, "verify", "nobody", mount=node.mount)
    refused(4, "send", "--to", "nobody", "/etc/hostname", mount=node.mount)
    refused(4, "send", "--to", "9-not-paired", "/etc/hostname", mount=node.mount, words=("not paired",))


def test_names_are_shown_escaped(shared_pair, scratch):
    pair = shared_pair
    with open(os.path.join(os.fsencode(pair.sent()), ODD_SENT), "wb") as out:
        out.write(b"odd")
    path = os.path.join(os.fsencode(pair.sent()), ODD_SENT)
    wait_state(path, "delivered")
    shown = good("status", os.fsdecode(path))
    assert "\\xc2\\x9b" in shown and "\\xe9" in shown and "\u00e9" in shown and shown[:-1].isprintable(), ascii(shown)
    told = good("status", "--json", os.fsdecode(path))
    assert told[:-1].isprintable() and json.loads(told)["path"].encode("utf-8", "surrogateescape").endswith(ODD_SENT)
    odd = os.path.join(os.fsencode(scratch), ODD)
    refused(2, "send", os.fsdecode(odd), mount=pair.a.mount, words=("\\x1b[31m",))
    done = ftx("take", "inbox/nowhere", os.fsdecode(odd), mount=pair.b.mount)
    assert done.returncode == 2


def test_status_tells_of_links_files_and_folders(shared_pair):
    pair = shared_pair
    os.mkdir(pair.sent("told"))
    for name in ("a", "b"):
        with open(pair.sent("told", name), "wb") as out:
            out.write(b"12345")
        wait_state(pair.sent("told", name), "delivered")
    assert lines("status", pair.sent("told", "a"))[0]["state"] == "delivered"
    folder = lines("status", f"outbox/{pair.code}/told", mount=pair.a.mount)[0]
    assert folder == {"path": f"outbox/{pair.code}/told", "files": {"delivered": 2}, "bytes": 10, "total": 10}
    assert lines("status", pair.code, mount=pair.b.mount)[0]["state"] == "connected"
    assert lines("status", mount=pair.b.mount)[0]["links"][0]["name"] == pair.code
    assert "2 delivered" in good("status", pair.sent("told")) and "connected" in good("status", mount=pair.a.mount)
    refused(2, "status", pair.sent("nothing"), mount=pair.a.mount)
    refused(2, "status", "/etc", mount=pair.a.mount)
    refused(2, "status", "outbox/../../../etc", mount=pair.a.mount)
    refused(2, "status", pair.a.mount)


def test_watch_is_lines_in_a_pipe(shared_pair):
    text = good("watch", "--count", "2", mount=shared_pair.a.mount)
    assert len(text.splitlines()) == 2 and "\033" not in text and text.startswith(f"{shared_pair.code} connected direct")
    assert lines("watch", "--count", "1", mount=shared_pair.a.mount)[0]["links"][0]["up_average"] >= 0


def test_take_moves_what_is_complete(shared_pair, scratch):
    pair = shared_pair
    top = make_tree(scratch)
    harness.run("cp", "-a", top, pair.sent("taken"))
    pair.wait_tree(top, "taken")
    out = os.path.join(scratch, "out")
    os.mkdir(out)
    refused(2, "take", pair.sent("taken"), out, words=("inbox",))
    assert lines("take", pair.got("taken"), out)[-1]["files"] == 3
    trees.compare_trees(top, os.path.join(out, "taken"))
    assert not os.path.exists(pair.got("taken"))
    pair.send_file("again", b"first")
    good("take", pair.got("again"), os.path.join(out, "named"))
    pair.send_file("more", b"second")
    refused(1, "take", pair.got("more"), os.path.join(out, "named"), words=("already",))  # nothing is replaced
    with open(os.path.join(out, "named"), "rb") as file:
        assert file.read() == b"first"
    good("take", pair.got("more"), pair.got("renamed"))  # within the inbox
    assert os.path.exists(pair.got("renamed"))
    good("take", pair.got("renamed"), ".", cwd=out)
    assert os.path.exists(os.path.join(out, "renamed"))


def test_take_refuses_what_is_still_arriving(make_pair, scratch):
    pair = make_pair(through_proxy=True, debug=False)
    pair.proxy.rate(up=1 << 20)
    trees.write_random(pair.sent("film"), 8 << 20)
    wait_state(pair.got("film"), "arriving")
    refused(1, "take", pair.got("film"), scratch, words=("not complete",))
    assert os.listdir(scratch) == ["A", "B"] or not os.path.exists(os.path.join(scratch, "film"))


class TestSendAndReceive:
    def transfer(self, pair, source, target, *send, receive=("--yes",)):
        """Sends with a new code; returns the lines of both ends."""
        sender = start("--json", "send", *send, source, mount=pair.a.mount)
        try:
            first = sender.stdout.readline()
            code = json.loads(first)["code"]
            received = lines("receive", *receive, target, mount=pair.b.mount, stdin=code.encode() + b"\n", timeout=60)
            rest, complaints = sender.communicate(timeout=60 * harness.SLOW)
        finally:
            sender.kill()
            sender.wait()
        assert sender.returncode == 0 and not complaints, complaints
        return [json.loads(line) for line in (first + rest).splitlines()], received

    def test_a_tree_arrives_equal(self, shared_pair, scratch):
        top, target = make_tree(scratch), os.path.join(scratch, "target")
        os.mkdir(target)
        sent, received = self.transfer(shared_pair, top, target)
        trees.compare_trees(top, os.path.join(target, "tree"))
        code = sent[0]["code"]
        assert CODE.fullmatch(code)
        assert sent[-1]["delivered"]["files"] == received[-1]["received"]["files"] == 3
        assert not os.listdir(shared_pair.b.inbox(code))
        sent = lines("send", "--to", code, os.path.join(top, "big"), mount=shared_pair.a.mount)  # over the link that is there
        assert sent[0]["code"] == code and sent[-1]["delivered"]["files"] == 1
        again = lines("receive", code, target, mount=shared_pair.b.mount)
        assert again[-1]["received"]["files"] == 1 and os.path.getsize(os.path.join(target, "big")) == 3_000_000

    def test_what_is_ignored_stays(self, shared_pair, scratch):
        top, target = os.path.join(scratch, "project"), os.path.join(scratch, "target")
        os.mkdir(target)
        for name in ("a.c", "a.o", "keep.o", "sub/b.o", "sub/b.tmp", "venv/pyvenv.cfg", "venv/lib/x", "node_modules/x", "sub/__pycache__/x", ".git/HEAD", "big.iso"):
            os.makedirs(os.path.join(top, os.path.dirname(name)), exist_ok=True)
            with open(os.path.join(top, name), "w", encoding="ascii"):
                pass
        for folder, text in ((".", "*.o\n!keep.o\n"), ("sub", "/b.tmp\n")):
            with open(os.path.join(top, folder, ".ftxignore"), "w", encoding="ascii") as out:
                out.write(text)
        os.mkfifo(os.path.join(top, "fifo.o"))
        self.transfer(shared_pair, top, target, "--yes", "--exclude", "*.iso")
        arrived = sorted(os.fsdecode(path) for path in trees.files(os.path.join(target, "project")))
        assert arrived == [".ftxignore", ".git/HEAD", "a.c", "keep.o", "sub/.ftxignore"]

    def test_what_was_offered_and_does_not_come_is_missed(self, shared_pair, scratch):
        target = os.path.join(scratch, "target")
        sent, got = shared_pair.a.outbox("8-short"), shared_pair.b.inbox("8-short")
        for folder in (target, sent, got):
            os.mkdir(folder)
        wait_state(sent, "connected")
        os.mkdir(os.path.join(sent, "half"))
        os.setxattr(os.path.join(sent, "half"), "user.ftx-send", b"2 10")  # as a sender that was killed leaves it
        with open(os.path.join(sent, "half", "one"), "wb") as out:
            out.write(b"12345")
        wait_state(os.path.join(got, "half", "one"), "complete")
        refused(1, "receive", "--json", "8-short", target, mount=shared_pair.b.mount, words=("1 of 2 files",), stdout=True)
        assert trees.files(target) == [b"half/one"]

    def test_a_receive_that_was_killed_goes_on(self, shared_pair, scratch):
        top, target = make_tree(scratch), os.path.join(scratch, "target")
        sent, got = shared_pair.a.outbox("8-cut"), shared_pair.b.inbox("8-cut")
        for folder in (target, sent, got):
            os.mkdir(folder)
        wait_state(sent, "connected")
        assert lines("send", "--to", "8-cut", top, mount=shared_pair.a.mount)[-1]["delivered"]["files"] == 3
        os.mkdir(os.path.join(target, "tree"))  # as far as one came: a file is there, and gone from the inbox
        good("take", os.path.join(got, "tree", "big"), os.path.join(target, "tree"))
        assert lines("receive", "8-cut", target, mount=shared_pair.b.mount)[-1]["received"]["files"] == 2
        assert sorted(trees.files(target)) == sorted(os.path.join(b"tree", path) for path in trees.files(top))

    def test_what_is_there_already_is_not_replaced(self, shared_pair, scratch):
        source, target = os.path.join(scratch, "note"), os.path.join(scratch, "target")
        os.makedirs(os.path.join(target, "elsewhere"))
        for path, text in ((source, "new"), (os.path.join(target, "note"), "mine")):
            with open(path, "w", encoding="ascii") as out:
                out.write(text)
        sender = start("--json", "send", source, mount=shared_pair.a.mount)
        code = json.loads(sender.stdout.readline())["code"]
        done = ftx("receive", "--yes", code, target, mount=shared_pair.b.mount, timeout=60)
        sender.communicate(timeout=60 * harness.SLOW)
        assert done.returncode == 1 and b"'note'" in done.stderr and sender.returncode == 0
        with open(os.path.join(target, "note"), encoding="ascii") as file:
            assert file.read() == "mine"
        assert os.listdir(shared_pair.b.inbox(code)) == ["note"]

    def test_a_link_in_the_target_leads_nowhere(self, shared_pair, scratch):
        top, target, outside = (os.path.join(scratch, name) for name in ("tree", "target", "outside"))
        make_tree(scratch)
        os.mkdir(target)
        os.mkdir(outside)
        os.symlink(outside, os.path.join(target, "tree"))
        sender = start("--json", "send", top, mount=shared_pair.a.mount)
        code = json.loads(sender.stdout.readline())["code"]
        done = ftx("receive", "--yes", code, target, mount=shared_pair.b.mount, timeout=60)
        sender.communicate(timeout=60 * harness.SLOW)
        assert done.returncode == 1 and b"'tree'" in done.stderr and sender.returncode == 0
        assert not os.listdir(outside)


def test_a_copy_that_is_cut_off_is_taken_back(make_node, scratch):
    node = make_node(options={"spool_max": "8M"}, debug=False).start()
    os.mkdir(node.outbox("9-alone"))
    source = os.path.join(scratch, "film")
    trees.write_random(source, 20 << 20)  # there is room for a part of it only, and nobody fetches it
    sender = start("--json", "send", "--to", "9-alone", source, mount=node.mount)
    try:
        wait_until(lambda: os.path.getsize(node.outbox("9-alone", "film")) > 1 << 20, "the copy to be under way")
        sender.terminate()
        sender.communicate(timeout=20 * harness.SLOW)
    finally:
        sender.kill()
    assert sender.returncode == -signal.SIGTERM and not os.listdir(node.outbox("9-alone"))


def test_holes_stay_holes(shared_pair, scratch):
    source = os.path.join(scratch, "sparse")
    with open(source, "wb") as out:
        out.truncate(1 << 30)
        out.seek(1 << 29)
        out.write(b"in the middle")
    assert lines("send", "--to", shared_pair.code, source, mount=shared_pair.a.mount)[-1]["delivered"]["bytes"] == 1 << 30
    good("take", shared_pair.got("sparse"), os.path.join(scratch, "taken"))
    info = os.stat(os.path.join(scratch, "taken"))
    assert info.st_size == 1 << 30 and info.st_blocks * 512 < 4 << 20
    with open(os.path.join(scratch, "taken"), "rb") as file:
        file.seek(1 << 29)
        assert file.read(13) == b"in the middle"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small disk")
def test_a_full_disk_makes_receive_wait(shared_pair, scratch):
    source, target = os.path.join(scratch, "film"), os.path.join(scratch, "small")
    trees.write_random(source, 6 << 20)
    os.mkdir(target)
    harness.run("mount", "-t", "tmpfs", "-o", "size=8m", "none", target)
    try:
        ballast = os.path.join(target, "ballast")
        trees.write_random(ballast, 4 << 20)
        sender = start("--json", "send", source, mount=shared_pair.a.mount)
        code = json.loads(sender.stdout.readline())["code"]
        receiver = start("--json", "receive", "--yes", code, target, mount=shared_pair.b.mount)
        try:
            told = next(line for line in receiver.stdout if b"disk is full" in line)
            assert json.loads(told)["message"]
            os.unlink(ballast)
            rest, complaints = receiver.communicate(timeout=60 * harness.SLOW)
            assert receiver.returncode == 0 and not complaints and json.loads(rest.splitlines()[-1])["received"]["files"] == 1
        finally:
            for process in (receiver, sender):
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                process.communicate()
        assert trees.sha256(os.path.join(target, "film")) == trees.sha256(source)
    finally:
        harness.run("umount", "-l", target)


def test_doctor_says_what_is_wrong_and_what_to_do(shared_node):
    node = shared_node
    told = ftx("--json", "doctor", mount=node.mount).stdout.splitlines()  # this machine may lack something
    found = {line["what"]: line for line in map(json.loads, told)}
    assert {"kernel", "/dev/fuse", "fusermount3", "mount", "version", "port", "store", "clock", "inotify"} <= found.keys()
    assert found["mount"]["verdict"] == "good" and node.mount in found["mount"]["message"]
    done = ftx("doctor", mount=node.mount, env=environment(PATH="/nowhere"))
    assert done.returncode == 1 and b"apt install fuse3" in done.stdout
    wait_until(node.running, "the mount to go on")


def test_doctor_knocks_at_the_relays(make_node, scratch):
    token = os.path.join(scratch, "token")
    with open(token, "w", encoding="ascii") as out:
        out.write("open-sesame\n")
    dead = harness.free_port()
    with subprocess.Popen([RELAY, "--listen", "127.0.0.1:0", "--token", token], stdout=subprocess.PIPE) as relay:
        try:
            port = relay.stdout.readline().decode().rsplit(":", 1)[1].strip()
            relays = f"ws://127.0.0.1:{port},relay=ws://127.0.0.1:{dead}"
            node = make_node(options={"relay": relays, "relay_token": token}, debug=False).start()
            found = {}

            def look():
                told = ftx("--json", "doctor", mount=node.mount).stdout.splitlines()
                found.update((line["message"].split(": ")[0], (line["verdict"], line["message"]))
                             for line in map(json.loads, told) if line["what"] == "relay")
            look()
            assert found[f"ws://127.0.0.1:{port}"][0] == "good" and found[f"ws://127.0.0.1:{dead}"][0] == "bad", found
            with open(token, "w", encoding="ascii") as out:
                out.write("another\n")
            look()
            assert found[f"ws://127.0.0.1:{port}"][0] == "bad" and "token" in found[f"ws://127.0.0.1:{port}"][1], found
        finally:
            relay.kill()
