# SPDX-License-Identifier: MIT
"""mount(8) and fstab: fuse3's mount.fuse starts `ftxfs SOURCE MOUNTPOINT -o ...`. Root only; in a mount namespace of its own, where ftxfs is installed."""
import contextlib
import os
import signal
import subprocess

import pytest

import harness
from harness import SLOW, daemons_of, wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mount(8) from an fstab of our own needs root")

NOBODY = 65534
# Others' mounts would live on there, and their daemons with them, after they were unmounted.
INSTALL = 'umount -a -l -t fuse.ftxfs; mount -t tmpfs none /usr/local/bin && ln -s "$1" /usr/local/bin/ftxfs && echo ready && exec sleep 600'


class Machine:
    """A mount namespace with ftxfs on its PATH, an fstab, a store and a mount point."""

    def __init__(self, base):
        self.base, self.store, self.mount = base, os.path.join(base, "store"), os.path.join(base, "mnt")
        self.table = os.path.join(base, "fstab")
        os.mkdir(self.mount)
        self.holder = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", "unshare", "-m", "sh", "-c", INSTALL, "sh",
                                        os.path.abspath(harness.BIN)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"ready\n"

    def fstab(self, source, options, point=None):
        with open(self.table, "w", encoding="utf-8") as file:
            file.write(f"{source} {point or self.mount} fuse.ftxfs {options},listen=none,no_lan,no_portmap 0 0\n")

    def run(self, *command, user=None, data=None):
        who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "XDG_CONFIG_HOME": os.devnull, **({"XDG_DATA_HOME": data} if data else {})}
        return subprocess.run(["nsenter", "-m", "-t", str(self.holder.pid), "--", *who, *command], env=environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=30 * SLOW, check=False)

    def ok(self, *command, **kwargs):
        done = self.run(*command, **kwargs)
        assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stderr.decode()}"
        return done.stdout.decode()

    def refused(self, *command, words=(), **kwargs):
        """The command fails; ftxfs says why in one line."""
        done = self.run(*command, **kwargs)
        lines = [line for line in done.stderr.decode().splitlines() if line.startswith("ftxfs: ")]
        assert done.returncode != 0 and len(lines) == 1, done.stderr.decode()
        for word in words:
            assert word in lines[0], lines[0]

    def daemon(self):
        with open(os.path.join(self.store, ".ftx/lock"), encoding="ascii") as file:
            return int(file.readline())

    def kill(self):
        pid = self.daemon()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: harness.process_state(pid) in (None, "Z"), "the daemon to be gone")

    def listing(self, **kwargs):
        return self.ok("ls", self.mount, **kwargs).split()

    def umount(self, **kwargs):
        self.ok("umount", self.mount, **kwargs)
        wait_until(lambda: not daemons_of(self.store), "the daemon to end")

    def close(self):
        for pid in daemons_of(self.store):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.run("umount", "-l", self.mount)
        self.holder.kill()
        self.holder.communicate()


@pytest.fixture
def machine(scratch):
    made = Machine(scratch)
    yield made
    made.close()


def test_a_line_of_fstab_is_enough(machine):
    machine.fstab(machine.store, "defaults,_netdev,nofail,relatime,x-systemd.automount,read_timeout=9")
    machine.ok("mount", "-T", machine.table, machine.mount)
    assert machine.listing() == ["inbox", "outbox"]
    line = [line.split() for line in machine.ok("cat", "/proc/mounts").splitlines() if machine.mount in line]
    assert [words[:3] for words in line] == [[machine.store, machine.mount, "fuse.ftxfs"]]
    machine.ok("mount", "-T", machine.table, "-a")  # finds it mounted
    machine.ok("mkdir", os.path.join(machine.mount, "outbox", harness.CODE))
    machine.umount()
    machine.ok("mount", "-T", machine.table, "-a")
    assert machine.ok("ls", os.path.join(machine.mount, "outbox")).split() == [harness.CODE]
    machine.umount()


@pytest.mark.parametrize("how", ["fuse.ftxfs", "fuse", "fuse3"])
def test_every_form_of_the_type_works(machine, how):
    source = machine.store if how == "fuse.ftxfs" else f"ftxfs#{machine.store}"
    machine.ok("mount", "-t", how, source, machine.mount, "-o", "listen=none,no_lan,no_portmap,ro")
    assert machine.listing() == ["inbox", "outbox"]
    assert machine.run("mkdir", os.path.join(machine.mount, "outbox", harness.CODE)).returncode
    machine.umount()


def test_source_none_means_the_users_own_store(machine):
    machine.store = os.path.join(machine.base, "ftxfs")
    machine.ok("mount", "-t", "fuse.ftxfs", "none", machine.mount, "-o", "listen=none,no_lan,no_portmap", data=machine.base)
    assert os.path.isdir(os.path.join(machine.store, ".ftx"))
    machine.ok("umount", machine.mount)
    pid = machine.daemon()
    wait_until(lambda: harness.process_state(pid) in (None, "Z"), "the daemon to end")


def test_an_ordinary_user_mounts_and_unmounts_what_fstab_allows(machine):
    os.chmod(os.path.dirname(machine.base), 0o711)
    for path in (machine.base, machine.mount):
        os.chown(path, NOBODY, NOBODY)
    machine.fstab(machine.store, "noauto,user")
    machine.ok("mount", "-T", machine.table, machine.mount, user=NOBODY)
    assert machine.listing(user=NOBODY) == ["inbox", "outbox"]
    assert os.stat(machine.store).st_uid == NOBODY
    assert machine.run("ls", machine.mount).returncode  # closed even to root
    machine.umount(user=NOBODY)


def test_root_mounts_for_a_user_with_setuid(machine):
    os.chmod(os.path.dirname(machine.base), 0o711)
    for path in (machine.base, machine.mount):
        os.chown(path, NOBODY, NOBODY)
    machine.ok("mount", "-t", "fuse.ftxfs", machine.store, machine.mount, "-o", "listen=none,no_lan,no_portmap,setuid=nobody")
    assert machine.listing(user=NOBODY) == ["inbox", "outbox"]
    assert os.stat(machine.store).st_uid == NOBODY
    machine.umount()


def test_a_killed_mount_is_taken_over(machine):
    machine.fstab(machine.store, "defaults")
    machine.ok("mount", "-T", machine.table, machine.mount)
    machine.kill()
    assert machine.run("ls", machine.mount).returncode
    machine.ok("mount", "-t", "fuse.ftxfs", machine.store, machine.mount, "-o", "listen=none,no_lan,no_portmap")
    assert machine.listing() == ["inbox", "outbox"]
    machine.umount()
    assert machine.listing() == []


def test_what_cannot_be_mounted_is_said_in_one_line(machine):
    def refused(source, point, *words):
        machine.refused("mount", "-t", "fuse.ftxfs", source, point, "-o", "listen=none,no_lan,no_portmap", words=words)
    machine.fstab(machine.store, "defaults")
    machine.ok("mount", "-T", machine.table, machine.mount)
    other, full = (os.path.join(machine.base, name) for name in ("other", "full"))
    os.makedirs(other)
    os.makedirs(os.path.join(full, "something"))
    refused(machine.store, other, machine.store, "in use", str(machine.daemon()))
    refused(other, machine.mount, machine.mount, "already mounted")
    refused(other, full, full, "not empty")
    refused(other, other, other, "inside")
    refused("somewhere", other, "somewhere", "absolute")
    machine.refused("mount", "-t", "fuse.ftxfs", other, full, "-o", "nonsense=1", words=("nonsense=1",))
    assert machine.listing() == ["inbox", "outbox"]
    machine.umount()
