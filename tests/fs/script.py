# SPDX-License-Identifier: MIT
"""A random script of operations in a folder of an outbox, beside a model of what the folder must show. The same seed does the same."""
import ctypes
import errno
import fnmatch
import mmap
import os
import random
import stat
import time

from harness import state

LOCAL_NAMES = ["Thumbs.db", ".DS_Store", ".Trash-7", ".nfs01"]
NAMES = [f"n{number}" for number in range(30)] + ["with space", "-rf", "é", "*"]
THINGS_MAX, DEPTH_MAX, HANDLES_MAX, SIZE_MAX = 30, 5, 5, 1_200_000
EDGE = 1 << 20  # where one extent ends and the next begins
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16

# How a file stands: what a kill makes of it.
OPEN = "open"              # changed since the last close: it becomes interrupted
EITHER = "either"          # closed, and open through another descriptor: for a moment it counts as closed
CLOSED = "closed"
INTERRUPTED = "interrupted"
ON_ITS_WAY = {"queued", "sending", "delivered"}
SEEN_AS = {OPEN: {"interrupted"}, EITHER: ON_ITS_WAY | {"interrupted"}, CLOSED: ON_ITS_WAY, INTERRUPTED: {"interrupted"}}

MS_SYNC = 4

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]


def fallocate(handle, mode, offset, length):
    if libc.fallocate(handle, mode, ctypes.c_long(offset), ctypes.c_long(length)) < 0:
        raise OSError(ctypes.get_errno(), "fallocate")


def write_mapped(handle, size, offset, data):
    """Through a mapping that is gone afterwards. (That of mmap.mmap has a descriptor of its own, and closing it is a close.)"""
    at = libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, handle, 0)
    if at == ctypes.c_void_p(-1).value:
        if ctypes.get_errno() != errno.ENODEV:  # who had it open before is not quite gone
            raise OSError(ctypes.get_errno(), "mmap")
        os.pwrite(handle, data, offset)
        return
    ctypes.memmove(at + offset, data, len(data))
    if libc.msync(ctypes.c_void_p(at), size, MS_SYNC) < 0:
        raise OSError(ctypes.get_errno(), "msync")
    libc.munmap(ctypes.c_void_p(at), size)


class Thing:
    """A file, folder or symlink."""

    def __init__(self, kind, mode=None, target=None):
        self.kind, self.mode, self.target = kind, mode, target
        self.name, self.parent = None, None
        self.mtime = None  # (earliest, latest), ns
        self.xattrs = {}
        self.names = {}    # of a folder
        self.told = True   # the peer knows the folder's time: it is not told of names that stay here
        self.data = bytearray()
        self.stands = CLOSED
        self.closed_at = -2  # the step

    def path(self):
        return self.name if self.parent is None else os.path.join(self.parent.path(), self.name)

    def above(self):
        """Itself and the folders that it is in, but for the script's own."""
        thing = self
        while thing.parent:
            yield thing
            thing = thing.parent

    def stays(self):
        """It is never offered to the peer."""
        return any(fnmatch.fnmatch(thing.name, pattern) for thing in self.above()
                   for pattern in ("Thumbs.db", ".DS_Store", ".Trash-*", ".nfs*"))

    def below(self):
        """All that a folder holds, parents first."""
        for thing in self.names.values():
            yield thing
            yield from thing.below()

    def height(self):
        return 1 + max((thing.height() for thing in self.names.values()), default=0)

    def put(self, offset, data):
        self.resize(max(len(self.data), offset))
        self.data[offset:offset + len(data)] = data

    def resize(self, size):
        del self.data[size:]
        self.data.extend(bytes(size - len(self.data)))


class Handle:
    def __init__(self, fd, thing, flags):
        self.fd, self.thing = fd, thing
        self.append = bool(flags & os.O_APPEND)
        self.writes = flags & os.O_ACCMODE != os.O_RDONLY


class Script:
    """Works in the folder `top`, which it makes."""

    def __init__(self, top, seed):
        self.random, self.seed = random.Random(seed), seed
        self.handles, self.done, self.lines = [], 0, []
        self.root = Thing("folder", 0o700)
        self.root.name = top
        self._call(f"mkdir {top}", os.mkdir, top, 0o700)
        self.root.mtime = self.window
        weights = {self.make_folder: 3, self.create: 7, self.open: 5, self.write: 18, self.close: 9, self.fsync: 1, self.truncate: 3,
                   self.truncate_open: 4, self.allocate: 4, self.map: 3, self.rename: 8, self.unlink: 4, self.rmdir: 2, self.chmod: 3,
                   self.utime: 3, self.symlink: 3, self.set_xattr: 4, self.remove_xattr: 2}
        self.table = [operation for operation, weight in weights.items() for _ in range(weight)]

    def step(self):
        """One operation, answered."""
        table = self.table if len(self.handles) < HANDLES_MAX else [self.close]
        while not self.random.choice(table)():
            pass
        self.done += 1

    def story(self):
        return f"FTX_TEST_SEED={self.seed}, operation {self.done}, the last ones:\n  " + "\n  ".join(self.lines[-25:])

    # -- choosing ------------------------------------------------------------------------------

    def _call(self, text, function, *args, **kwargs):
        """A system call, whose time goes to self.window."""
        self.lines.append(f"{self.done}: {text}".replace(self.root.name + "/", ""))
        begun = time.time_ns()
        answer = function(*args, **kwargs)
        self.window = (begun, time.time_ns())
        return answer

    def _any(self, *kinds, where=lambda thing: True):
        found = [thing for thing in self.root.below() if thing.kind in kinds and where(thing)]
        return self.random.choice(found) if found else None

    def _folder(self):
        """One that may take another level."""
        return self.random.choice([self.root] + [thing for thing in self.root.below()
                                                 if thing.kind == "folder" and sum(1 for _ in thing.above()) < DEPTH_MAX])

    def _place(self):
        """(folder, free name), or None if there are things enough."""
        if sum(1 for _ in self.root.below()) >= THINGS_MAX:
            return None
        folder = self._folder()
        return folder, self._free_name(folder)

    def _free_name(self, folder):
        pool = LOCAL_NAMES if self.random.random() < 0.07 else NAMES
        names = [name for name in pool if name not in folder.names]
        return self.random.choice(names or [name for name in NAMES if name not in folder.names])

    def _handle(self, where=lambda handle: handle.writes):
        found = [handle for handle in self.handles if where(handle)]
        return self.random.choice(found) if found else None

    def _length(self):
        return self.random.randrange(1, self.random.choice([2, 100, 5000, 5000, 70_000]))

    def _offset(self, size):
        way = self.random.randrange(20)
        if way == 0:
            return EDGE - self.random.randrange(3000)
        if way < 7:
            return size
        return self.random.randrange(size + 1) if way < 17 else min(size + self._length(), SIZE_MAX)

    # -- what operations have in common --------------------------------------------------------

    def _enter(self, thing, folder, name):
        thing.name, thing.parent = name, folder
        folder.names[name] = thing
        folder.mtime = self.window
        folder.told = not thing.stays()

    def _leave(self, thing):
        """Out of the tree; who has it open goes on with it."""
        folder, stayed = thing.parent, thing.stays()
        del folder.names[thing.name]
        folder.mtime, folder.told = self.window, not stayed
        thing.parent = None

    def _changed(self, thing):
        thing.mtime, thing.stands = self.window, OPEN

    def _writers(self, thing):
        return any(handle.thing is thing and handle.writes for handle in self.handles)

    # -- the tree ------------------------------------------------------------------------------

    def _make(self, thing, text, function, *args):
        place = self._place()
        if not place:
            return False
        path = os.path.join(place[0].path(), place[1])
        fd = self._call(f"{text} {path}", function, *[path if arg is None else arg for arg in args])
        thing.mtime = self.window
        self._enter(thing, *place)
        return fd if thing.kind == "file" else True

    def make_folder(self):
        return self._make(Thing("folder", 0o700), "mkdir", os.mkdir, None, 0o700)

    def symlink(self):
        target = "../" * self.random.randrange(3) + "t" * self._length()
        target = target[:4000]
        return self._make(Thing("symlink", target=target), "symlink", os.symlink, target, None)

    def create(self):
        flags = os.O_CREAT | os.O_EXCL | self.random.choice([os.O_WRONLY, os.O_WRONLY, os.O_RDWR])
        thing = Thing("file", 0o600)
        fd = self._make(thing, "create", os.open, None, flags, 0o600)
        if fd is False:
            return False
        thing.stands = OPEN
        self.handles.append(Handle(fd, thing, flags))
        return True

    def unlink(self):
        thing = self._any("file", "symlink")
        if not thing:
            return False
        self._call(f"unlink {thing.path()}", os.unlink, thing.path())
        self._leave(thing)
        return True

    def rmdir(self):
        thing = self._any("folder", where=lambda folder: not folder.names)
        if not thing:
            return False
        self._call(f"rmdir {thing.path()}", os.rmdir, thing.path())
        self._leave(thing)
        return True

    def _goal(self, thing):
        """Where a thing may be renamed to: (folder, name, what is there)."""
        folder = self._folder()
        if thing in folder.above() or sum(1 for _ in folder.above()) + thing.height() > DEPTH_MAX:
            return None
        if self.random.randrange(3) == 0:
            there = [other for other in folder.names.values() if other is not thing
                     and (other.kind == "folder") == (thing.kind == "folder") and not other.names]
            if there:
                other = self.random.choice(there)
                return folder, other.name, other
        return folder, self._free_name(folder), None

    def rename(self):
        thing = self._any("file", "folder", "symlink")
        goal = self._goal(thing) if thing else None
        if not goal:
            return False
        folder, name, there = goal
        path = os.path.join(folder.path(), name)
        self._call(f"rename {thing.path()} {path}{' (replaced)' if there else ''}", os.rename, thing.path(), path)
        stayed, source = thing.stays(), thing.parent
        if there:
            self._leave(there)
        self._leave(thing)
        self._enter(thing, folder, name)
        self._told_of_move(stayed, thing, source, folder)
        return True

    def _told_of_move(self, stayed, thing, source, folder):
        """A thing that begins to travel is made at the peer, one that stays from now on is dropped there."""
        if stayed and not thing.stays():
            for file in [thing, *thing.below()]:
                file.stands = OPEN if self._writers(file) else EITHER
        if source is not folder:
            source.told, folder.told = not stayed, not thing.stays()
        else:
            source.told = not (stayed and thing.stays())

    # -- attributes ----------------------------------------------------------------------------

    def chmod(self):
        thing = self._any("file", "folder")
        if not thing:
            return False
        thing.mode = (0o700 if thing.kind == "folder" else 0o600) | self.random.randrange(0o100)
        self._call(f"chmod {thing.mode:o} {thing.path()}", os.chmod, thing.path(), thing.mode)
        thing.told = True
        return True

    def utime(self):
        thing = self._any("file", "folder", "symlink")
        if not thing:
            return False
        at = self.random.randrange(-10 ** 18, 6 * 10 ** 18)
        self._call(f"utime {at} {thing.path()}", os.utime, thing.path(), ns=(at, at), follow_symlinks=False)
        thing.mtime, thing.told = (at, at), True
        return True

    def set_xattr(self):
        thing = self._any("file", "folder")
        if not thing:
            return False
        name = "user." + self.random.choice("abcde")
        value = self.random.randbytes(self.random.choice([0, 5, 300, 9000]))
        self._call(f"setxattr {name} ({len(value)}) {thing.path()}", os.setxattr, thing.path(), name, value)
        thing.xattrs[name] = value
        return True

    def remove_xattr(self):
        thing = self._any("file", "folder", where=lambda thing: thing.xattrs)
        if not thing:
            return False
        name = self.random.choice(sorted(thing.xattrs))
        self._call(f"removexattr {name} {thing.path()}", os.removexattr, thing.path(), name)
        del thing.xattrs[name]
        return True

    # -- contents ------------------------------------------------------------------------------

    def open(self):
        thing = self._any("file")
        if not thing:
            return False
        flags = self.random.choice([os.O_RDONLY, os.O_WRONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR | os.O_TRUNC, os.O_WRONLY | os.O_TRUNC,
                                    os.O_WRONLY | os.O_APPEND])
        fd = self._call(f"open {flags:x} {thing.path()}", os.open, thing.path(), flags)
        self.handles.append(Handle(fd, thing, flags))
        if flags & os.O_TRUNC:
            thing.resize(0)
            self._changed(thing)
        return True

    def close(self):
        handle = self._handle(lambda handle: True)
        if not handle:
            return False
        thing = handle.thing
        self._call(f"close {thing.path()}", os.close, handle.fd)
        self.handles.remove(handle)
        if handle.writes and thing.stands in (OPEN, EITHER):
            thing.stands = EITHER if self._writers(thing) else CLOSED
        thing.closed_at = self.done
        return True

    def write(self):
        handle = self._handle()
        if not handle:
            return False
        thing, data = handle.thing, self.random.randbytes(self._length())
        offset = len(thing.data) if handle.append else self._offset(len(thing.data))
        text = f"write {len(data)} at {offset} of {len(thing.data)} {thing.path()}"
        if handle.append:
            n = self._call(text, os.write, handle.fd, data)
        else:
            n = self._call(text, os.pwrite, handle.fd, data, offset)
        assert n == len(data)
        thing.put(offset, data)
        self._changed(thing)
        return True

    def _new_size(self, thing):
        size = len(thing.data)
        return self.random.choice([0, size, self.random.randrange(size + 1), self.random.randrange(size + 1), min(size + self._length(), SIZE_MAX)])

    def truncate(self):
        thing = self._any("file")
        if not thing:
            return False
        size = self._new_size(thing)
        self._call(f"truncate {len(thing.data)} to {size} {thing.path()}", os.truncate, thing.path(), size)
        thing.resize(size)
        self._changed(thing)
        if not self._writers(thing):  # the descriptor that was closed just now may count for a moment
            thing.stands = EITHER if thing.closed_at == self.done - 1 else CLOSED
        return True

    def truncate_open(self):
        handle = self._handle()
        if not handle:
            return False
        size = self._new_size(handle.thing)
        self._call(f"ftruncate {len(handle.thing.data)} to {size} {handle.thing.path()}", os.ftruncate, handle.fd, size)
        handle.thing.resize(size)
        self._changed(handle.thing)
        return True

    def allocate(self):
        handle = self._handle()
        if not handle:
            return False
        thing, size = handle.thing, len(handle.thing.data)
        mode = self.random.choice([0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE])
        offset, length = self.random.randrange(size + 100), self._length()
        self._call(f"fallocate {mode} {length} at {offset} of {size} {thing.path()}", fallocate, handle.fd, mode, offset, length)
        cleared = min(size, offset + length) - offset if mode & (PUNCH_HOLE | ZERO_RANGE) else 0
        if cleared > 0:
            thing.put(offset, bytes(cleared))
        if not mode & KEEP_SIZE:
            thing.resize(max(size, offset + length))
        if cleared > 0 or len(thing.data) > size:
            self._changed(thing)
        return True

    def map(self):
        """Opens a file that nobody has open; writes through a mapping of it."""
        thing = self._any("file", where=lambda file: file.data and all(handle.thing is not file for handle in self.handles))
        if not thing:
            return False
        offset = self.random.randrange(len(thing.data))
        data = self.random.randbytes(self._length())[:len(thing.data) - offset]
        fd = os.open(thing.path(), os.O_RDWR)
        self._call(f"map {len(data)} at {offset} of {len(thing.data)} {thing.path()}", write_mapped, fd, len(thing.data), offset, data)
        self.handles.append(Handle(fd, thing, os.O_RDWR))
        thing.put(offset, data)
        self._changed(thing)
        return True

    def fsync(self):
        handle = self._handle(lambda handle: True)
        if not handle:
            return False
        self._call(f"fsync {handle.thing.path()}", os.fsync, handle.fd)
        return True

    # -- after a kill --------------------------------------------------------------------------

    def died(self):
        """The daemon was killed: what is open is of no use any more, and was cut off."""
        for handle in self.handles:
            try:
                if handle.writes:
                    os.pwrite(handle.fd, b"x", 0)
                    assert False, f"{handle.thing.path()} can still be written"
            except OSError as error:
                assert error.errno == errno.ENOTCONN, error
            try:
                os.close(handle.fd)
            except OSError as error:
                assert error.errno == errno.ENOTCONN, error
        self.handles = []
        for thing in self.root.below():
            if thing.stands == OPEN:
                thing.stands = INTERRUPTED

    def differences(self):
        """Lines that say where the folder is not what the model says. What the model could not know, it knows from then on."""
        lines = self._look(self.root)
        for thing in self.root.below():
            lines += self._look(thing)
        return lines

    def _look(self, thing):
        path, lines = thing.path(), []
        try:
            info = os.lstat(path)
        except FileNotFoundError:
            return [f"{path} is not there"]

        def same(what, seen, meant):
            if seen != meant:
                lines.append(f"{path}: {what} is {seen!r:.300}, not {meant!r:.300}")
        kind = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "symlink"}[stat.S_IFMT(info.st_mode)]
        same("kind", kind, thing.kind)
        if lines:
            return lines
        if not thing.mtime[0] <= info.st_mtime_ns <= thing.mtime[1]:
            same("mtime", info.st_mtime_ns, thing.mtime)
        thing.mtime = (info.st_mtime_ns, info.st_mtime_ns)
        if kind == "symlink":
            same("target", os.readlink(path), thing.target)
            return lines
        same("mode", oct(info.st_mode & 0o7777), oct(thing.mode))
        same("attributes", xattrs_of(path), thing.xattrs)
        if kind == "folder":
            same("list", sorted(os.listdir(path)), sorted(thing.names))
            return lines
        same("size", info.st_size, len(thing.data))
        same("content", first_difference(path, thing.data), None)
        seen = state(path)
        if seen not in ({"local"} if thing.stays() else SEEN_AS[thing.stands]):
            same("state", seen, thing.stands)
        thing.stands = INTERRUPTED if seen == "interrupted" else CLOSED
        return lines

    # -- at the peer ---------------------------------------------------------------------------

    def mend(self):
        """Writes what was interrupted again."""
        for thing in self.root.below():
            if thing.stands == INTERRUPTED and not thing.stays():
                with open(thing.path(), "ab", buffering=0) as file:
                    self._call(f"append {thing.path()}", file.write, b"+")
                thing.put(len(thing.data), b"+")
                thing.mtime, thing.stands = self.window, CLOSED

    def differences_there(self, top, contents=True, exact=True):
        """Lines that say where the peer's folder `top` is not the same, but for what stays here or was interrupted. With `exact`,
        nothing is in it that was removed here before it could be delivered."""
        lines = []
        for thing in [self.root, *self.root.below()]:
            there = os.path.join(top, os.path.relpath(thing.path(), self.root.path()))
            if thing.stays() or thing.stands == INTERRUPTED:
                continue
            if not os.path.lexists(there):
                lines.append(f"{there} is not there")
            else:
                lines += [f"{there}: {what}" for what in self._unlike(thing, there, contents)]
                if exact and thing.kind == "folder":
                    lines += [f"{there} has {name}" for name in os.listdir(there)
                              if (name not in thing.names or thing.names[name].stays()) and not was_told(os.path.join(there, name))]
        return lines

    @staticmethod
    def _unlike(thing, there, contents):
        here_info, info = os.lstat(thing.path()), os.lstat(there)
        if stat.S_IFMT(info.st_mode) != stat.S_IFMT(here_info.st_mode):
            return ["another kind"]
        unlike = []
        if (thing.kind != "folder" or thing.told) and info.st_mtime_ns != here_info.st_mtime_ns:
            unlike.append(f"mtime {info.st_mtime_ns}, not {here_info.st_mtime_ns}")
        if thing.kind == "symlink":
            return unlike + ([] if os.readlink(there) == thing.target else ["another target"])
        if info.st_mode != here_info.st_mode:
            unlike.append(f"mode {info.st_mode:o}, not {here_info.st_mode:o}")
        if xattrs_of(there) != thing.xattrs:
            unlike.append(f"attributes {xattrs_of(there)!r:.200}, not {thing.xattrs!r:.200}")
        if thing.kind == "file":
            if state(there) != "complete" or info.st_size != len(thing.data):
                unlike.append(f"{state(there)}, {info.st_size} bytes, not {len(thing.data)}")
            elif contents and first_difference(there, thing.data) is not None:
                unlike.append(f"another byte at {first_difference(there, thing.data)}")
        return unlike


def was_told(path):
    """A symlink is complete at the peer as soon as it is told of, and what is complete there stays, with the folders that it is in."""
    return os.path.islink(path) or os.path.isdir(path) and all(was_told(entry.path) for entry in os.scandir(path)) and os.listdir(path)


def xattrs_of(path):
    return {name: os.getxattr(path, name) for name in os.listxattr(path)}


def first_difference(path, data):
    """Where the file is not these bytes; None: nowhere."""
    with open(path, "rb", buffering=0) as file:
        seen = file.read()
    if seen == data:
        return None
    return next((at for at, (one, other) in enumerate(zip(seen, data)) if one != other), min(len(seen), len(data)))
