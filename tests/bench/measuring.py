# SPDX-License-Identifier: MIT
"""What a measurement costs: seconds, CPU of all processes, memory of each, bytes on the wire and on the disk.

All processes of a run live in one pid namespace (sandbox.py), so /proc has these and no others: CPU seconds are what lives has used,
itself and through children that it has waited for. The driver and the network's emulator are left out.
"""
import contextlib
import mmap
import os
import re
import threading
import time

import sandbox

SAMPLE_S = 0.1
TICK = os.sysconf("SC_CLK_TCK")
OWN_NAMES = ("python3", "emulator", "run")  # the driver, and what is not yet the program that it starts


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def stat_fields(pid):
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()


def cpu_seconds(helpers=()):
    """Of all processes that live or lived in this sandbox, but the driver and the helpers."""
    total = 0
    for pid in processes():
        with contextlib.suppress(OSError):
            fields = stat_fields(pid)
            total += sum(map(int, fields[13:15]))
            if pid not in (os.getpid(), *helpers):
                total += sum(map(int, fields[11:13]))
    return total / TICK


def context_switches(pid):
    """Of all threads of a process so far."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/status", encoding="ascii", errors="replace") as file:
            total += sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", file.read()))
    return total


def reset_peaks():
    for pid in processes():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")


def used_bytes(path):
    seen = os.statvfs(path)
    return (seen.f_blocks - seen.f_bfree) * seen.f_frsize


def touch_memory(size):
    """Uses free memory once. A host takes free memory back from its virtual machines, and its first use afterwards costs
    several times a copy: what is measured next would pay for that by the chance of the pages it gets."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_POPULATE", 0x8000)
    size = min(size, sandbox.memory_available() // 2)
    if size > 0:
        mmap.mmap(-1, size, flags=flags).close()


class Meter:
    """One measurement: begin(), the work, mark() when it is done, end(). A later mark replaces an earlier one."""

    def __init__(self, place):
        self.place = place
        self.peaks = {}  # pid: (name, MiB)
        self.figures = {}
        self.begun = self.before = self.disk_peak = None
        self.over = threading.Event()
        self.sampler = threading.Thread(target=self.sample_until_over, daemon=True)

    def begin(self):
        self.begin_again()
        self.sampler.start()

    def begin_again(self):
        """What came before is not counted."""
        reset_peaks()
        self.before = {"wire": self.place.network.wire_bytes(), "disk": used_bytes(self.place.base),
                       "cpu": cpu_seconds(self.place.network.helpers())}
        self.disk_peak = self.before["disk"]
        self.begun = time.monotonic()

    def mark(self):
        """The work is done as of now."""
        now = time.monotonic()
        cpu = cpu_seconds(self.place.network.helpers()) - self.before["cpu"]
        self.sample()
        self.figures.update(wall=now - self.begun, cpu=cpu, wire=self.place.network.wire_bytes() - self.before["wire"])

    def end(self):
        """{figure: value}; `rss` is {name: [MiB of each process of that name]}."""
        self.close()
        rss = {}
        for name, size in self.peaks.values():
            rss.setdefault(name, []).append(round(size, 1))
        self.figures.update(rss={name: sorted(sizes, reverse=True) for name, sizes in rss.items()},
                            disk=self.disk_peak - self.before["disk"])
        return self.figures

    def close(self):
        """Also after a measurement that failed."""
        self.over.set()
        if self.sampler.ident is not None:
            self.sampler.join()

    def elapsed(self):
        return time.monotonic() - self.begun

    def sample_until_over(self):
        while not self.over.wait(SAMPLE_S):
            self.sample()

    def sample(self):
        """Peaks of the processes that run now; what grew and ended since the last sample was missed."""
        self.disk_peak = max(self.disk_peak, used_bytes(self.place.base))
        for pid in processes():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
                text = file.read()
                name, peak = re.search(r"Name:\s+(.*)", text), re.search(r"VmHWM:\s+(\d+) kB", text)
                if peak and name.group(1) not in OWN_NAMES:
                    self.peaks[pid] = (name.group(1), int(peak.group(1)) / 1024)
