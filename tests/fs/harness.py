# SPDX-License-Identifier: MIT
"""Real mounts for tests: starts ftxfs, waits for facts, ends it in every way, leaves nothing behind."""
import contextlib
import errno
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time

import proxy as proxy_module
import trees

BIN = os.environ.get("FTX_BIN") or os.path.join(os.path.dirname(__file__), "../../build/ftxfs")
SLOW = float(os.environ.get("FTX_TEST_SLOW", "1"))    # deadlines times this
SCALE = float(os.environ.get("FTX_TEST_SCALE", "1"))  # sizes and counts times this
SANITIZED = SCALE < 1
CODE = "7-guitar-harvest"
MIB = 1 << 20
os.environ["XDG_CONFIG_HOME"] = os.devnull  # of whoever runs the tests: no file of his decides anything
REPORTS = (b"AddressSanitizer", b"LeakSanitizer", b"ThreadSanitizer", b"runtime error:", b"Assertion `")

live_nodes = []        # every Node that may have a process or a mount
watchdog_fired = None  # set by conftest when a test's time is up


class Late(AssertionError):
    """A condition did not come true in time."""


def wait_until(condition, what, timeout=20.0):
    """Returns condition()'s first true value; the only place where tests wait by the clock. Absent files count as false."""
    deadline = time.monotonic() + timeout * SLOW
    pause, seen = 0.002, None
    while True:
        try:
            seen = condition()
            if seen:
                return seen
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODATA):
                raise
            seen = error
        if watchdog_fired:
            raise Late(f"the test's time ran out while waiting for {what}")
        if time.monotonic() > deadline:
            raise Late(f"not within {timeout * SLOW:.0f} s: {what} (last seen: {seen!r})")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def scaled(size):
    return max(1, int(size * SCALE))


def run(*command, timeout=120.0, **kwargs):
    """A command that must succeed."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=timeout * SLOW, check=False, **kwargs)
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout.decode(errors='replace')[-4000:]}"
    return done.stdout


def free_port():
    """A port nobody listens on, below the range that outgoing connections take theirs from (else a dial could meet itself)."""
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def mounts():
    """Mount points of this namespace (bytes), without touching them."""
    points = []
    with open("/proc/self/mountinfo", "rb") as table:
        for line in table:
            point = line.split()[4]
            for code, byte in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
                point = point.replace(code, byte)
            points.append(point)
    return points


def is_mounted(path):
    return os.fsencode(path) in mounts()


def unmount_anyway(path):
    """Whatever state the mount is in, it is gone afterwards."""
    for _ in range(5):
        if not is_mounted(path):
            return
        tool = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-u", "-z"]
        subprocess.run([*tool, path], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def daemons_of(store):
    """Process ids of every ftxfs that runs on the store, however it was started."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
                if words and os.path.basename(words[0]) == b"ftxfs" and os.fsencode(store) in words:
                    found.append(int(name))
    return found


def process_state(pid):
    """The letter of /proc/PID/stat: R, S, D, Z ...; None once it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0].decode()
    except (FileNotFoundError, ProcessLookupError):
        return None


class Node:
    """One ftxfs: a store, a mount point, a port, and the process while it runs. `within`: the words that start it elsewhere."""

    def __init__(self, base, name, listen=True, peers=(), options=None, debug=True, within=(), listen_at="127.0.0.1"):
        self.name, self.base = name, os.path.join(base, name)
        self.store, self.mount = os.path.join(self.base, "store"), os.path.join(self.base, "mnt")
        self.log = os.path.join(self.base, "log")
        self.port = free_port() if listen else None
        self.peers, self.options, self.debug = list(peers), dict(options or {}), debug
        self.within, self.listen_at = within, listen_at
        self.process = None
        self.killed = False
        os.makedirs(self.mount)
        live_nodes.append(self)

    # -- life ----------------------------------------------------------------------------------

    def arguments(self):
        words = ["--store", self.store, "--no-lan", "--no-portmap", "--listen", f"{self.listen_at}:{self.port}" if self.port else "none"]
        for port in self.peers:
            words += ["--peer", f"127.0.0.1:{port}"]
        if self.options:
            words += ["-o", ",".join(name if value is None else f"{name}={value}" for name, value in self.options.items())]
        return [*words, self.mount]

    def start(self, wait=True):
        """Starts in the foreground; with `wait`, returns once the mount is usable."""
        assert self.process is None, f"{self.name} runs already"
        flags = ["-f", "-d"] if self.debug else ["-f"]
        with open(self.log, "ab") as log:
            # The daemon dies with the test runner, even when that is killed.
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *self.within, BIN, *flags, *self.arguments()],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.killed = False
        if wait:
            self.wait_usable()
        return self

    def wait_usable(self, timeout=15):
        def usable():
            assert self.process is None or self.process.poll() is None, \
                f"{self.name} ended at start with {self.process.returncode}:\n{self.log_tail(2000)}"
            with contextlib.suppress(OSError):  # ENOTCONN: the mount of a killed daemon is still there
                return {"outbox", "inbox"} <= set(os.listdir(self.mount))
        wait_until(usable, f"the mount of {self.name}", timeout)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def _ended(self, timeout):
        try:
            status = self.process.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            raise Late(f"{self.name} still runs after {timeout * SLOW:.0f} s") from None
        self.process = None
        return status

    def stop(self, timeout=5):
        """As a user does: fusermount3 -u; the daemon must end cleanly in time."""
        run("fusermount3", "-u", self.mount)
        status = self._ended(timeout)
        assert status == 0, f"{self.name}: exit {status} after fusermount3 -u\n{self.log_tail()}"

    def terminate(self, number=signal.SIGTERM, timeout=5):
        """By a signal; must end cleanly in time and leave no mount."""
        self.process.send_signal(number)
        status = self._ended(timeout)
        assert status == 0, f"{self.name}: exit {status} after signal {number}\n{self.log_tail()}"
        assert not is_mounted(self.mount)

    def kill9(self):
        self.killed = True
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            try:
                self.process.wait(30 * SLOW)
            except subprocess.TimeoutExpired:  # it waits for an answer of its own mount
                subprocess.run(["umount", "-f", self.mount], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
                raise Late(f"{self.name} cannot be killed") from None
            self.process = None

    def kill9_now(self):
        """Only sends the signal (for other threads); kill9() collects it."""
        self.killed = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)

    def dump_stacks(self):
        """Where a daemon that hangs stands, into its log, if gdb is here."""
        if not (self.process and shutil.which("gdb")):
            return
        with contextlib.suppress(OSError, subprocess.TimeoutExpired), open(self.log, "ab") as log:
            done = subprocess.run(["gdb", "-p", str(self.process.pid), "-batch", "-ex", "thread apply all bt 12"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20,
                                  check=False)
            log.write(b"\n-- where its threads stand --\n" + done.stdout[-12000:])

    def destroy(self):
        """Ends everything of this node; what went wrong with it is raised after the clean-up."""
        wrong = []
        if self.process:
            was_running = self.running()
            if was_running:
                self.process.terminate()
            try:
                status = self._ended(10)
                if status != 0 and not self.killed:
                    wrong.append(f"{self.name} ended with {status}" + ("" if was_running else " by itself"))
            except Late as error:
                wrong.append(str(error))
                self.dump_stacks()
                self.kill9()
        for pid in daemons_of(self.store):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        unmount_anyway(self.mount)
        if self in live_nodes:
            live_nodes.remove(self)
        log = self.log_tail(1 << 20).encode()
        wrong += [f"{self.name}'s log has {word.decode()}" for word in REPORTS if word in log]
        tail = self.log_tail(16000 if wrong else 6000)
        if not is_mounted(self.mount):
            shutil.rmtree(self.base, ignore_errors=True)
        assert not wrong, "; ".join(wrong) + "\n" + tail

    def log_tail(self, size=6000):
        try:
            with open(self.log, "rb") as file:
                file.seek(max(0, os.path.getsize(self.log) - size))
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    # -- the mount -----------------------------------------------------------------------------

    def outbox(self, *parts):
        return os.path.join(self.mount, "outbox", *parts)

    def inbox(self, *parts):
        return os.path.join(self.mount, "inbox", *parts)

    def status(self):
        with open(os.path.join(self.mount, ".ftx/status"), encoding="utf-8") as file:
            return json.load(file)

    def wait_link(self, folder, *states, timeout=20):
        return wait_state(folder, *(states or ("connected",)), timeout=timeout)


def xattr(path, name):
    """The text of user.ftx.<name>; None where it is not set."""
    try:
        return os.getxattr(path, "user.ftx." + name).decode("utf-8", "surrogateescape")
    except OSError as error:
        if error.errno == errno.ENODATA:
            return None
        raise


def state(path):
    """user.ftx.state; None for what is not there."""
    try:
        return xattr(path, "state")
    except FileNotFoundError:
        return None


def wait_state(path, *states, timeout=20):
    seen = []

    def reached():
        seen[:] = [state(path)]
        return seen[0] in states
    try:
        wait_until(reached, f"{path!r} to be {' or '.join(states)}", timeout)
    except Late as error:
        raise Late(f"{error}; it is {seen[0]}") from None
    return seen[0]


def progress(path):
    """(bytes, total) of user.ftx.progress."""
    here, total = xattr(path, "progress").split("/")
    return int(here), int(total)


class Pair:
    """Two nodes joined by one link: A made outbox/<code>, B made inbox/<code>; A dials, through a proxy if asked."""

    def __init__(self, base, code=CODE, through_proxy=False, a_options=None, b_options=None, debug=True):
        self.code = code
        self.b = Node(base, "B", options={"links": "all", **(b_options or {})}, debug=debug)
        self.proxy = proxy_module.Proxy(self.b.port) if through_proxy else None
        self.a = Node(base, "A", listen=not through_proxy, options=a_options, debug=debug,
                      peers=[self.proxy.port if through_proxy else self.b.port])
        if not through_proxy:
            self.b.peers = [self.a.port]

    def connect(self):
        self.a.start(wait=False)
        self.b.start()
        self.a.wait_usable()
        self.arm()
        self.wait_connected()
        return self

    def arm(self):
        """A's folder comes last: A dials at once, and B knows the code by then. Who meets nobody rests for a second."""
        os.mkdir(self.b.inbox(self.code))
        os.mkdir(self.a.outbox(self.code))

    def wait_connected(self, timeout=30):
        wait_state(self.sent(), "connected", timeout=timeout)
        wait_state(self.got(), "connected", timeout=timeout)

    def sent(self, *parts):
        return self.a.outbox(self.code, *parts)

    def got(self, *parts):
        return self.b.inbox(self.code, *parts)

    def wait_complete(self, name, timeout=60):
        """The file has arrived as a whole."""
        wait_state(self.got(name), "complete", timeout=timeout)

    def wait_tree(self, source, name, times=True, timeout=60):
        """The tree `name` in B's inbox becomes equal to `source`, every file complete; contents are compared once, at the end."""
        top = os.fsencode(self.got(name))
        pending = [os.path.join(top, path) for path in trees.files(source)]

        def all_complete():
            while pending and state(pending[-1]) == "complete":
                pending.pop()
            return not pending
        wait_until(all_complete, f"all of {name} to be complete at B", timeout)
        seen = []

        def equal():
            seen[:] = trees.differences(source, top, times, contents=False)
            return not seen
        with contextlib.suppress(Late):
            wait_until(equal, "attributes", 20)
        assert not seen, "trees differ:\n" + "\n".join(seen)
        trees.compare_trees(source, top, times)

    def send_file(self, name, data, timeout=60):
        """Proof that the link works: a new file arrives, complete and equal."""
        with open(self.sent(name), "wb") as out:
            out.write(data)
        self.wait_complete(name, timeout)
        with open(self.got(name), "rb") as file:
            assert file.read() == data

    def destroy(self):
        try:
            if self.proxy:
                self.proxy.close()
        finally:
            try:
                self.a.destroy()
            finally:
                self.b.destroy()
