# SPDX-License-Identifier: MIT
"""Namespaces of our own for a run: whatever is mounted, listens or runs in them is gone when the run is, however it ended.

    outer           the process that was started; waits, passes signals on
      init          process 1 of a new pid, mount and network namespace: prepares them, collects orphans
        driver      what is run in the sandbox; when it ends, init ends, and the kernel takes everything else down

/run is a tmpfs that only the sandbox sees; the network is a loopback device that nobody else reaches.
"""
import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x20000000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MNT_DETACH = 2, 4, 8, 2
PR_SET_PDEATHSIG = 1
PATIENCE_S = 20  # with who was told to end
ENDS = (signal.SIGTERM, signal.SIGHUP)
libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind, flags=0, options=""):
    check(libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode()), f"mount on {target}")


def memory_available():
    with open("/proc/meminfo", encoding="ascii") as file:
        return int(re.search(r"MemAvailable:\s+(\d+) kB", file.read()).group(1)) << 10


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def kill_others(but=()):
    """In the sandbox: ends all of its processes but the driver, who calls this, and `but`. What waits for a mount of theirs goes on."""
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in (1, os.getpid(), *but):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(name), signal.SIGKILL)


def clear(folder, but=()):
    """In the sandbox: nothing of a measurement stays, whatever its end was like."""
    kill_others(but)
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as table:
        points = [line.split()[1] for line in table]
    for point in reversed(points):
        if point.startswith(folder + "/"):
            libc.umount2(point.encode(), MNT_DETACH)
    shutil.rmtree(folder, ignore_errors=True)


def run(folder, driver):
    """driver(base) in a sandbox, as root; `folder` is where its scratch folder is made, None for memory. Its exit status."""
    check(libc.unshare(CLONE_NEWNS | CLONE_NEWPID), "namespaces (are you root?)")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the driver too
    child = fork(lambda: init(folder, driver))
    return wait_for(child)


def fork(work):
    """A child that ends with work()'s value; it dies with its parent."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        die_with_parent()
        status = work() or 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        status = 130
    except BaseException:  # noqa: B902 it must not return into the parent's code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def wait_for(child):
    """Passes signals on, and kills if that does not help; collects whatever else ends, returns the child's exit status."""
    def end(number, _):
        os.kill(child, number)
        signal.alarm(PATIENCE_S)
    for number in ENDS:
        signal.signal(number, end)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def init(folder, driver):
    check(libc.unshare(CLONE_NEWNET), "a network of our own")
    mount("none", "/", "none", MS_REC | MS_PRIVATE)
    subprocess.run(["umount", "-a", "-l", "-t", "fuse.ftxfs"], check=False)  # a copy in here would keep its daemon alive after an unmount out there
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    if folder:
        base = tempfile.mkdtemp(prefix="ftxfs-bench-", dir=os.path.realpath(folder))
        mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "size=64m,mode=755")
    else:
        mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, f"size={memory_available() * 9 // 10},mode=755")
        base = "/run/bench"
        os.mkdir(base, 0o700)
    try:
        os.mkdir("/run/sshd", 0o755)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        prepare_environment(base)
        return wait_for(fork(lambda: drive(base, driver)))
    finally:
        if folder:
            shutil.rmtree(base, ignore_errors=True)


def prepare_environment(base):
    """No program finds a user's own files or agents."""
    home = os.path.join(base, "home")
    os.mkdir(home, 0o700)
    for name in [name for name in os.environ if name.startswith(("SSH_", "XDG_", "RCLONE_", "STGUI", "STHOME", "WORMHOLE_", "RSYNC_"))]:
        del os.environ[name]
    os.environ.update(HOME=home, LC_ALL="C.UTF-8", TMPDIR=base)


def drive(base, driver):
    def end(number, _):
        sys.exit(128 + number)
    for number in ENDS:
        signal.signal(number, end)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return driver(base)
