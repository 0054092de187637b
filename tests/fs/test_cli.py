# SPDX-License-Identifier: MIT
"""The command: what it refuses and how it says so, the background start, the three ways to end it."""
import contextlib
import os
import re
import signal
import socket
import subprocess

import pytest

import harness
import trees
from harness import BIN, MIB, SLOW, daemons_of, is_mounted, process_state, run, wait_until


def ftxfs(*arguments, timeout=20, **kwargs):
    return subprocess.run([BIN, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout * SLOW, check=False, **kwargs)


def children_of(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]
    return []


def assert_refused(done, status, *words):
    """Ended with `status` and one line that starts with the program's name and has all the words."""
    text = done.stderr.decode()
    assert done.returncode == status, f"exit {done.returncode}\n{text}"
    lines = text.splitlines()
    assert lines and lines[0].startswith("ftxfs: "), text
    if status == 1:
        assert len(lines) == 1, text
    for word in words:
        assert word in lines[0], text


def test_help_names_every_option():
    done = ftxfs("--help")
    assert done.returncode == 0 and not done.stderr
    for word in ("--store", "--listen", "--allow", "--no-lan", "--no-portmap", "--peer", "--foreground", "-f", "-d", "-o", "--help", "--version", "15820"):
        assert word in done.stdout.decode()


def test_version_is_one_line():
    done = ftxfs("--version")
    assert done.returncode == 0 and not done.stderr
    assert re.fullmatch(r"ftxfs \d+\.\d+\.\d+[^\n]*\n", done.stdout.decode())


@pytest.mark.parametrize("arguments", [
    (), ("{mount}", "{mount}"), ("--nonsense", "{mount}"), ("-o", "nonsense=1", "{mount}"), ("--store",),
    ("--listen", "127.0.0.1:99999", "{mount}"), ("--listen", "127.0.0.1:x", "{mount}"), ("--peer", "", "{mount}"),
    ("--allow", "", "{mount}"), ("--allow", "192.0.2.1/24", "{mount}"), ("--allow", "192.0.2.0/24,here", "{mount}"),
    ("somewhere", "{mount}"), ("none", "{mount}", "{mount}"), ("-o", "links=some", "{mount}"), ("-o", "read_timeout=soon", "{mount}"),
], ids=" ".join)
def test_usage_errors_exit_2(scratch, arguments):
    mount = os.path.join(scratch, "mnt")
    os.mkdir(mount)
    store = [] if "--store" in arguments else ["--store", os.path.join(scratch, "store")]
    done = ftxfs(*store, *(word.format(mount=mount) for word in arguments))
    assert_refused(done, 2)
    assert not is_mounted(mount)


def test_empty_word_is_no_mount_point(scratch):
    assert_refused(ftxfs("--store", os.path.join(scratch, "store"), "--listen", "none", "", cwd=scratch), 2, "no mount point")


@pytest.mark.parametrize("words, option", [(["-fx"], "-x"), (["-x"], "-x"), (["--foreground=yes"], "--foreground=yes"), (["--s"], "--s")])
def test_unknown_option_is_named(scratch, words, option):
    assert_refused(ftxfs(*words, scratch), 2, option + ":")


class TestConfigurationFile:
    @pytest.fixture(autouse=True)
    def prepare(self, scratch):
        self.mount, self.file = os.path.join(scratch, "mnt"), os.path.join(scratch, "ftxfs", "config")
        self.environment = dict(os.environ, XDG_CONFIG_HOME=scratch)
        self.start = ["--store", os.path.join(scratch, "store"), "--listen", "none", "--no-lan", "--no-portmap"]
        os.mkdir(self.mount)
        os.mkdir(os.path.dirname(self.file))

    def write(self, text, mode=0o644):
        with open(self.file, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(self.file, mode)

    def refused(self, *words, start=()):
        assert_refused(ftxfs(*self.start, *start, self.mount, env=self.environment), 2, *words)
        assert not is_mounted(self.mount)

    def test_holds_what_the_command_line_does_not_say(self, scratch):
        self.write(f"# mine\nstore = {scratch}/mine\nlisten = none\nno_lan\nno_portmap\nfsname = somewhere\n")
        done = ftxfs("--store", os.path.join(scratch, "store"), self.mount, env=self.environment)
        try:
            assert done.returncode == 0, done.stderr
            assert os.path.isdir(os.path.join(scratch, "store", ".ftx")) and not os.path.exists(os.path.join(scratch, "mine"))
            with open("/proc/self/mountinfo", encoding="utf-8") as table:
                assert any(self.mount in line and " somewhere " in line for line in table)
        finally:
            harness.unmount_anyway(self.mount)

    def test_faults_name_file_line_and_key(self):
        self.write("no_lan\nread_timeout = soon\n")
        self.refused(self.file + ":2: read_timeout: 'soon'")

    @pytest.mark.parametrize("mode", [0o664, 0o646])
    def test_others_may_not_write_to_it(self, mode):
        self.write("no_lan\n", mode)
        self.refused(self.file, "chmod go-w")

    def test_a_file_that_is_named_must_be_there(self, scratch):
        for name in ("nothing", "ftxfs"):
            self.refused(os.path.join(scratch, name), start=("--config", os.path.join(scratch, name)))

    def test_none_is_read_if_that_is_said(self):
        self.write("nonsense\n")
        self.refused("nonsense")
        self.start[:2] = ["--store", "/proc/nothing"]  # ends, but not because of the file
        for words in (("--config", "none"), ("-o", "config=none")):
            assert ftxfs(*self.start, *words, self.mount, env=self.environment).returncode == 1


class TestBadMountPoint:
    def refused(self, scratch, mount, *words):
        done = ftxfs("--store", os.path.join(scratch, "store"), "--listen", "none", "--no-lan", "--no-portmap", mount)
        assert_refused(done, 1, mount, *words)
        assert not is_mounted(mount)

    def test_missing(self, scratch):
        self.refused(scratch, os.path.join(scratch, "nowhere"))

    def test_file(self, scratch):
        path = os.path.join(scratch, "file")
        with open(path, "w", encoding="ascii"):
            pass
        self.refused(scratch, path)

    def test_not_empty(self, scratch):
        os.mkdir(os.path.join(scratch, "full"))
        os.mkdir(os.path.join(scratch, "full", "something"))
        self.refused(scratch, os.path.join(scratch, "full"), "empty")

    def test_store_inside(self, scratch):
        mount = os.path.join(scratch, "mnt")
        os.mkdir(mount)
        assert_refused(ftxfs("--store", os.path.join(mount, "store"), "--listen", "none", "--no-lan", "--no-portmap", mount), 1, "store")
        assert not is_mounted(mount)

    def test_inside_its_store(self, scratch):
        store = os.path.join(scratch, "store")
        mount = os.path.join(store, "mnt")
        os.makedirs(mount)
        os.symlink(store, os.path.join(scratch, "link"))
        for name in (store, os.path.join(scratch, "link"), mount):
            assert_refused(ftxfs("--store", name, "--listen", "none", "--no-lan", "--no-portmap", mount), 1, "inside", mount)
            assert not is_mounted(mount)
            assert os.listdir(store) == ["mnt"] and not os.listdir(mount)

    def test_default_store_inside(self, scratch):
        os.makedirs(os.path.join(scratch, "data"))
        os.symlink("data", os.path.join(scratch, "link"))
        done = ftxfs("--listen", "none", "--no-lan", "--no-portmap", os.path.join(scratch, "data"),
                     env=dict(os.environ, XDG_DATA_HOME=os.path.join(scratch, "link")))
        assert_refused(done, 1, "inside")
        assert not os.listdir(os.path.join(scratch, "data"))

    def test_folder_above_the_store_is_missing(self, scratch):
        mount, store = os.path.join(scratch, "mnt"), os.path.join(scratch, "no", "store")
        os.mkdir(mount)
        assert_refused(ftxfs("--store", store, "--listen", "none", "--no-lan", "--no-portmap", mount), 1, store)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide /dev/fuse")
def test_missing_dev_fuse_is_named(scratch):
    mount = os.path.join(scratch, "mnt")
    os.mkdir(mount)
    script = 'umount -a -l -t fuse.ftxfs; mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9 && exec "$@"'
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", BIN, "--store", os.path.join(scratch, "store"),
                           "--listen", "none", "--no-lan", "--no-portmap", mount], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=20 * SLOW, check=False)
    assert_refused(done, 1, "/dev/fuse")


@pytest.mark.main_path
def test_letting_others_in_is_refused_where_root_has_not_allowed_it(scratch):
    with contextlib.suppress(FileNotFoundError), open("/etc/fuse.conf", encoding="utf-8") as file:
        if any(line.split() == ["user_allow_other"] for line in file):
            pytest.skip("it is allowed here")
    if os.geteuid() == 0:
        pytest.skip("root may")
    mount = os.path.join(scratch, "mnt")
    os.mkdir(mount)
    done = ftxfs("--store", os.path.join(scratch, "store"), "--listen", "none", "--no-lan", "--no-portmap", "-o", "allow_other", mount)
    assert_refused(done, 1, mount, "user_allow_other in /etc/fuse.conf")


def test_busy_store_is_refused(make_node, scratch):
    node = make_node().start()
    other = os.path.join(scratch, "other")
    os.mkdir(other)
    done = ftxfs("--store", node.store, "--listen", "none", "--no-lan", "--no-portmap", other)
    assert_refused(done, 1, node.store)
    assert not is_mounted(other)
    os.mkdir(node.outbox(harness.CODE))  # the first goes on undisturbed


def test_mounted_mount_point_is_refused(make_node, scratch):
    node = make_node().start()
    done = ftxfs("--store", os.path.join(scratch, "other"), "--listen", "none", "--no-lan", "--no-portmap", node.mount)
    assert_refused(done, 1, node.mount)
    assert "outbox" in os.listdir(node.mount)


@pytest.mark.parametrize("listen,word", [("tailscale", "tailscale"), ("eth-none", "interface"), ("203.0.113.1:0", "203.0.113.1")])
def test_nothing_to_listen_on_is_refused(scratch, listen, word):
    mount = os.path.join(scratch, "mnt")
    os.mkdir(mount)
    done = ftxfs("--store", os.path.join(scratch, "store"), "--listen", listen, mount, env=dict(os.environ, PATH=scratch))
    assert_refused(done, 1, listen.split(":")[0], word)
    assert not is_mounted(mount)


def test_port_in_use_is_refused(make_node):
    node = make_node()
    with socket.create_server(("127.0.0.1", node.port)):
        done = ftxfs(*node.arguments())
    assert_refused(done, 1, str(node.port))
    assert not is_mounted(node.mount)


def test_store_is_private(make_node):
    node = make_node().start()
    os.mkdir(node.outbox(harness.CODE))
    node.stop()
    assert os.stat(node.store).st_mode & 0o777 == 0o700
    with_access = [path for path, info in trees.walk(node.store) if info.st_mode & 0o077]
    assert not with_access


@pytest.mark.main_path
def test_background_start_means_usable(make_node):
    node = make_node()
    done = ftxfs(*node.arguments())  # returns though the daemon lives: it has let go of our pipes
    assert done.returncode == 0 and not done.stdout, done.stderr.decode()
    os.mkdir(node.outbox(harness.CODE))
    assert len(daemons_of(node.store)) == 1
    run("fusermount3", "-u", node.mount)
    wait_until(lambda: not daemons_of(node.store), "the daemon to end", 5)
    assert not is_mounted(node.mount)


def test_background_start_needs_no_standard_streams(make_node, scratch):
    node = make_node()
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", BIN]
    assert subprocess.run([*closed, *node.arguments()], timeout=20 * SLOW, check=False).returncode == 0
    os.mkdir(node.outbox(harness.CODE))
    other = os.path.join(scratch, "other")
    os.mkdir(other)
    assert_refused(ftxfs("--store", node.store, "--listen", "none", "--no-lan", "--no-portmap", other), 1, "in use")
    run("fusermount3", "-u", node.mount)
    wait_until(lambda: not daemons_of(node.store), "the daemon to end", 5)


def test_every_long_option_works_behind_o(make_node):
    node = make_node(listen=False)
    options = f"store={node.store},listen=127.0.0.1:{harness.free_port()},peer=127.0.0.1:{harness.free_port()},no_lan,no_portmap"
    done = ftxfs("-o", options, node.mount)
    assert done.returncode == 0, done.stderr.decode()
    assert os.path.isdir(os.path.join(node.store, ".ftx"))
    run("fusermount3", "-u", node.mount)
    wait_until(lambda: subprocess.run(["pgrep", "-f", node.store], stdout=subprocess.DEVNULL, check=False).returncode,
               "the daemon to end", 5)


def stopped_while_it_starts(node):
    """The process that was started and its child, which is stopped before it was ready."""
    while True:
        parent = subprocess.Popen([BIN, *node.arguments()], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not (children := children_of(parent.pid)) and parent.poll() is None:
            pass
        if children:
            os.kill(children[0], signal.SIGSTOP)
            wait_until(lambda: process_state(children[0]) == "T", "the child to stop")  # pylint: disable=cell-var-from-loop
            if parent.poll() is None:
                return parent, children[0]
            os.kill(children[0], signal.SIGCONT)
        parent.communicate()
        run("fusermount3", "-u", node.mount)
        wait_until(lambda: not daemons_of(node.store), "the daemon to end", 5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_ends_it_while_it_starts_leaves_nothing(make_node, number):
    node = make_node()
    parent, child = stopped_while_it_starts(node)
    parent.send_signal(number)
    if number == signal.SIGKILL:
        parent.wait()
    os.kill(child, signal.SIGCONT)
    parent.communicate(timeout=10 * SLOW)
    assert parent.returncode == (-number if number == signal.SIGKILL else 128 + number)
    wait_until(lambda: not daemons_of(node.store), "the daemon to end", 5)
    assert not is_mounted(node.mount)
    node.start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it(make_node, number):
    node = make_node().start()
    os.mkdir(node.outbox(harness.CODE))
    node.terminate(number)


def test_killed_mount_is_replaced_at_the_next_start(make_node):
    node = make_node().start()
    os.mkdir(node.outbox(harness.CODE))
    node.kill9()
    assert is_mounted(node.mount)
    node.start()
    assert os.listdir(node.outbox()) == [harness.CODE]
    node.stop()
    assert not is_mounted(node.mount)


@pytest.mark.parametrize("name", ["mnt", "./mnt/", "../A/mnt//"])
def test_killed_mount_is_replaced_whatever_it_is_called(make_node, name):
    node = make_node().start()
    node.kill9()
    done = ftxfs("--store", node.store, "--listen", "none", "--no-lan", "--no-portmap", name, cwd=node.base)
    assert done.returncode == 0, done.stderr.decode()
    assert sorted(os.listdir(node.mount)) == ["inbox", "outbox"]
    run("fusermount3", "-u", node.mount)
    wait_until(lambda: not daemons_of(node.store), "the daemon to end", 5)
    assert not is_mounted(node.mount)


@pytest.mark.parametrize("way", ["SIGTERM", "SIGINT", "fusermount3"])
@pytest.mark.parametrize("side", ["a", "b"])
def test_ends_in_time_during_a_transfer(make_pair, side, way):
    pair = make_pair(through_proxy=True)
    pair.proxy.rate(up=2 * MIB)
    data = trees.random_bytes(16 * MIB)
    with open(pair.sent("big"), "wb") as out:
        out.write(data)
    start = pair.proxy.count["up"]
    wait_until(lambda: pair.proxy.count["up"] > start + MIB, "the transfer to be under way")
    node = getattr(pair, side)
    if way == "fusermount3":
        node.stop()
    else:
        node.terminate(getattr(signal, way))
    assert not is_mounted(node.mount)
    pair.proxy.rate()
    node.start()
    pair.wait_complete("big")
    with open(pair.got("big"), "rb") as file:
        assert file.read() == data
