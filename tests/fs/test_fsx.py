# SPDX-License-Identifier: MIT
"""Random operations in an outbox against a model (tests/fs/fsx.c); then the peer's files against the same model.
tests/long runs all for an hour together; FTX_FSX_SECONDS and FTX_FSX_SEED do the same here."""
import os
import subprocess
import time

import pytest

import trees
from harness import MIB, scaled, wait_until

FSX = os.environ.get("FTX_FSX") or os.path.join(os.path.dirname(__file__), "../../build/tests/fsx")
SECONDS = int(os.environ.get("FTX_FSX_SECONDS", "0"))
SEED = int(os.environ.get("FTX_FSX_SEED", "0")) or time.time_ns() // 1000 % 10 ** 9


def start(folder, models, seed, *options):
    """One fsx at work in a folder of its own; what its files must hold at the end goes to `models`."""
    for path in (folder, models):
        os.mkdir(path)
    length = ["--seconds", str(SECONDS // 3)] if SECONDS else ["--ops", str(scaled(8000))]
    return subprocess.Popen([FSX, "--seed", str(seed), "--models", models, *length, *options, folder],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(process):
    text = process.communicate()[0].decode(errors="replace")
    print(text)
    assert process.returncode == 0, text


def equal_at_peer(pair, models, name):
    """What arrived in the inbox's folder `name` becomes what the models say, and nothing else is there."""
    top = pair.got(name)
    names = sorted(os.listdir(models))
    wait_until(lambda: sorted(os.listdir(top)) == names, f"{names} in {name}", 60)
    for file in names:
        pair.wait_complete(os.path.join(name, file))
        wanted = trees.sha256(os.path.join(models, file))
        wait_until(lambda path=os.path.join(top, file), wanted=wanted: trees.sha256(path) == wanted,
                   f"{file} to hold what its model says")


def run_and_compare(pair, scratch, seed, sizes):
    """One fsx for each size, all at once; then both ends are as their models say."""
    at_work = [start(pair.sent(f"fsx{index}"), os.path.join(scratch, str(index)), seed + index, "--size", str(size))
               for index, size in enumerate(sizes)]
    for process in at_work:
        process.wait()
    for process in at_work:
        finish(process)
    for index in range(len(sizes)):
        equal_at_peer(pair, os.path.join(scratch, str(index)), f"fsx{index}")


@pytest.mark.limit(SECONDS + 300)
def test_random_operations_end_equal_on_both_sides(shared_pair, scratch):
    run_and_compare(shared_pair, scratch, SEED, (3 * MIB, 200_000, 5000))


@pytest.mark.limit(SECONDS + 300)
def test_random_operations_over_a_cut_link(make_pair, scratch):
    """The same while connections are reset under it."""
    pair = make_pair(through_proxy=True, debug=False)
    process = start(pair.sent("fsx"), os.path.join(scratch, "models"), SEED + 100, "--size", str(2 * MIB))
    cuts = 0
    while process.poll() is None:
        passed = pair.proxy.count["up"]
        wait_until(lambda passed=passed: process.poll() is not None or pair.proxy.count["up"] > passed + MIB // 4, "bytes on the wire", 60)
        cuts += pair.proxy.count["up"] > passed
        pair.proxy.drop()
    finish(process)
    assert cuts
    equal_at_peer(pair, os.path.join(scratch, "models"), "fsx")


@pytest.mark.limit(SECONDS + 300)
def test_random_operations_with_little_room(make_pair, scratch):
    """The same while bytes are released under it, and come back."""
    pair = make_pair(debug=False, a_options={"spool_max": "16M", "release_after": 1})
    run_and_compare(pair, scratch, SEED + 200, (4 * MIB, 300_000))


def test_a_wrong_byte_is_found(scratch):
    """fsx itself: somebody else changes its file."""
    process = start(os.path.join(scratch, "fsx"), os.path.join(scratch, "models"), 1, "--seconds", "60", "--size", "20000")

    def spoil():
        for name in os.listdir(os.path.join(scratch, "fsx")):
            with open(os.path.join(scratch, "fsx", name), "r+b") as file:
                file.write(os.urandom(100))
        return process.poll() is not None
    wait_until(spoil, "fsx to end", 30)
    text = process.communicate()[0].decode()
    assert process.returncode == 1 and "fsx: seed 1, operation" in text, text
