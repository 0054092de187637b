# SPDX-License-Identifier: MIT
"""What all peers share: the place where they are measured, running commands there, and the interface that workloads use."""
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time


class Failed(Exception):
    """A program did not do what it should."""


class TooSlow(Exception):
    """The time for one measurement is over."""


class Cannot(Exception):
    """This peer has no way to do that."""


class Place:
    """One network and one scratch folder; the commands that run there end at the deadline (time.monotonic, or None)."""

    def __init__(self, base, network, tools, ftxfs):
        self.base, self.network, self.tools, self.ftxfs = base, network, tools, ftxfs
        self.deadline = None

    def words(self, side):
        return {None: (), "a": self.network.words_a, "b": self.network.words_b}[side]

    def left(self):
        """Seconds until the deadline."""
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TooSlow
        return left

    def start(self, *words, side=None, log=None, **more):
        """A process that goes on; it ends with the driver. Its output goes to `log`."""
        output = open(log, "ab") if log else subprocess.DEVNULL
        try:
            return subprocess.Popen([*self.words(side), "setpriv", "--pdeathsig", "KILL", "--", *words], stdin=subprocess.DEVNULL,
                                    stdout=output, stderr=output, start_new_session=True, **more)
        finally:
            if log:
                output.close()

    def run(self, *words, side=None, statuses=(0,), **more):
        """A command that must succeed before the deadline; its output."""
        with tempfile.TemporaryFile(dir=self.base) as output:
            process = subprocess.Popen([*self.words(side), *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                       start_new_session=True, **more)
            try:
                self.wait(process)
            finally:
                if process.returncode is None:
                    kill_group(process)
            output.seek(0)
            text = output.read().decode(errors="replace")
        if process.returncode not in statuses:
            raise Failed(f"{' '.join(words)}: exit {process.returncode}\n{text[-2000:]}")
        return text

    def wait(self, process):
        """Its exit status, without delay (Popen.wait with a limit looks every 50 ms)."""
        left = self.left()
        if process.returncode is None:
            with os.fdopen(os.pidfd_open(process.pid), "rb", buffering=0) as fd:
                ended = select.poll()
                ended.register(fd, select.POLLIN)
                if not ended.poll(None if left is None else left * 1000):
                    raise TooSlow
        return process.wait()

    def wait_until(self, condition, what, timeout=30.0):
        """condition()'s first true value; the deadline counts too."""
        end, pause = time.monotonic() + timeout, 0.002
        while True:
            seen = condition()
            if seen:
                return seen
            if time.monotonic() > end:
                raise Failed(f"not within {timeout:.0f} s: {what}")
            self.left()
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)

    def wait_mounted(self, path):
        """Until the kernel knows of the mount and it answers; this process does not touch it before, for that could hang."""
        def is_known():
            with open("/proc/self/mounts", encoding="utf-8", errors="replace") as table:
                return any(line.split()[1] == path for line in table)
        self.wait_until(is_known, f"a mount on {path}")
        self.run("timeout", "30", "stat", path)

    def listens(self, host, port, side):
        """A socket listens there; looked up without connecting to it."""
        shown = subprocess.run([*self.words(side), "ss", "-tlnH", f"src {host}:{port} or src 0.0.0.0:{port} or src [::]:{port}"],
                               stdout=subprocess.PIPE, check=True, text=True).stdout
        return bool(shown.strip())


def kill_group(process):
    """A process that this driver started, and what that started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def free_port():
    """Below the range that outgoing connections take theirs from; the sandbox has the network for itself."""
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def end_process(process, timeout=10):
    """SIGTERM, and SIGKILL for all of its group when that does not help in time."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        kill_group(process)


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)


def copy_words(source, target, archive):
    """cp of a file, or of what is in a folder into another, whether it is there or not."""
    flag = "-a" if archive else "-r"
    return ["cp", flag, source + "/.", target] if os.path.isdir(source) else ["cp", flag, source, target]


class Peer:
    """A way to get files from side a to side b. One measurement: start, copy (once or more), stop.

    name        as it stands in tables and after --peer
    packages    Debian's, without which it cannot be measured
    programs    that must be found
    floor       it is no peer, but what none can be faster than
    network     what it does depends on the network (else it is measured on loopback alone)
    """
    name = ""
    packages = programs = ()
    floor = False
    network = True
    skips = ()          # names of workloads that mean nothing to it
    only = None         # the names of those that do, if few

    def __init__(self, place):
        self.place = place
        self.folder = os.path.join(place.base, "peer")
        os.mkdir(self.folder)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def target(self, name):
        """Where at b a copy is found."""
        return self.path("b", name)

    def start(self):
        os.mkdir(self.path("b"))

    def copy(self, source, name, meter=None, archive=False):
        """Copies a file, or what is in a folder, to `name` at b; returns when it is complete there. A meter is marked then, if
        that is before it returns."""
        raise NotImplementedError

    def stop(self):
        remove(self.folder)

    # -- parts of a transfer -----------------------------------------------------------------------

    def begin_copy(self, source, name):
        """The same, without waiting: the process that does it."""
        raise Cannot

    def cut(self):
        """kill -9 of what receives at b; the copy under way may fail."""
        raise Cannot

    def go_on(self, source, name):
        """After cut(): whatever a user would do so that the copy gets finished; returns when it has been started."""
        raise Cannot

    def wait_done(self, name):
        raise Cannot

    def bytes_after_cut(self, name):
        """What b has kept; 0 if that can only be asked when it runs again."""
        return self.bytes_there(name)

    def begin_stream(self, source, name, meter):
        """Begins to write a file (a meter that is begun again then starts from there); a function that brings it to its end."""
        self.begin_copy(source, name)
        return lambda: self.wait_done(name)

    def put_for_reading(self, source, name):
        """A copy at b that nobody has read."""
        self.copy(source, name)

    def readable(self, name):
        """Where that is read."""
        return self.target(name)

    def bytes_there(self, name):
        """How much of a file b has: a program may have written its end already and not its middle."""
        try:
            seen = os.stat(self.target(name))
            return min(seen.st_size, seen.st_blocks * 512)
        except FileNotFoundError:
            return 0

    @classmethod
    def is_here(cls):
        return all(shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin") for program in cls.programs)
