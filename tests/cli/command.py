# SPDX-License-Identifier: MIT
"""Runs ftx: in pipes, and in a terminal of its own."""
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios

from harness import SLOW, wait_until

FTX = os.environ.get("FTX_COMMAND") or os.path.join(os.path.dirname(__file__), "../../build/ftx")
CODE = re.compile(r"\b\d{4}-[a-z]{3,6}-[a-z]{3,6}-[a-z]{3,6}\b")


def environment(**changes):
    """No variable of the person who runs the tests decides anything."""
    env = {name: value for name, value in os.environ.items() if name not in ("FTX_MOUNT", "NO_COLOR", "TERM")}
    return {**env, "LC_ALL": "C.UTF-8", "XDG_STATE_HOME": os.devnull, **changes}


def ftx(*arguments, mount=None, stdin=b"", cwd="/", env=None, timeout=20):
    """The finished process; stdout and stderr are bytes."""
    return subprocess.run([FTX, *(["--mount", mount] if mount else []), *arguments], input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, cwd=cwd, env=env or environment(), timeout=timeout * SLOW, check=False)


def good(*arguments, **kwargs):
    """What it wrote, as text; it must succeed and complain of nothing."""
    done = ftx(*arguments, **kwargs)
    assert done.returncode == 0 and not done.stderr, (done.returncode, done.stdout, done.stderr)
    return done.stdout.decode("utf-8", "surrogateescape")


def lines(*arguments, **kwargs):
    """The same with --json: a list of what each line holds."""
    return [json.loads(line) for line in good("--json", *arguments, **kwargs).splitlines()]


def refused(status, *arguments, words=(), stdout=False, **kwargs):
    """It must end with `status`, say one line that has the words, and nothing that a terminal obeys; `stdout`: after it wrote something."""
    done = ftx(*arguments, **kwargs)
    text = done.stderr.decode("utf-8", "surrogateescape")
    assert done.returncode == status, (arguments, done.returncode, text)
    assert bool(done.stdout) == stdout, done.stdout
    assert re.fullmatch(r"ftx: [^\n]+\n", text), text
    assert text[:-1].isprintable(), text
    for word in words:
        assert word in text, text
    return text


def start(*arguments, mount=None, stdin=subprocess.DEVNULL, within=(), env=None):
    return subprocess.Popen([*within, FTX, *(["--mount", mount] if mount else []), *arguments], stdin=stdin,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, cwd="/", env=env or environment())


class Terminal:
    """ftx in a terminal; use it as a context, which ends it."""

    def __init__(self, *arguments, mount=None, rows=40, columns=100, **env):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            with contextlib.suppress(BaseException):
                os.chdir("/")
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
                os.execve(FTX, [FTX, *(["--mount", mount] if mount else []), *arguments], environment(TERM="xterm-256color", **env))
            os._exit(127)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def read(self, timeout=0.0):
        ready, _, _ = select.select([self.fd], [], [], timeout)
        if not ready:
            return False
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:  # the other side is closed
            return False
        self.text += data.decode("utf-8", "replace")
        return bool(data)

    def wait(self, words, timeout=20):
        def seen():
            self.read()
            return words in self.text
        wait_until(seen, f"the terminal to show {words!r}", timeout)

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def end(self, timeout=20):
        """Its exit status, once it has ended by itself."""
        def ended():
            while self.read():
                pass
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return (os.waitstatus_to_exitcode(status),) if pid else None
        status = wait_until(ended, "ftx to end", timeout)[0]
        while self.read():
            pass
        self.pid = None
        return status

    def echoes(self):
        """Does the terminal show what is typed?"""
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)
