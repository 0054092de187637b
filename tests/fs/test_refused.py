# SPDX-License-Identifier: MIT
"""What the receiver does not take, or has removed, and how it comes nevertheless when it is written again."""
import errno
import os
import shutil

import pytest

import trees
from harness import MIB, state, wait_state, wait_until, xattr


def write(path, data, flags=os.O_TRUNC):
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | flags, 0o644)
    try:
        os.write(handle, data)
    finally:
        os.close(handle)


def read(path):
    with open(path, "rb") as file:
        return file.read()


@pytest.mark.parametrize("rewritten", [b"and again tomorrow", b"a"], ids=["all of it", "a part of it"])
def test_what_the_receiver_removed_comes_again_when_it_is_written_again(shared_pair, rewritten):
    pair, name = shared_pair, f"daily{len(rewritten)}"
    pair.send_file(name, b"copied every day")
    wait_state(pair.sent(name), "delivered")
    for _ in range(2):
        os.unlink(pair.got(name))
        write(pair.sent(name), rewritten, 0)
        pair.wait_complete(name)
        assert read(pair.got(name)) == read(pair.sent(name)) and read(pair.got(name)).startswith(rewritten)
        wait_state(pair.sent(name), "delivered")
        os.setxattr(pair.sent(name), "user.day", rewritten)  # the item is known under its new number
        wait_until(lambda: "user.day" in os.listxattr(pair.got(name)), "the attribute")


@pytest.fixture
def refused(make_pair):
    """A pair and a file that its receiver removed while it arrived, with its writer's handle; of a link that carries 4 MiB/s."""
    pair = make_pair(through_proxy=True, debug=False)
    pair.proxy.rate(up=4 * MIB)
    handle = os.open(pair.sent("f"), os.O_CREAT | os.O_WRONLY, 0o644)
    os.write(handle, trees.random_bytes(16 * MIB))
    wait_state(pair.got("f"), "arriving")
    os.unlink(pair.got("f"))
    wait_state(pair.sent("f"), "refused")
    pair.proxy.rate()
    yield pair, handle


def test_who_goes_on_writing_what_is_refused_does_not_bring_it_back(refused):
    pair, handle = refused
    for number in range(20):
        os.pwrite(handle, trees.random_bytes(MIB), number * MIB)
    os.close(handle)
    wait_state(pair.sent("f"), "refused")
    pair.send_file("next", b"x")
    assert os.listdir(pair.got()) == ["next"] and state(pair.sent("f")) == "refused"
    assert xattr(pair.sent("f"), "error") == "it, or its folder, was removed at the peer; write it again"


def test_a_refused_file_is_offered_again_by_the_next_writer(refused):
    pair, handle = refused
    os.close(handle)
    write(pair.sent("f"), b"changed", 0)
    pair.wait_complete("f")
    assert read(pair.got("f")) == read(pair.sent("f")) and os.stat(pair.got("f")).st_size == 16 * MIB
    wait_state(pair.sent("f"), "delivered")


def test_an_offer_made_while_the_peer_is_away_survives_a_kill(refused):
    pair, handle = refused
    os.close(handle)
    pair.b.stop()
    os.truncate(pair.sent("f"), 3 * MIB)
    os.setxattr(pair.sent("f"), "user.kept", b"1")
    pair.a.kill9()
    pair.a.start()
    pair.b.start()
    pair.wait_complete("f")
    assert read(pair.got("f")) == read(pair.sent("f")) and os.stat(pair.got("f")).st_size == 3 * MIB
    assert os.getxattr(pair.got("f"), "user.kept") == b"1"


# -- folders that were taken out of the inbox --------------------------------------------------

def take_out(pair, name):
    """The folder leaves the inbox, and its sender knows it."""
    shutil.rmtree(pair.got(name))
    marker = str(len(os.listdir(pair.b.outbox(pair.code))))
    os.mkdir(pair.b.outbox(pair.code, marker))
    wait_until(lambda: os.path.exists(pair.a.inbox(pair.code, marker)), "what was told after it")


def take_out_unseen(pair, name):
    """Nobody can be told, and nobody remembers."""
    pair.a.stop()
    shutil.rmtree(pair.got(name))
    pair.b.stop()
    pair.a.start()
    pair.b.start()


@pytest.mark.parametrize("told", [True, False], ids=["while connected", "while away"])
def test_what_is_put_into_a_folder_that_was_taken_out_arrives_with_it(make_pair, told):
    pair = make_pair()
    os.makedirs(pair.sent("day", "deep"))
    os.setxattr(pair.sent("day"), "user.kept", b"1")
    os.chmod(pair.sent("day"), 0o750)
    for name in ("old", "deep/rewritten", "moved"):
        pair.send_file(os.path.join("day", name), b"from yesterday")
    pair.send_file("beside", b"x")
    for number, act in enumerate([
            lambda: write(pair.sent("day/new"), b"new"),
            lambda: write(pair.sent("day/deep/rewritten"), b"again"),
            lambda: os.rename(pair.sent("beside"), pair.sent("day/beside"))]):
        for name in ("day/old", "beside"):
            if os.path.exists(pair.sent(name)):
                wait_state(pair.sent(name), "delivered")
        (take_out if told or number else take_out_unseen)(pair, "day")
        act()
        came = ["new", "deep/rewritten", "beside"][number]
        pair.wait_complete(os.path.join("day", came))
        assert read(pair.got("day", came)) == read(pair.sent("day", came))
        wait_until(lambda came=came: state(pair.sent("day", came)) == "delivered", came)
        folder = os.stat(pair.got("day"))
        assert folder.st_mode & 0o777 == 0o750 and os.getxattr(pair.got("day"), "user.kept") == b"1"
        assert not os.path.exists(pair.got("day", "old"))  # nobody has written that again


def test_what_was_on_its_way_into_a_removed_folder_does_not_bring_it_back(make_pair):
    pair = make_pair(through_proxy=True, debug=False)
    pair.proxy.rate(up=4 * MIB)
    os.makedirs(pair.sent("day"))
    for name in ("large", "larger"):
        trees.write_random(pair.sent("day", name), 6 * MIB)
    wait_until(lambda: os.path.exists(pair.got("day/larger")), "both of them")
    take_out(pair, "day")
    for name in ("large", "larger"):
        wait_state(pair.sent("day", name), "refused")
    pair.proxy.rate()
    pair.send_file("next", b"x")
    assert os.listdir(pair.got()) == ["next"]
    pair.send_file("day/later", b"y")
    assert os.listdir(pair.got("day")) == ["later"] and state(pair.sent("day/large")) == "refused"
    write(pair.sent("day/large"), b"changed", 0)
    pair.wait_complete("day/large")
    assert read(pair.got("day/large")) == read(pair.sent("day/large"))


# -- a limit of what the inbox may take --------------------------------------------------------

@pytest.fixture
def limited(make_pair):
    """A pair; the inbox of B may take 8 MiB for each link."""
    return make_pair(debug=False, a_options={"close": "delivered"}, b_options={"inbox_max": "8M"})


def send(pair, name, size, flags=os.O_TRUNC):
    """Returns the errno of the close, 0: it is there."""
    handle = os.open(pair.sent(name), os.O_CREAT | os.O_WRONLY | flags, 0o644)
    os.write(handle, trees.random_bytes(size, size))
    try:
        os.close(handle)
    except OSError as error:
        return error.errno
    assert read(pair.got(name)) == read(pair.sent(name))
    return 0


def test_what_does_not_fit_is_refused_and_nothing_else(limited):
    pair = limited
    assert send(pair, "large", 9 * MIB) == errno.EDQUOT
    assert state(pair.sent("large")) == "refused"
    assert "inbox_max" in xattr(pair.sent("large"), "error") and "inbox_max" in xattr(pair.got(), "error")
    assert not os.path.exists(pair.got("large"))
    assert send(pair, "small", MIB) == 0
    write(pair.b.outbox(pair.code, "back"), b"x")
    wait_state(pair.a.inbox(pair.code, "back"), "complete")
    assert send(pair, "more", 6 * MIB) == 0  # what had come of the large one is gone
    assert send(pair, "tiny", 1) == 0


def test_there_is_room_again_when_something_was_removed(limited):
    pair = limited
    assert send(pair, "a", 5 * MIB) == 0
    assert send(pair, "b", 4 * MIB) == errno.EDQUOT
    os.unlink(pair.got("a"))
    assert xattr(pair.got(), "error") is None
    wait_until(lambda: send(pair, "b", 4 * MIB) == 0, "room")
    pair.b.kill9()
    pair.b.start()
    pair.wait_connected()
    assert send(pair, "c", 5 * MIB) == errno.EDQUOT and send(pair, "d", 3 * MIB) == 0


def test_an_update_needs_room_beside_what_it_replaces(limited):
    pair = limited
    assert send(pair, "f", 3 * MIB) == 0 and send(pair, "f", 3 * MIB + 1) == 0
    before = read(pair.got("f"))
    assert send(pair, "g", 3 * MIB) == 0
    assert send(pair, "f", 10, 0) == errno.EDQUOT
    assert read(pair.got("f")) == before and state(pair.got("f")) == "complete"
    os.unlink(pair.got("g"))
    wait_until(lambda: send(pair, "f", 20, 0) == 0, "room")
    assert os.listdir(pair.got()) == ["f"]


def test_holes_cost_nothing(limited):
    pair = limited
    write(pair.sent("sparse"), b"x")
    os.truncate(pair.sent("sparse"), 1 << 30)
    pair.wait_complete("sparse")
    assert send(pair, "data", 7 * MIB) == 0
