# SPDX-License-Identifier: MIT
"""ftxfs: two daemons, one link; cp into the outbox, complete when the peer says so and nothing is left to acknowledge."""
import json
import os
import signal
import subprocess
import time

from peers.base import Failed, Peer, copy_words, end_process, free_port

CODE = "7-guitar-harvest"
POLL_MIN_S, POLL_MAX_S = 0.01, 0.05  # who asks more often takes processor time from what is measured


def state(path):
    """user.ftx.state; None for what is not there."""
    try:
        return os.getxattr(path, "user.ftx.state").decode()
    except OSError:
        return None


def files_below(top):
    if not os.path.isdir(top):
        return [top]
    return [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names]


class Node:
    """One daemon with its store and mount."""

    def __init__(self, peer, side, host):
        self.peer, self.side, self.host, self.port = peer, side, host, free_port()
        self.base = peer.path(side)
        self.mount, self.store = os.path.join(self.base, "mnt"), os.path.join(self.base, "store")
        self.other = self.process = None
        os.makedirs(self.mount)

    def start(self):
        options = ",".join(["links=all", *self.peer.options])
        self.process = self.peer.place.start(
            self.peer.binary, "-f", "--no-lan", "--no-portmap", "--store", self.store, "--listen", f"{self.host}:{self.port}", "--peer",
            f"{self.other.host}:{self.other.port}", "-o", options, self.mount, side=self.side, log=os.path.join(self.base, "log"))
        self.peer.place.wait_until(self.is_usable, f"the mount of {self.side}")

    def is_usable(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.base, "log"), encoding="utf-8", errors="replace") as log:
                raise Failed(f"ftxfs ended at start:\n{log.read()[-2000:]}")
        try:
            return {"outbox", "inbox"} <= set(os.listdir(self.mount))
        except OSError:  # ENOTCONN: the mount of a killed daemon
            return False

    def links(self):
        with open(os.path.join(self.mount, ".ftx/status"), encoding="utf-8") as file:
            return json.load(file)["links"]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        end_process(self.process)
        subprocess.run(["umount", "-l", self.mount], stderr=subprocess.DEVNULL, check=False)


class Ftxfs(Peer):
    name = "ftxfs"
    programs = ("fusermount3",)
    options = ()
    binary = None  # None: the place's

    def __init__(self, place):
        super().__init__(place)
        self.binary = self.binary or place.ftxfs
        self.a, self.b = Node(self, "a", place.network.host_a), Node(self, "b", place.network.host_b)
        self.a.other, self.b.other = self.b, self.a
        self.under_way = None

    def start(self):
        self.a.start()
        self.b.start()
        self.pair(CODE)

    def pair(self, code):
        os.mkdir(self.a.mount + "/outbox/" + code)
        os.mkdir(self.b.mount + "/inbox/" + code)
        self.wait_connected(code)

    def wait_connected(self, code=CODE):
        ends = (self.a.mount + "/outbox/" + code, self.b.mount + "/inbox/" + code)
        self.place.wait_until(lambda: all(state(path) == "connected" for path in ends), "the two to connect", 60)

    def sent(self, name):
        return os.path.join(self.a.mount, "outbox", CODE, name)

    def target(self, name):
        return os.path.join(self.b.mount, "inbox", CODE, name)

    def copy(self, source, name, meter=None, archive=False):
        self.place.run(*copy_words(source, self.sent(name), archive))
        if meter:
            meter.figures["cp"] = meter.elapsed()
        self.wait_done(name, meter)

    def wait_done(self, name, meter=None):
        """Until both say that nothing is left and every file is complete there and delivered here. What is marked is the time
        when nothing was left: looking at each file is not counted, unless one was not done yet."""
        if self.under_way and self.place.wait(self.under_way) != 0:
            raise Failed("cp into the outbox failed")
        begin = time.monotonic()
        while True:
            if self.nothing_left():
                if meter:
                    meter.mark()
                if self.all_are("complete", self.target(name)) and self.all_are("delivered", self.sent(name)):
                    return
            self.place.left()
            elapsed = time.monotonic() - begin
            time.sleep(min(max(elapsed / 100, POLL_MIN_S), POLL_MAX_S))

    def nothing_left(self):
        for node, direction in ((self.a, "queue"), (self.b, "arriving")):
            if any(any(link[direction].values()) for link in node.links()):
                return False
        return True

    @staticmethod
    def all_are(wanted, path):
        return all(os.path.islink(file) or state(file) == wanted for file in files_below(path))

    def bytes_there(self, name):
        try:
            return int(os.getxattr(self.target(name), "user.ftx.progress").split(b"/")[0])
        except OSError:
            return 0

    def bytes_after_cut(self, name):
        return 0

    def begin_stream(self, source, name, meter):
        """The first MiB is written, the file stays open; the clock starts when that write has returned."""
        with open(source, "rb") as file:
            out = open(self.sent(name), "wb", buffering=0)
            out.write(file.read(1 << 20))
        meter.begin_again()

        def finish():
            with open(source, "rb") as file, out:
                file.seek(out.tell())
                while piece := file.read(1 << 20):
                    out.write(piece)
            self.wait_done(name)
        return finish

    def limit(self, rate):
        """What the link may send in a second."""
        with open(self.a.mount + "/.ftx/ctl", "w", encoding="ascii") as ctl:
            ctl.write(f"limit {CODE} up={rate}\n")

    def daemons(self):
        return [self.a.process.pid, self.b.process.pid]

    def begin_copy(self, source, name):
        self.under_way = self.place.start(*copy_words(source, self.sent(name), False))

    def cut(self):
        self.b.kill()

    def go_on(self, source, name):
        self.b.start()

    def stop(self):
        end_process(self.under_way)
        self.a.stop()
        self.b.stop()
        super().stop()

    @classmethod
    def variant(cls, name):
        """`ftxfs:OPTION,...` has these after -o; `ftxfs@FILE` is another program; both may stand together."""
        program, _, options = name.partition(":")
        binary = program.partition("@")[2]
        return type("Ftxfs", (cls,), {"name": name, "options": tuple(options.split(",")) if options else (),
                                      "binary": os.path.realpath(binary) if binary else None})
