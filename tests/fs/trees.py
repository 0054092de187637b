# SPDX-License-Identifier: MIT
"""Makes and compares file trees, names as bytes: kinds, contents (SHA-256), modes, times in ns, link targets."""
import hashlib
import os
import random
import stat

# Names that have broken copy programs; control bytes are refused by ftxfs and have their own test.
ODD_NAMES = [
    b"with space", b" leading and trailing ", b"quote'single", b'quote"double', b"back\\slash", b"-rf", b"--help",
    b"*", b"?", b"$HOME", b"`id`", b"a;b", b"a&b", b"a|b", b"<x>", b"%s%n", b"#comment", b"~", b"...", b".hidden",
    b"\xc3\xa9t\xc3\xa9", b"e\xcc\x81te\xcc\x81", b"\xe6\x97\xa5\xe6\x9c\xac", b"\xf0\x9f\x8e\xb8",
    b"latin1-\xe9", b"invalid-\xff\xfe", b"\xc0\xaf", b"\x80", b"con", b"name.", b"x" * 255,
]


def random_bytes(size, seed=0):
    return random.Random(seed).randbytes(size)


def write_random(path, size, seed=0):
    """A file of pseudo-random bytes, written in pieces: the same seed makes the same file."""
    source = random.Random(seed)
    with open(path, "wb") as out:
        while size > 0:
            piece = min(size, 1 << 24)
            out.write(source.randbytes(piece))
            size -= piece


def sha256(path):
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def walk(top):
    """Yields (relative path, lstat) of everything below `top`, bytes, parents first."""
    pending = [b""]
    top = os.fsencode(top)
    while pending:
        folder = pending.pop()
        with os.scandir(os.path.join(top, folder)) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            path = os.path.join(folder, entry.name)
            info = entry.stat(follow_symlinks=False)
            yield path, info
            if stat.S_ISDIR(info.st_mode):
                pending.append(path)


def files(top):
    """Relative paths of the regular files below `top`."""
    return [path for path, info in walk(top) if stat.S_ISREG(info.st_mode)]


def room(path):
    """What a file, or the files of a folder, take on the disk, without their holes."""
    paths = [os.path.join(os.fsencode(path), name) for name in files(path)] if os.path.isdir(path) else [path]
    return sum(os.stat(each).st_blocks * 512 for each in paths)


def describe(top, times=True):
    """{relative path: what must be equal, contents aside}."""
    tree = {}
    for path, info in walk(top):
        kind = stat.S_IFMT(info.st_mode)
        mode = None if kind == stat.S_IFLNK else info.st_mode & 0o777
        mtime = info.st_mtime_ns if times else None
        size = info.st_size if kind == stat.S_IFREG else None
        target = os.readlink(os.path.join(os.fsencode(top), path)) if kind == stat.S_IFLNK else None
        tree[path] = (oct(kind), mode if mode is None else oct(mode), size, mtime, target)
    return tree


def differences(a, b, times=True, contents=True, limit=20):
    """Lines that say how tree `b` differs from tree `a`; an empty list: they are equal."""
    left, right = describe(a, times), describe(b, times)
    lines = []
    for path in sorted(left.keys() | right.keys()):
        if left.get(path) != right.get(path):
            lines.append(f"{path!r}: {left.get(path, 'missing')} there, {right.get(path, 'missing')} here")
        elif contents and left[path][2] is not None:
            one, other = (sha256(os.path.join(os.fsencode(top), path)) for top in (a, b))
            if one != other:
                lines.append(f"{path!r}: contents {one} there, {other} here")
        if len(lines) >= limit:
            return lines + ["..."]
    return lines


def compare_trees(a, b, times=True):
    """Asserts that both trees are equal: names, kinds, modes, times in ns, link targets, SHA-256."""
    lines = differences(a, b, times)
    assert not lines, "trees differ:\n" + "\n".join(lines)


def make_zoo(top):
    """A small tree with everything that ftxfs carries: odd names, sizes, modes, times, links, empty folders."""
    top = os.fsencode(top)
    os.makedirs(top)
    for index, name in enumerate(ODD_NAMES):
        with open(os.path.join(top, name), "wb") as out:
            out.write(random_bytes(index * 37, index))
    os.mkdir(os.path.join(top, b"empty"))
    os.mkdir(os.path.join(top, b"closed"), 0o700)
    deep = top
    for level in range(20):
        deep = os.path.join(deep, b"d%d" % level)
        os.mkdir(deep)
    for size in (0, 1, 4095, 4096, 4097, 131072, 131073, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 20):
        with open(os.path.join(deep, b"size-%d" % size), "wb") as out:
            out.write(random_bytes(size, size))
    for mode in (0o400, 0o444, 0o555, 0o600, 0o640, 0o644, 0o755, 0o777):
        path = os.path.join(top, b"mode-%o" % mode)
        with open(path, "wb") as out:
            out.write(b"%o" % mode)
        os.chmod(path, mode)
    for name, target in ((b"link", b"empty"), (b"link-deep", b"d0/d1/d2"), (b"link-dangling", b"not there"),
                         (b"link-odd", b"latin1-\xe9")):
        os.symlink(target, os.path.join(top, name))
    with open(os.path.join(top, b"sparse"), "wb") as out:
        out.truncate(8 << 20)
        out.seek(3 << 20)
        out.write(b"island")
    stamp = 1_000_000_000_123_456_789
    for path, _ in sorted(walk(top), reverse=True):
        stamp += 86_400_000_000_001
        os.utime(os.path.join(top, path), ns=(stamp, stamp), follow_symlinks=False)


def make_many(top, count, folders=100, seed=1):
    """`count` files of 0 to 2000 bytes in `folders` folders."""
    source = random.Random(seed)
    os.makedirs(top)
    for folder in range(folders):
        os.mkdir(os.path.join(top, f"f{folder:03}"))
    for index in range(count):
        with open(os.path.join(top, f"f{index % folders:03}", f"{index:06}"), "wb") as out:
            out.write(source.randbytes(source.randrange(2001)))
