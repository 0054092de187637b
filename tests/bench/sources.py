# SPDX-License-Identifier: MIT
"""What is copied: made once from a seed, kept until the run ends or the folder is dropped."""
import os
import random
import shutil
import subprocess

SEED = 20260301
SMALL_SIZE, FOLDER_FILES = 4096, 1000
BLOCK = 256 << 10
ZERO_PART = 0.30
CHANGED_PART = 0.01
TREE_SMALL, TREE_LARGE = 64 << 10, 4 << 20  # the sizes of files in the tree that is copied again; half of its bytes each


class Sources:
    """Paths by name; `size` is that of large files and whole trees, `n_small` the number of small files."""

    include = "/usr/include"

    def __init__(self, base, tools, size, n_small):
        self.base, self.tools, self.size, self.n_small = os.path.join(base, "source"), tools, size, n_small
        os.makedirs(self.base, exist_ok=True)

    def get(self, name):
        path = os.path.join(self.base, name)
        if not os.path.exists(path):
            getattr(self, "make_" + name)(path)
        return path

    def keep(self, names):
        """Gives back the room of all others."""
        for name in os.listdir(self.base):
            if name not in names:
                path = os.path.join(self.base, name)
                shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)

    def drop(self):
        self.keep(())

    def write(self, path, kind, size, seed=SEED):
        with open(path, "wb") as out:
            subprocess.run([f"{self.tools}/data", kind, str(size), str(seed)], stdout=out, check=True)

    def make_random(self, path):
        self.write(path, "random", self.size)

    def make_text(self, path):
        self.write(path, "text", self.size)

    def make_small(self, path):
        """Folders of a thousand files of 4 KiB."""
        with Bytes(self.tools, self.n_small * SMALL_SIZE, SEED + 1) as data:
            for i in range(self.n_small):
                data.write_file(os.path.join(path, f"{i // FOLDER_FILES:02}", f"{i:05}"), SMALL_SIZE)

    def make_include(self, path):
        """/usr/include as plain files: what a symlink points to, and not those that point nowhere; no empty folders, which an
        archive may leave out."""
        done = subprocess.run(["cp", "-rL", self.include, path], stderr=subprocess.DEVNULL, check=False)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{self.include} could not be copied")
        subprocess.run(["find", path, "-type", "d", "-empty", "-delete"], check=True)

    def make_zeros(self, path):
        """64 files of random bytes, three tenths of whose blocks of 256 KiB (or 4 KiB in small files) are zeros."""
        size = max(self.size // 64, 1)
        block = min(BLOCK, 4096 if size < 10 * BLOCK else BLOCK)
        chance = random.Random(SEED)
        with Bytes(self.tools, 64 * size, SEED + 2) as data:
            for i in range(64):
                name = os.path.join(path, f"{i:02}")
                data.write_file(name, size)
                with open(name, "r+b") as out:
                    for offset in range(0, size, block):
                        if chance.random() < ZERO_PART:
                            out.seek(offset)
                            out.write(bytes(min(block, size - offset)))

    def make_tree(self, path):
        large = max(1, self.size // 2 // TREE_LARGE)
        small = max(1, self.size // 2 // TREE_SMALL)
        with Bytes(self.tools, large * min(TREE_LARGE, self.size) + small * TREE_SMALL, SEED + 3) as data:
            for i in range(large):
                data.write_file(os.path.join(path, "large", f"{i:04}"), min(TREE_LARGE, self.size))
            for i in range(small):
                data.write_file(os.path.join(path, "small", f"{i // FOLDER_FILES:02}", f"{i:05}"), TREE_SMALL)

    def make_changed(self, path):
        """The tree with 1 % of its bytes changed: a hundredth of each large file, somewhere; each hundredth small file."""
        subprocess.run(["cp", "-a", self.get("tree"), path], check=True)
        chance = random.Random(SEED)
        for folder, _, names in os.walk(path):
            for name in sorted(names):
                change(os.path.join(folder, name), chance)


def change(path, chance):
    size = os.path.getsize(path)
    if size > TREE_SMALL:
        part = max(1, int(size * CHANGED_PART))
        offset = chance.randrange(size - part)
    elif chance.random() < CHANGED_PART or path.endswith("small/00/00000"):
        part, offset = size, 0
    else:
        return
    with open(path, "r+b") as out:
        out.seek(offset)
        out.write(chance.randbytes(part))


class Bytes:
    """Random bytes from the tool, in pieces, into files."""

    def __init__(self, tools, size, seed):
        self.process = subprocess.Popen([f"{tools}/data", "random", str(size), str(seed)], stdout=subprocess.PIPE)
        self.folder = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdout.close()
        self.process.wait()

    def write_file(self, path, size):
        folder = os.path.dirname(path)
        if folder != self.folder:
            os.makedirs(folder, exist_ok=True)
            self.folder = folder
        with open(path, "wb") as out:
            while size:
                piece = self.process.stdout.read(min(size, 1 << 20))
                if not piece:
                    raise RuntimeError("the data ended early")
                out.write(piece)
                size -= len(piece)


def sum_of(path, of):
    if os.path.isfile(path):
        return of(os.stat(path))
    return sum(of(os.stat(os.path.join(folder, name))) for folder, _, names in os.walk(path) for name in names)


def size_of(path):
    """Bytes in a file or in the files of a tree."""
    return sum_of(path, lambda st: st.st_size)


def disk_of(path):
    """What they take on the disk."""
    return sum_of(path, lambda st: st.st_blocks * 512)
