# SPDX-License-Identifier: MIT
"""kill -9 of the sender between any two answered operations: nothing that was answered is lost, here or on its way to the peer."""
import os
import random

import pytest

from harness import scaled, wait_until
from script import Script

OPERATIONS = 200
SEED = int(os.environ.get("FTX_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)


def die(node, script):
    """Killed and started again: all is as it was."""
    node.kill9()
    script.died()
    node.start()
    lines = script.differences()
    assert not lines, "\n".join([*lines, script.story()])


def wait_equal(scripts, pair, **how):
    """All that was not interrupted arrives."""
    left = list(scripts)
    seen = []

    def arrived():
        while left:
            seen[:] = left[-1].differences_there(there(left[-1]), contents=False, **how)
            if seen:
                return False
            left.pop()
        return True

    def there(script):
        return pair.got(os.path.basename(script.root.path()))
    try:
        wait_until(arrived, "all to arrive", 60)
    except AssertionError as error:
        raise AssertionError("\n".join([str(error), *seen, left[-1].story()])) from None
    for script in scripts:
        lines = script.differences_there(there(script), **how)
        assert not lines, "\n".join([*lines, script.story()])


def objects_of(node):
    return sum(len(files) for _, _, files in os.walk(os.path.join(node.store, ".ftx/objects")))


def files_of(scripts):
    return sum(thing.kind == "file" for script in scripts for thing in script.root.below())


@pytest.mark.limit(300)
def test_each_point_of_a_script(make_pair):
    """The script from its beginning up to each of its operations, every time in a folder of its own."""
    pair = make_pair(debug=False)
    pair.b.stop()
    points = random.Random(SEED).sample(range(1, OPERATIONS + 1), scaled(OPERATIONS))
    scripts = []
    for point in sorted(points):
        scripts.append(Script(pair.sent(f"{point:03}"), SEED))
        for _ in range(point):
            scripts[-1].step()
        die(pair.a, scripts[-1])
    for script in scripts:
        lines = script.differences()
        assert not lines, "\n".join(["later:", *lines, script.story()])
    wait_until(lambda: objects_of(pair.a) <= files_of(scripts), "the objects of what was removed to go")
    pair.b.start()
    wait_equal(scripts, pair)
    for script in scripts:
        script.mend()
    wait_equal(scripts, pair)


@pytest.mark.limit(300)
def test_one_history_of_many_deaths(make_pair):
    """The peer is there all the time, but for its own deaths."""
    pair, chance = make_pair(debug=False), random.Random(SEED)
    script = Script(pair.sent("history"), SEED)
    for number in range(scaled(OPERATIONS)):
        for _ in range(chance.randrange(1, 8)):
            script.step()
        die(pair.a, script)
        if number % 10 == 9:  # nothing is open now: a child that inherits it would close it
            pair.b.kill9()
            pair.b.start()
        if number % 8 == 7:
            wait_equal([script], pair, exact=False)
    script.mend()
    wait_equal([script], pair, exact=False)
    wait_until(lambda: objects_of(pair.a) <= files_of([script]), "the objects of what was removed to go")
