# SPDX-License-Identifier: MIT
"""An inotify watcher for tests: the events of some folders and files, as (path, event, name), in the order they came."""
import ctypes
import os
import select
import struct
import threading
import time

from harness import SLOW, wait_until

EVENTS = {0x2: "MODIFY", 0x4: "ATTRIB", 0x8: "CLOSE_WRITE", 0x40: "MOVED_FROM", 0x80: "MOVED_TO", 0x100: "CREATE",
          0x200: "DELETE", 0x400: "DELETE_SELF", 0x2000: "UNMOUNT", 0x4000: "OVERFLOW"}
IGNORED, ISDIR = 0x8000, 0x40000000
HEADER = struct.Struct("iIII")
libc = ctypes.CDLL(None, use_errno=True)


class Watcher:
    """Collects in a thread of its own, so that the kernel's queue never overflows. `also`: called with each event there."""

    def __init__(self, *paths, also=None):
        self.handle = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        assert self.handle >= 0
        self.paths, self.seen, self.also = {}, [], also
        self.ended, self.end = os.pipe()
        for path in paths:
            self.add(path)
        self.thread = threading.Thread(target=self._collect, daemon=True)
        self.thread.start()

    def add(self, path):
        mask = sum(bit for bit in EVENTS if bit < 0x1000)
        number = libc.inotify_add_watch(self.handle, os.fsencode(path), mask)
        if number < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch", path)
        self.paths[number] = path

    def _collect(self):
        while self.ended not in (ready := select.select([self.handle, self.ended], [], [])[0]):
            if self.handle in ready:
                for event in self._read():
                    if self.also:
                        self.also(event)
                    self.seen.append(event)

    def _read(self):
        data = os.read(self.handle, 1 << 16)
        while data:
            number, mask, _, size = HEADER.unpack_from(data)
            name = os.fsdecode(data[HEADER.size:HEADER.size + size].rstrip(b"\0"))
            data = data[HEADER.size + size:]
            if not mask & IGNORED:
                word = " ".join(text for bit, text in EVENTS.items() if mask & bit)
                yield self.paths.get(number), word + ("+" if mask & ISDIR else ""), name

    def of(self, name, *events):
        """What was seen of a name, as a list of events; only those named, if any are."""
        return [event for _, event, seen in list(self.seen) if seen == name and (not events or event in events)]

    def count(self, event):
        return sum(1 for seen in list(self.seen) if seen[1] == event)

    def wait(self, name, *events, timeout=20):
        """Until exactly these events of the name were seen, in this order (of others than these, nothing is said)."""
        wait_until(lambda: self.of(name, *events) == list(events), f"{events} of {name}, not {self.of(name)}", timeout)

    def settled(self, quiet=0.5):
        """What was seen once nothing more came for a while: for events that must not come."""
        n = -1
        while n != len(self.seen):
            n = len(self.seen)
            time.sleep(quiet * SLOW)
        return list(self.seen)

    def close(self):
        os.write(self.end, b".")
        self.thread.join()
        for handle in (self.handle, self.ended, self.end):
            os.close(handle)
