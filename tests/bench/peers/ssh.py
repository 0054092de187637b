# SPDX-License-Identifier: MIT
"""What goes over ssh: rsync, rsync -z, tar, sshfs, rclone; with an sshd of our own at b, its own keys, no file of the machine's ssh."""
import os
import shlex
import shutil
import signal
import subprocess

from peers.base import Failed, Peer, copy_words, end_process, free_port

PACKAGES = ("openssh-client", "openssh-server")
PROGRAMS = ("ssh", "sshd")


class Sshd:
    """Listens on b's address alone."""

    def __init__(self, peer):
        self.place, self.folder, self.host, self.port = peer.place, peer.path("ssh"), peer.place.network.host_b, free_port()
        self.process = None
        os.mkdir(self.folder, 0o700)

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self):
        for name in ("host", "user"):
            self.place.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(name))
        with open(self.path("config"), "w", encoding="utf-8") as config:
            config.write(f"ListenAddress {self.host}:{self.port}\nHostKey {self.path('host')}\n"
                         f"AuthorizedKeysFile {self.path('user.pub')}\nPidFile none\nStrictModes no\nUsePAM no\n"
                         "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nPrintMotd no\n"
                         "PrintLastLog no\nSubsystem sftp /usr/lib/openssh/sftp-server\n"
                         f"PermitUserRC no\nSetEnv HOME={os.environ['HOME']}\n")  # not the start-up files of whoever runs this
        with open(self.path("known"), "w", encoding="utf-8") as known, open(self.path("host.pub"), encoding="utf-8") as key:
            known.write(f"[{self.host}]:{self.port} {key.read()}")
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
        self.process = self.place.start(sshd, "-D", "-e", "-f", self.path("config"), side="b", log=self.path("log"))
        self.place.wait_until(lambda: self.place.listens(self.host, self.port, "b"), "sshd to listen")

    def options(self):
        """For ssh and sshfs alike: words after -o."""
        return ["IdentitiesOnly=yes", "IdentityAgent=none", f"IdentityFile={self.path('user')}",
                f"UserKnownHostsFile={self.path('known')}", "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes",
                "BatchMode=yes", "LogLevel=ERROR"]

    def command(self):
        """ssh without the host, as words."""
        words = ["ssh", "-F", "none", "-p", str(self.port)]
        for option in self.options():
            words += ["-o", option]
        return words

    def kill_sessions(self):
        """kill -9 of what runs at b, as a crash there would; the listener stays."""
        pids = descendants(self.process.pid)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def stop(self):
        self.kill_sessions()
        end_process(self.process)


def descendants(pid):
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += [int(name), *descendants(int(name))]
    return found


class OverSsh(Peer):
    packages, programs = PACKAGES, PROGRAMS

    def __init__(self, place):
        super().__init__(place)
        self.sshd = Sshd(self)
        self.under_way = None

    def start(self):
        super().start()
        self.sshd.start()

    def stop(self):
        end_process(self.under_way)
        self.sshd.stop()
        super().stop()

    def words(self, source, name):
        """The command of one copy, run at a."""
        raise NotImplementedError

    def copy(self, source, name, meter=None, archive=False):
        self.place.run(*self.words(source, name), side="a")

    def begin_copy(self, source, name):
        self.under_way = self.place.start(*self.words(source, name), side="a", log=self.path("log"))
        return self.under_way

    def cut(self):
        self.sshd.kill_sessions()
        self.place.wait(self.under_way)

    def go_on(self, source, name):
        self.begin_copy(source, name)

    def wait_done(self, name):
        status = self.place.wait(self.under_way)
        if status != 0:
            with open(self.path("log"), encoding="utf-8", errors="replace") as log:
                raise Failed(f"{self.name}: exit {status}: {log.read()[-500:]}")


class Rsync(OverSsh):
    name = "rsync -a -e ssh"
    packages, programs = (*PACKAGES, "rsync"), (*PROGRAMS, "rsync")
    skips = ("read",)  # what it leaves is a plain file: see cp
    flags = ()

    def words(self, source, name):
        source += "/" if os.path.isdir(source) else ""
        return ["rsync", "-a", *self.flags, "-e", shlex.join(self.sshd.command()), source,
                f"{self.place.network.host_b}:{self.target(name)}"]

    def begin_copy(self, source, name):
        # A temporary name would be lost with the receiver: this is how rsync can go on.
        self.flags = ("--inplace", "--partial")
        return super().begin_copy(source, name)


class RsyncZ(Rsync):
    name = "rsync -a -z --zc=zstd -e ssh"
    flags = ("-z", "--zc=zstd")
    skips = ("resume", "first-byte", "read")


class Tar(OverSsh):
    name = "tar | zstd | ssh"
    packages, programs = (*PACKAGES, "zstd"), (*PROGRAMS, "zstd", "tar")
    skips = ("again", "changed", "resume", "first-byte", "read")

    def words(self, source, name):
        folder, what = (source, ".") if os.path.isdir(source) else os.path.split(source)
        at_b = f"mkdir -p {shlex.quote(self.target(name))} && zstd -dc | tar -x -C {shlex.quote(self.target(name))}"
        over = shlex.join([*self.sshd.command(), self.place.network.host_b, at_b])
        return ["sh", "-c", f"tar -c -C {shlex.quote(folder)} {shlex.quote(what)} | zstd -T1 -c | {over}"]

    def copy(self, source, name, meter=None, archive=False):
        super().copy(source, name)
        if meter:
            meter.mark()
        if not os.path.isdir(source):  # it arrived under its own name, in a folder
            os.rename(os.path.join(self.target(name), os.path.basename(source)), self.target(name) + ".file")
            os.rmdir(self.target(name))
            os.rename(self.target(name) + ".file", self.target(name))


class Sshfs(OverSsh):
    name = "cp over sshfs"
    packages, programs = (*PACKAGES, "sshfs"), (*PROGRAMS, "sshfs")

    def __init__(self, place):
        super().__init__(place)
        self.mount = self.path("mnt")
        self.process = None

    def start(self):
        super().start()
        self.start_mount()

    def start_mount(self):
        os.makedirs(self.mount, exist_ok=True)
        words = ["sshfs", "-f", f"{self.place.network.host_b}:{self.path('b')}", self.mount, "-p", str(self.sshd.port), "-F", "none"]
        for option in self.sshd.options():
            words += ["-o", option]
        self.process = self.place.start(*words, side="a", log=self.path("log"))
        self.place.wait_mounted(self.mount)

    def end_mount(self):
        subprocess.run(["umount", "-l", self.mount], stderr=subprocess.DEVNULL, check=False)
        end_process(self.process)

    def words(self, source, name):
        return copy_words(source, os.path.join(self.mount, name), False)

    def copy(self, source, name, meter=None, archive=False):
        self.place.run(*copy_words(source, os.path.join(self.mount, name), archive))

    def begin_copy(self, source, name):
        self.under_way = self.place.start(*self.words(source, name), log=self.path("log"))
        return self.under_way

    def put_for_reading(self, source, name):
        self.place.run("cp", source, self.target(name))

    def readable(self, name):
        return os.path.join(self.mount, name)

    def cut(self):
        super().cut()
        self.end_mount()

    def go_on(self, source, name):
        self.start_mount()
        self.begin_copy(source, name)

    def stop(self):
        end_process(self.under_way)
        self.end_mount()
        super().stop()


class Rclone(OverSsh):
    name = "rclone copyto (sftp)"
    packages, programs = (*PACKAGES, "rclone"), (*PROGRAMS, "rclone")
    skips = ("read", "first-byte")

    def words(self, source, name):
        options = {"host": self.place.network.host_b, "port": self.sshd.port, "user": "root", "key_file": self.sshd.path("user"),
                   "known_hosts_file": self.sshd.path("known"), "shell_type": "unix"}
        remote = ":sftp," + ",".join(f"{key}={value}" for key, value in options.items())
        return ["rclone", "--config", self.path("rclone.conf"), "--links", "copyto", source, f"{remote}:{self.target(name)}"]

    def cut(self):
        self.sshd.kill_sessions()

    def go_on(self, source, name):
        """It connects and begins again by itself."""
