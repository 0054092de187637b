# SPDX-License-Identifier: MIT
"""Other users of the machine, and terminals: who may enter store and mount, what processes and messages give away."""
import contextlib
import os
import re
import shutil
import signal
import subprocess

import pytest

import harness
from harness import CODE, run, wait_state, wait_until
from trees import walk

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be two users")
NASTY = {"escape": b"\x1b[2J\x1b]0;title\x07", "C1": b"\xc2\x9b31m\x9b31m", "bidi": "\u202egnp.exe".encode(), "newline": b"\nftxfs: all is well"}


@pytest.fixture
def folder(scratch_root, scratch):
    """A folder that every user can reach."""
    for path in (scratch_root, scratch):
        os.chmod(path, 0o711)
    os.chmod(scratch, 0o755)
    return scratch


def as_nobody(*command, **kwargs):
    return subprocess.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all", "--", *command],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False, **kwargs)


def start_refused(runner, binary, store, mount):
    done = runner(binary, "-f", "--store", store, "--listen", "none", "--no-lan", "--no-portmap", mount)
    assert done.returncode == 1 and len(done.stdout.splitlines()) == 1, done.stdout
    assert not harness.is_mounted(mount)
    return done.stdout.decode()


def quietly(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False)


# -- the store -----------------------------------------------------------------------------------


@as_root
def test_store_of_another_user_is_refused(folder):
    binary = shutil.copy(harness.BIN, folder)
    for name, owner, runner in (("nobodys", NOBODY, quietly), ("roots", 0, as_nobody)):
        store, mount = os.path.join(folder, name), os.path.join(folder, name + "-mnt")
        os.mkdir(store, 0o777)
        os.mkdir(mount)
        os.chmod(store, 0o777)
        os.chown(store, owner, owner)
        os.chown(mount, NOBODY if runner is as_nobody else 0, -1)
        assert store in start_refused(runner, binary, store, mount)
        assert os.listdir(store) == []


def test_modes_of_the_store_do_not_depend_on_umask(make_pair):
    old = os.umask(0)
    try:
        pair = make_pair()
        for number in range(20):
            pair.send_file(f"file-{number}", b"x" * 100_000)
        os.mkdir(pair.sent("folder"), 0o777)
        for node in (pair.a, pair.b):
            node.stop()
            assert os.stat(node.store).st_mode & 0o7777 == 0o700
            modes = {(os.path.isdir(os.path.join(os.fsencode(node.store), path)), info.st_mode & 0o7777) for path, info in walk(node.store)}
            assert modes == {(True, 0o700), (False, 0o600)}
    finally:
        os.umask(old)


def test_store_that_others_may_enter_is_closed_to_them(make_node):
    node = make_node()
    os.makedirs(node.store)
    os.chmod(node.store, 0o777)
    node.start()
    assert os.stat(node.store).st_mode & 0o7777 == 0o700


def test_folder_that_others_use_is_not_made_a_store(folder):
    store, mount = os.path.join(folder, "shared"), os.path.join(folder, "mnt")
    os.makedirs(os.path.join(store, "of-others"))
    os.chmod(store, 0o755)
    os.mkdir(mount)
    assert store in start_refused(quietly, harness.BIN, store, mount)
    assert os.listdir(store) == ["of-others"] and os.stat(store).st_mode & 0o7777 == 0o755


# -- the mount -----------------------------------------------------------------------------------


@as_root
def test_mount_is_closed_to_other_users(folder, make_node):
    node = make_node().start()
    os.chmod(node.base, 0o755)
    os.mkdir(node.outbox(CODE))
    assert as_nobody("ls", folder).returncode == 0
    for path in (node.mount, node.outbox(), os.path.join(node.mount, ".ftx/status")):
        done = as_nobody("ls", "-d", path + "/." if path == node.mount else path)
        assert done.returncode != 0 and b"denied" in done.stdout, done.stdout


@as_root
def test_with_allow_other_the_kernel_checks_permissions(folder, make_node):
    node = make_node(options={"allow_other": None}).start()
    os.chmod(node.base, 0o755)
    os.mkdir(node.outbox(CODE))
    for name, mode in (("open", 0o644), ("closed", 0o600)):
        with open(node.outbox(CODE, name), "wb") as file:
            file.write(b"data")
        os.chmod(node.outbox(CODE, name), mode)
    done = as_nobody("cat", node.outbox(CODE, "closed"))
    assert done.returncode != 0 and b"denied" in done.stdout
    for command in (["touch", node.outbox(CODE, "new")], ["rm", "-f", node.outbox(CODE, "open")], ["mkdir", node.inbox("9-new-code")],
                    ["mv", node.outbox(CODE), node.outbox("9-renamed")], ["cat", os.path.join(node.mount, ".ftx/status")]):
        assert as_nobody(*command).returncode != 0, command
    assert sorted(os.listdir(node.outbox(CODE))) == ["closed", "open"]


@pytest.mark.parametrize("options", [{}, {"suid": None, "dev": None}], ids=["none", "suid,dev"])
def test_mount_is_nosuid_and_nodev_whatever_is_asked_for(make_node, options):
    node = make_node(options=options).start()
    with open("/proc/self/mounts", encoding="utf-8") as table:
        words = next(line.split() for line in table if line.split()[1] == node.mount)
    assert {"nosuid", "nodev"} <= set(words[3].split(","))


# -- the process ---------------------------------------------------------------------------------


def test_code_is_in_no_command_line_environment_or_log(make_pair):
    pair = make_pair(connect=False)
    pair.connect()
    secret = CODE.partition("-")[2].encode()
    for node in (pair.a, pair.b):
        for process in family(node.process.pid):
            for file in ("cmdline", "environ", "comm"):
                # an ordinary user may not even read the environment: see the test below
                with contextlib.suppress(ProcessLookupError, PermissionError), open(f"/proc/{process}/{file}", "rb") as text:
                    assert secret not in text.read()


def family(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [pid, *[process for child in file.read().split() for process in family(int(child))]]


def test_no_core_is_left(make_node):
    node = make_node().start()
    with open(f"/proc/{node.process.pid}/limits", encoding="ascii") as file:
        limits = next(line for line in file if line.startswith("Max core file size"))
    assert limits.split()[4:6] == ["0", "0"]
    node.killed = True
    os.kill(node.process.pid, signal.SIGABRT)
    _, status = os.waitpid(node.process.pid, 0)
    node.process = None
    assert os.WIFSIGNALED(status) and not os.WCOREDUMP(status)


def test_process_may_not_be_dumped_or_looked_into(folder):
    """A core limit of 0 does not hold for cores that go through a pipe; of a process that may not be dumped there are none."""
    binary, store, mount = shutil.copy(harness.BIN, folder), os.path.join(folder, "store"), os.path.join(folder, "mnt")
    os.mkdir(mount)
    os.mkdir(store)
    user = NOBODY if os.geteuid() == 0 else os.geteuid()
    if user == NOBODY:
        for path in (mount, store):
            os.chown(path, user, user)
    drop = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--inh-caps=-all"] if user == NOBODY else ["setpriv"]
    with subprocess.Popen([*drop, "--pdeathsig", "KILL", "--", binary, "-f", "--store", store, "--listen", "none", "--no-lan", "--no-portmap", mount],
                          stdin=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: harness.is_mounted(mount), "the mount")
            assert os.stat(f"/proc/{process.pid}/environ").st_uid == 0
        finally:
            process.terminate()
            assert process.wait(10) == 0
            harness.unmount_anyway(mount)


# -- what is printed -----------------------------------------------------------------------------


def assert_harmless(text):
    """One line per message, nothing that a terminal would obey."""
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", text.decode("utf-8")), text
    assert all(line.startswith(("ftxfs: ", " ", "-")) for line in text.decode().splitlines()), text


@pytest.mark.parametrize("name", NASTY.values(), ids=NASTY)
def test_names_in_messages_are_escaped(scratch, name):
    mount = os.path.join(os.fsencode(scratch), name)
    for arguments in ([b"--store", mount + b"/none/store", mount], [b"-o", b"links=" + name, mount], [b"--listen", name, mount],
                      [b"--peer", name, mount], [b"--" + name, mount], [mount, mount, mount]):
        done = quietly(os.fsencode(harness.BIN), b"-f", *arguments)
        assert done.returncode in (1, 2) and done.stdout
        assert_harmless(done.stdout)


def test_names_in_log_and_status_are_escaped(make_pair):
    """A peer's names may hold C1 controls and marks that turn the text around, only not control bytes."""
    names = [name for name in NASTY.values() if not any(byte < 0x20 for byte in name)]
    pair = make_pair()
    for name in names:
        for path in (os.fsencode(pair.sent()) + b"/" + name, os.fsencode(pair.sent()) + b"/folder-" + name + b"/" + name):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(b"x")
            os.setxattr(path, b"user." + name, name)
    pair.send_file("last", b"")
    for name in names:
        wait_state(os.fsencode(pair.got()) + b"/" + name, "complete")
        os.unlink(os.fsencode(pair.got()) + b"/" + name)
        wait_until(lambda: os.listdir(os.fsencode(pair.got()) + b"/folder-" + name) == [name], "the file in the folder")
    for node in (pair.a, pair.b):
        with open(node.log, "rb") as file:
            assert_harmless(file.read())
        with open(os.path.join(node.mount, ".ftx/status"), "rb") as file:
            text = file.read()
        assert re.fullmatch(r"[\t\n\x20-\x7e]*", text.decode())
