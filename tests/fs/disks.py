# SPDX-License-Identifier: MIT
"""Disks of their own for stores: small ones that run full, and ones whose power can be cut (root only); and disks that fail."""
import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import struct
import subprocess

import pytest

import harness
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

    make = ("mkfs.ext4", "-q", "-F")

    def __init__(self, path, image, mib):
        need_root()
        if not shutil.which(self.make[0]):
            pytest.skip(f"there is no {self.make[0]} here")
        os.makedirs(path, exist_ok=True)
        self.path, self.image = path, image
        with open(image, "wb") as file:
            file.truncate(mib << 20)
        run(*self.make, image)
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
        """As the next boot finds it; nobody may use it any more. A copy: the mount may live on in the namespace of another test."""
        run("umount", self.path)
        run("cp", "--sparse=always", self.image, self.image + ".next")
        os.rename(self.image + ".next", self.image)
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


FAULTS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* $FTX_FAULTS/NAME holds an error and what the path of a file must hold to be met by it: the error, or 0. */
static int meant(const char *name, const char *path)
{
    char file[4096], where[256] = "";
    int error = 0;
    snprintf(file, sizeof file, "%s/%s", getenv("FTX_FAULTS"), name);
    FILE *fault = fopen(file, "re");
    if (!fault)
        return 0;
    if (fscanf(fault, "%d %255s", &error, where) < 1)
        abort();
    fclose(fault);
    return strstr(path, where) ? error : 0;
}

static const char *path_of(int fd, char target[4096])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, target, 4095);
    target[n > 0 ? n : 0] = '\0';
    return target;
}

/* Calls fail as long as the file with their name is there; a sync-once takes the file away. */
static int fails(const char *call, int fd)
{
    char target[4096], once[4096];
    int error = meant(call, path_of(fd, target));
    if (!error) {
        snprintf(once, sizeof once, "%s/%s-once", getenv("FTX_FAULTS"), call);
        error = meant(strrchr(once, '/') + 1, target);
        if (error && unlink(once) < 0)
            error = 0;
    }
    errno = error;
    return error;
}

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t n) { return fails("write", fd) ? -1 : REAL(write)(fd, bytes, n); }
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) { return fails("write", fd) ? -1 : REAL(pwrite)(fd, bytes, n, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) { return fails("write", fd) ? -1 : REAL(pwrite64)(fd, bytes, n, at); }
ssize_t pread(int fd, void *bytes, size_t n, off_t at) { return fails("read", fd) ? -1 : REAL(pread)(fd, bytes, n, at); }
ssize_t pread64(int fd, void *bytes, size_t n, off64_t at) { return fails("read", fd) ? -1 : REAL(pread64)(fd, bytes, n, at); }
int fsync(int fd) { return fails("sync", fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails("sync", fd) ? -1 : REAL(fdatasync)(fd); }

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    char target[4096];
    while (meant("answer", path_of(fd, target)))
        usleep(10000);
    return REAL(writev)(fd, parts, n);
}

int syncfs(int fd) { return fails("sync", fd) ? -1 : REAL(syncfs)(fd); }
"""


class Faulty:
    """A disk that answers an error for some calls of a node (write, read, sync) on files whose path holds some text; `answer` on
    /dev/fuse does not fail but waits, for ever."""

    def __init__(self, node, scratch):
        if harness.SANITIZED:
            pytest.skip("a sanitizer must be the first library")
        if not shutil.which("cc"):
            pytest.skip("there is no C compiler here")
        self.node, self.folder = node, os.path.join(scratch, f"faults-{node.name}")
        self.shim = os.path.join(self.folder, "shim.so")
        os.mkdir(self.folder)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", self.shim, "-x", "c", "-"], input=FAULTS.encode(), check=True)

    def start(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LD_PRELOAD", self.shim)
            patch.setenv("FTX_FAULTS", self.folder)
            return self.node.start()

    def begin(self, call, where, error=errno.EIO):
        """From now on; with `sync-once` for one call."""
        draft = os.path.join(self.folder, "draft")
        with open(draft, "w", encoding="ascii") as file:
            file.write(f"{error} {where}")
        os.rename(draft, os.path.join(self.folder, call))

    def end(self, call):
        os.unlink(os.path.join(self.folder, call))
