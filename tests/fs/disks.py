# SPDX-License-Identifier: MIT
"""Disks of their own for stores: small ones that run full, and ones whose power can be cut. Root only."""
import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import struct

import pytest

from harness import is_mounted, run, unmount_anyway

EXT4_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
NOLOGFLUSH = 2              # what was not synced is lost


def need_root():
    if os.geteuid() != 0:
        pytest.skip("a disk of its own can only be mounted by root")


class Tmpfs:
    """A disk of `mib` MiB at `path`; it can grow."""

    def __init__(self, path, mib):
        need_root()
        os.makedirs(path, exist_ok=True)
        self.path = path
        run("mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=700", "ftxfs-test", path)

    def grow(self, mib):
        run("mount", "-o", f"remount,size={mib}m", self.path)

    def free(self):
        info = os.statvfs(self.path)
        return info.f_bavail * info.f_frsize

    def remove(self):
        unmount_anyway(self.path)


class Ext4:
    """An ext4 in an image file, mounted at `path` through a loop device."""

    def __init__(self, path, image, mib):
        need_root()
        if not shutil.which("mkfs.ext4"):
            pytest.skip("there is no mkfs.ext4 here")
        os.makedirs(path, exist_ok=True)
        self.path, self.image = path, image
        with open(image, "wb") as file:
            file.truncate(mib << 20)
        run("mkfs.ext4", "-q", "-F", image)
        self._mount()

    def _mount(self):
        try:
            run("mount", "-o", "loop", self.image, self.path)
        except AssertionError as error:
            pytest.skip(f"no loop device here: {error}")

    def cut_power(self):
        """From now on nothing reaches the disk, and what did not so far is lost."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, EXT4_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        except OSError as error:
            if error.errno not in (errno.ENOTTY, errno.EOPNOTSUPP):
                raise
            pytest.skip("this kernel's ext4 cannot be shut down")
        finally:
            os.close(handle)

    def restore_power(self):
        """As the next boot finds it; nobody may use it any more."""
        run("umount", self.path)
        self._mount()

    def remove(self):
        for _ in range(3):
            if is_mounted(self.path):
                ctypes.CDLL(None).umount2(os.fsencode(self.path), 0)
        unmount_anyway(self.path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.image)


def another_boot(store):
    """The store's daemon will find that the machine was started anew."""
    lock = os.path.join(store, ".ftx/lock")
    with open(lock, "r+b") as file:
        pid = file.read().split(b"\n")[0]
        file.seek(0)
        file.truncate()
        file.write(pid + b"\n00000000-0000-0000-0000-000000000000")
