# SPDX-License-Identifier: MIT
"""The main job: real trees and large files by cp, rsync and tar, compared by SHA-256, mode, mtime in ns and link target."""
import os
import shutil
import subprocess

import pytest

import ftxp
import harness
import trees
from harness import MIB, run, scaled, wait_state, wait_until

SMALL_TREE = "/usr/include/linux"
TREE = "/usr/include" if harness.SCALE >= 0.5 else SMALL_TREE


def resident_peak(node):
    with open(f"/proc/{node.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


@pytest.fixture
def quiet_pair(make_pair):
    """Without -d: a line for each of a million requests would be what the test measures."""
    return make_pair(debug=False)


@pytest.mark.main_path
@pytest.mark.parametrize("command", [("cp", "-a"), ("rsync", "-a"), ("rsync", "-a", "--inplace")], ids=" ".join)
def test_odd_tree(make_pair, scratch, command):
    pair = make_pair()
    source = os.path.join(scratch, "zoo")
    trees.make_zoo(source)
    run(*command, source, pair.sent())
    pair.wait_tree(source, "zoo")
    if command[0] == "rsync":  # nothing to do the second time
        out = run(*command, "--itemize-changes", source, pair.sent())
        assert not [line for line in out.splitlines() if line.startswith((b">f", b"cd", b"cL"))], out


@pytest.mark.limit(180)
@pytest.mark.parametrize("command, tree", [("cp -a", TREE), ("cp -r", SMALL_TREE), ("rsync -a", SMALL_TREE), ("tar x", SMALL_TREE)])
def test_usr_include(quiet_pair, command, tree):
    pair = quiet_pair
    name = os.path.basename(tree)
    if command == "tar x":
        with subprocess.Popen(["tar", "-C", os.path.dirname(tree), "-cf", "-", name], stdout=subprocess.PIPE) as tar:
            done = subprocess.run(["tar", "-C", pair.sent(), "-xf", "-"], stdin=tar.stdout, check=False,
                                  stderr=subprocess.PIPE, timeout=120 * harness.SLOW)
        assert done.returncode == 0, done.stderr.decode()
        # tar's format keeps whole seconds: what is in the outbox is what must arrive
        pair.wait_tree(pair.sent(name), name, timeout=100)
        pair.wait_tree(tree, name, times=False)
    else:
        run(*command.split(), tree, pair.sent())
        pair.wait_tree(pair.sent(name) if command == "cp -r" else tree, name, timeout=100)
        if command == "cp -r":
            pair.wait_tree(tree, name, times=False)


@pytest.mark.limit(240)
@pytest.mark.parametrize("command", ["cp -a", "rsync -a"])
def test_large_random_file(quiet_pair, scratch, command):
    pair, size = quiet_pair, scaled(1024 * MIB)
    source = os.path.join(scratch, "large")
    trees.write_random(source, size)
    os.utime(source, ns=(1, 1_600_000_000_987_654_321))
    os.chmod(source, 0o640)
    run(*command.split(), source, pair.sent(), timeout=200)
    pair.wait_complete("large", timeout=150)
    info, here = os.stat(source), os.stat(pair.got("large"))
    assert (info.st_size, info.st_mtime_ns, info.st_mode) == (here.st_size, here.st_mtime_ns, here.st_mode)
    assert trees.sha256(source) == trees.sha256(pair.got("large"))
    wait_state(pair.sent("large"), "delivered")
    assert harness.progress(pair.got("large")) == (size, size)
    if not harness.SANITIZED:
        for node in (pair.a, pair.b):
            assert resident_peak(node) < 64 * MIB, f"{node.name} used {resident_peak(node) / MIB:.0f} MiB"


@pytest.mark.limit(150)
def test_ten_thousand_small_files(quiet_pair, scratch):
    pair, source = quiet_pair, os.path.join(scratch, "many")
    trees.make_many(source, scaled(10_000))
    run("cp", "-a", source, pair.sent())
    pair.wait_tree(source, "many", timeout=100)
    for path in trees.files(source)[::500]:
        wait_state(os.path.join(os.fsencode(pair.sent("many")), path), "delivered")


@pytest.mark.limit(150)
def test_small_files_share_records(make_pair, scratch):
    """What waited for the peer goes in tens of records, not in one each."""
    pair, source = make_pair(through_proxy=True, debug=False), os.path.join(scratch, "many")
    trees.make_many(source, scaled(3_000))
    pair.proxy.cut()
    wait_state(pair.sent(), "offline", timeout=30)
    run("cp", "-a", source, pair.sent())
    up, down = ftxp.Records(), ftxp.Records()
    pair.proxy.tap("up", up)
    pair.proxy.tap("down", down)
    pair.proxy.restore()
    pair.wait_tree(source, "many", timeout=100)
    assert up.count < 100 and down.count < 300, (up.count, down.count)


def test_empty_things(pair, scratch):
    source = os.path.join(scratch, "empty")
    for folder in ("a/b/c", "d"):
        os.makedirs(os.path.join(source, folder))
    for path in ("zero", "a/zero", "a/b/c/zero"):
        with open(os.path.join(source, path), "wb"):
            pass
    run("cp", "-a", source, pair.sent())
    pair.wait_tree(source, "empty")


def test_sparse_file_stays_sparse(pair, scratch):
    source = os.path.join(scratch, "sparse")
    with open(source, "wb") as out:
        for index in range(4):
            out.seek(index * 64 * MIB + 12345)
            out.write(trees.random_bytes(100_000, index))
        out.truncate(256 * MIB)
    run("cp", "-a", "--sparse=always", source, pair.sent())
    pair.wait_complete("sparse")
    assert trees.sha256(source) == trees.sha256(pair.got("sparse"))
    assert os.stat(pair.got("sparse")).st_blocks * 512 < 16 * MIB


def test_git_clone_into_the_outbox(pair, scratch):
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    source = os.path.join(scratch, "repo")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"]
    run(*git, "init", "-q", source)
    trees.make_many(os.path.join(source, "files"), 200, 10)
    run(*git, "-C", source, "add", ".")
    run(*git, "-C", source, "commit", "-qm", "all")
    run(*git, "clone", "-q", "--no-local", source, pair.sent("clone"))
    # git removes its locks when they have been delivered: what was delivered is the receiver's, so there may be more there
    wait_until(lambda: all(": missing there" in line for line in
                           trees.differences(pair.sent("clone"), pair.got("clone"))), "the clone to arrive", 60)
    run(*git, "-c", "safe.directory=*", "-C", pair.got("clone"), "--no-optional-locks", "fsck", "--full")


def test_both_directions_at_once(pair, scratch):
    for name, size, seed in (("there", 32 * MIB, 1), ("back", 32 * MIB, 2)):
        trees.write_random(os.path.join(scratch, name), size, seed)
    copies = [subprocess.Popen(["cp", "-a", os.path.join(scratch, name), target])
              for name, target in (("there", pair.sent()), ("back", pair.b.outbox(pair.code)))]
    assert [copy.wait(60 * harness.SLOW) for copy in copies] == [0, 0]
    pair.wait_complete("there")
    wait_state(pair.a.inbox(pair.code, "back"), "complete", timeout=60)
    assert trees.sha256(os.path.join(scratch, "there")) == trees.sha256(pair.got("there"))
    assert trees.sha256(os.path.join(scratch, "back")) == trees.sha256(pair.a.inbox(pair.code, "back"))


def test_one_byte_segments(make_pair):
    pair = make_pair(connect=False, through_proxy=True)
    pair.proxy.dribble()
    pair.connect()
    pair.send_file("dribbled", trees.random_bytes(20_000))
    pair.proxy.dribble(False)


def test_a_flipped_byte_is_never_written(make_pair):
    pair = make_pair(through_proxy=True)
    data = trees.random_bytes(scaled(32 * MIB))
    first = pair.proxy.n_connections
    pair.proxy.flip("up", pair.proxy.count["up"] + len(data) // 2)
    pair.send_file("flipped", data)
    wait_until(lambda: pair.proxy.n_connections > first, "a new connection in place of the damaged one", 1)


def test_an_absolute_symlink_needs_links_all(make_pair):
    pair = make_pair(b_options={"links": "safe"})
    os.symlink("/etc/hostname", pair.sent("outside"))
    os.symlink("../../../etc/hostname", pair.sent("above"))
    os.symlink("inside", pair.sent("fine"))
    pair.send_file("inside", b"x")
    wait_until(lambda: os.readlink(pair.got("fine")) == "inside", "the link that stays inside")
    for name in ("outside", "above"):  # made before it and not there: refused
        assert not os.path.lexists(pair.got(name))
