# SPDX-License-Identifier: MIT
"""What no program can be faster than, each for its own part of the work: cp, an empty FUSE file system, TCP, the cipher."""
import os
import subprocess

from peers.base import Failed, Peer, copy_words, end_process, free_port
from sources import size_of


class Floor(Peer):
    floor = True
    network = False
    skips = ("resume", "first-byte", "idle")


class Cp(Floor):
    name = "cp"

    def copy(self, source, name, meter=None, archive=False):
        self.place.run(*copy_words(source, self.target(name), archive))


class EmptyFs(Floor):
    """A FUSE file system that only passes on to a folder (tools/empty_fs.c)."""
    name = "cp into an empty FUSE"
    programs = ("fusermount3",)

    def __init__(self, place):
        super().__init__(place)
        self.mount = self.path("mnt")
        self.process = None

    def start(self):
        super().start()
        os.mkdir(self.mount)
        self.start_mount()

    def start_mount(self):
        self.process = self.place.start(f"{self.place.tools}/empty_fs", self.path("b"), self.mount, log=self.path("log"))
        self.place.wait_mounted(self.mount)

    def copy(self, source, name, meter=None, archive=False):
        self.place.run(*copy_words(source, os.path.join(self.mount, name), archive))

    def readable(self, name):
        return os.path.join(self.mount, name)

    def put_for_reading(self, source, name):
        self.place.run("cp", source, self.target(name))  # past the mount: its pages are not in the kernel's cache of it

    def end_mount(self):
        subprocess.run(["umount", self.mount], stderr=subprocess.DEVNULL, check=False)
        end_process(self.process)

    def stop(self):
        self.end_mount()
        super().stop()


class Nothing(Floor):
    """Moves as many bytes as there are in the source, but not these."""
    skips = ("again", "changed", "resume", "first-byte", "idle", "read")

    def target(self, name):
        return None


class Tcp(Nothing):
    name = "raw TCP"
    network = True

    def copy(self, source, name, meter=None, archive=False):
        host, port, tool = self.place.network.host_b, str(free_port()), f"{self.place.tools}/floor"
        receiver = self.place.start(tool, "tcp-receive", host, port, side="b", log=self.path("log"))
        try:
            self.place.wait_until(lambda: self.place.listens(host, int(port), "b"), "the receiver to listen")
            congestion = ["bbr"] if self.place.network.rate and bbr_is_here() else []
            self.send([tool, "tcp-send", host, port, str(size_of(source)), *congestion], meter)
        finally:
            end_process(receiver)

    def send(self, words, meter):
        sender = subprocess.Popen([*self.place.network.words_a, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            if sender.stdout.readline() != b"ready\n":
                raise Failed(f"{words}: could not connect")
            if meter:
                meter.begin_again()
            sender.stdin.write(b"\n")
            sender.stdin.flush()
            if self.place.wait(sender) != 0:
                raise Failed(f"{words}: exit {sender.returncode}")
        finally:
            end_process(sender)
            sender.stdin.close()
            sender.stdout.close()


def bbr_is_here():
    with open("/proc/sys/net/ipv4/tcp_available_congestion_control", encoding="ascii") as file:
        return "bbr" in file.read().split()


class Aead(Nothing):
    cipher = None

    def copy(self, source, name, meter=None, archive=False):
        self.place.run(f"{self.place.tools}/floor", "aead", str(size_of(source)), self.cipher)


class ChaCha(Aead):
    name, cipher = "ChaCha20-Poly1305, one core", "chacha"


class Aes(Aead):
    name, cipher = "AES-256-GCM, one core", "aes"


