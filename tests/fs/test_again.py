# SPDX-License-Identifier: MIT
"""A tree that the peer has is copied once more: what crosses the wire is what has changed."""
import os

import pytest

import trees
from harness import MIB, run, scaled, state, wait_until


@pytest.fixture
def source(scratch):
    """Small files, one of whole extents and one of an odd size, holes, nothing at all."""
    top = os.path.join(scratch, "tree")
    trees.make_many(top, scaled(100), 5)
    trees.write_random(os.path.join(top, "large"), scaled(8 * MIB), 1)
    trees.write_random(os.path.join(top, "odd"), scaled(3 * MIB) + 4321, 2)
    with open(os.path.join(top, "holes"), "wb") as file:
        for i in range(3):
            file.seek(i * MIB)
            file.write(trees.random_bytes(100_000, i))
        file.truncate(4 * MIB)
    with open(os.path.join(top, "empty"), "wb"):
        pass
    return top


@pytest.fixture
def copied(make_pair, source):
    """copied(what changes ...): bytes on the wire for one more copy, which is proved to have arrived."""
    pair = make_pair(through_proxy=True, debug=False, a_options={"compress": "off"})

    def copy(*before):
        for change in before:
            change()
        base = pair.proxy.count["up"] + pair.proxy.count["down"]
        run("cp", "-a", source, pair.sent())
        for path in trees.files(source):
            path = os.path.join(os.fsencode(pair.sent("tree")), path)
            wait_until(lambda path=path: state(path) == "delivered", f"{path!r} to be delivered", 60)
        pair.wait_tree(source, "tree")
        return pair.proxy.count["up"] + pair.proxy.count["down"] - base
    copy.pair = pair
    return copy


def bytes_of(top):
    return sum(os.stat(os.path.join(os.fsencode(top), path)).st_size for path in trees.files(top))


def test_an_unchanged_tree_is_not_sent_again(copied, source):
    """Nor after a restart, nor after a kill."""
    def restart():
        copied.pair.a.stop()
        copied.pair.a.start()
        copied.pair.wait_connected()

    def kill():
        copied.pair.a.kill9()
        copied.pair.a.start()
        copied.pair.wait_connected()
    whole, few = copied(), bytes_of(source) * 0.01
    assert whole > trees.room(source) * 0.7  # all but the holes
    assert copied() < few
    assert copied(restart) < few
    assert copied(kill) < few


def test_of_a_changed_tree_what_changed_is_sent(copied, source):
    def change():
        with open(os.path.join(source, "large"), "r+b") as file:
            for i in range(4):
                file.seek(i * scaled(2 * MIB) + 777)
                file.write(b"other bytes")
        with open(os.path.join(source, "odd"), "r+b") as file:
            file.truncate(scaled(2 * MIB))
        with open(os.path.join(source, "empty"), "wb") as file:
            file.write(b"no more")
    copied()
    assert copied(change) < bytes_of(source) * 0.01


def test_a_tree_that_was_released_is_not_sent_again(make_pair, source):
    pair = make_pair(through_proxy=True, debug=False, a_options={"release_after": 1})
    os.remove(os.path.join(source, "holes"))  # of those there are no prints
    run("cp", "-a", source, pair.sent())
    pair.wait_tree(source, "tree")
    objects = os.path.join(pair.a.store, ".ftx", "objects")
    wait_until(lambda: not any(names for _, _, names in os.walk(objects)), "all to be released")
    base = pair.proxy.count["up"]
    run("cp", "-a", source, pair.sent())
    pair.wait_tree(source, "tree")
    wait_until(lambda: not pair.a.status()["links"][0]["queue"]["files"], "all to be delivered")
    assert pair.proxy.count["up"] - base < bytes_of(source) * 0.01
