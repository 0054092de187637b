# SPDX-License-Identifier: MIT
"""What is measured: each workload prepares a peer, does one thing under the meter, and proves that what arrived equals what was sent."""
import os
import subprocess
import time

import measuring
from peers import Cannot, Failed
from sources import disk_of, size_of

IDLE_S, SETTLE_S = 30, 3
POLL_S = 0.002
LARGE_TIMES, LARGE_RATE, LARGE_S = 8, "16M", 10  # so many times larger, at most that many bytes a second, so long


def prove(peer, source, name):
    target = peer.target(name)
    if target is None:
        return
    done = subprocess.run(["diff", "-rq", source, target], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise Failed(f"{peer.name}: what arrived differs: {done.stdout.decode(errors='replace')[:500]}")


class Workload:
    """`source` is its name in sources.py; `peers` those that it is measured with if nothing else is asked for; `columns` what its
    table shows (report.py)."""
    columns = ("wall", "spread", "ratio", "rate", "cpu", "rss", "wire", "disk")
    own = False  # only ftxfs can do it

    def __init__(self, name, title, source, peers):
        self.name, self.title, self.source, self.peers = name, title, source, peers

    def measure(self, peer, sources, meter):
        """The figures of one measurement; the peer has been started."""
        raise NotImplementedError

    def title_of(self, sources):
        return self.title.format(n_small=sources.n_small)

    def size(self, sources):
        return size_of(sources.get(self.source)) if self.source else 0

    def sources(self):
        """The names of all that it copies."""
        return (self.source,)


class Copy(Workload):
    def measure(self, peer, sources, meter):
        source = sources.get(self.source)
        copy_under_meter(peer, source, "copy", meter, False)
        figures = meter.end()
        figures["disk"] = max(0, figures["disk"] - (disk_of(source) if peer.target("copy") else 0))
        prove(peer, source, "copy")
        return figures


class Again(Workload):
    """The tree has arrived; then the same, or the changed one, is copied over it."""
    columns = ("wall", "spread", "ratio", "cpu", "rss", "wire", "disk")

    def __init__(self, name, title, source, second, peers):
        super().__init__(name, title, source, peers)
        self.second = second

    def sources(self):
        return (self.source, self.second)

    def measure(self, peer, sources, meter):
        source = sources.get(self.second)
        peer.copy(sources.get(self.source), "copy", archive=True)
        copy_under_meter(peer, source, "copy", meter, True)
        prove(peer, source, "copy")
        return meter.end()


def copy_under_meter(peer, source, name, meter, archive):
    meter.begin()
    peer.copy(source, name, meter, archive)
    if "wall" not in meter.figures:
        meter.mark()


class Resume(Workload):
    """kill -9 of the receiving end when it has half; what it takes to go on."""
    columns = ("wall", "spread", "ratio", "first", "resent", "cpu_s", "rss")

    def measure(self, peer, sources, meter):
        source = sources.get(self.source)
        size = os.path.getsize(source)
        peer.begin_copy(source, "copy")
        while peer.bytes_there("copy") < size // 2:
            peer.place.left()
            time.sleep(POLL_S)
        peer.cut()
        had = peer.bytes_after_cut("copy")
        meter.begin()
        peer.go_on(source, "copy")
        had = had or peer.bytes_there("copy")
        if had >= size:
            raise Cannot  # it was quicker than the knife
        while peer.bytes_there("copy") <= had:
            peer.place.left()
            time.sleep(POLL_S)
        meter.figures["first"] = meter.elapsed()
        peer.wait_done("copy")
        meter.mark()
        prove(peer, source, "copy")
        figures = meter.end()
        figures["resent"] = max(0, figures["wire"] - (size - had))
        return figures


class FirstByte(Workload):
    """From the first write (ftxfs: of 1 MiB, the file stays open), or from the start of the program, until a byte can be read at
    the other end under the file's name."""
    columns = ("wall_ms", "spread_ms", "ratio")

    def measure(self, peer, sources, meter):
        source = sources.get(self.source)
        with open(source, "rb") as file:
            wanted = file.read(1)
        meter.begin()
        finish = peer.begin_stream(source, "copy", meter)
        while self.first_byte(peer.target("copy")) != wanted:
            peer.place.left()
            time.sleep(POLL_S / 4)
        meter.figures["wall"] = meter.elapsed()
        finish()
        figures = meter.end()
        prove(peer, source, "copy")
        return figures

    @staticmethod
    def first_byte(path):
        try:
            with open(path, "rb", buffering=0) as file:
                return file.read(1)
        except OSError:
            return None


class Read(Workload):
    """A file that has arrived, read from beginning to end, for the first time and again."""
    columns = ("wall", "spread", "ratio", "rate", "again", "cpu")

    def measure(self, peer, sources, meter):
        source = sources.get(self.source)
        peer.put_for_reading(source, "copy")
        meter.begin()
        self.read(peer, "copy")
        meter.mark()
        begin = time.monotonic()
        self.read(peer, "copy")
        meter.figures["again"] = time.monotonic() - begin
        figures = meter.end()
        prove(peer, source, "copy")
        return figures

    @staticmethod
    def read(peer, name):
        peer.place.run("dd", "bs=1M", "of=/dev/null", "status=none", "if=" + peer.readable(name))


class OnItsWay(Workload):
    """A large file that has been written, and of which the link has taken little: what the daemons need for it."""
    columns = ("wall", "spread", "rss", "disk")
    own = True

    def __init__(self, name, title, peers):
        super().__init__(name, title, None, peers)

        self.seconds = LARGE_S

    def size(self, sources):
        return LARGE_TIMES * sources.size

    def measure(self, peer, sources, meter):
        peer.limit(LARGE_RATE)
        meter.begin()
        peer.place.run("sh", "-c", 'exec "$0" random "$1" 1 >"$2"', f"{peer.place.tools}/data", str(self.size(sources)), peer.sent("large"))
        meter.mark()
        time.sleep(self.seconds)
        if peer.nothing_left():
            raise Cannot
        return meter.end()


class Idle(Workload):
    """Many links that are connected and have nothing to do."""
    columns = ("links", "idle_cpu", "wakeups", "rss")
    own = True

    def __init__(self, name, title, peers):
        super().__init__(name, title, None, peers)
        self.n_links, self.seconds = 200, IDLE_S

    def measure(self, peer, sources, meter):
        for i in range(1, self.n_links):
            peer.pair(f"{i}-idle-link")
        time.sleep(SETTLE_S)
        pids = peer.daemons()
        meter.begin()
        before = sum(map(measuring.context_switches, pids))
        time.sleep(self.seconds)
        meter.mark()
        switches = sum(map(measuring.context_switches, pids)) - before
        figures = meter.end()
        figures.update(links=self.n_links, wakeups=switches / self.seconds)
        return figures


COPIERS = ("ftxfs", "rsync", "sshfs", "wormhole", "rclone", "syncthing")
FLOOR = ("cp", "empty", "tcp", "chacha", "aes")
TEXT = ("ftxfs", "rsync", "rsync-z", "tar", "sshfs", "wormhole", "rclone", "syncthing")
REPEATERS = ("ftxfs", "rsync", "sshfs", "rclone", "syncthing")


def all_workloads():
    """By name, in the order in which they are measured."""
    table = [
        Copy("random", "One file of random bytes", "random", COPIERS + FLOOR),
        Copy("text", "One file of text", "text", TEXT + FLOOR),
        Copy("small", "{n_small:,} files of 4 KiB", "small", COPIERS + FLOOR),
        Copy("include", "/usr/include", "include", TEXT + FLOOR),
        Copy("zeros", "64 files, three tenths zeros", "zeros", TEXT + FLOOR),
        Again("again", "An unchanged tree copied again", "tree", "tree", REPEATERS),
        Again("changed", "A tree with 1 % changed copied again", "tree", "changed", REPEATERS),
        Resume("resume", "Going on after kill -9 at half", "random", ("ftxfs", "rsync", "sshfs", "rclone")),
        FirstByte("first-byte", "Until the first byte can be read", "random", ("ftxfs", "rsync", "sshfs")),
        Read("read", "Reading what has arrived", "random", ("ftxfs", "sshfs", "cp", "empty")),
        OnItsWay("large", "A large file on its way", ("ftxfs",)),
        Idle("idle", "Idle links", ("ftxfs",)),
    ]
    return {one.name: one for one in table}


