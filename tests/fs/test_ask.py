# SPDX-License-Identifier: MIT
"""accept=ask, endings, kinds: what is offered waits for its owner, and no byte of it travels."""
import errno
import os

import pytest

import trees
from harness import CODE, MIB, progress, state, wait_state, wait_until, xattr
from test_control import command, events_of, fails, link_of, wait_event


@pytest.fixture(scope="module")
def asking(shared_pair):
    """B asks."""
    command(shared_pair.b, f"config {CODE} accept=ask")
    wait_event(shared_pair.a, "disconnected")
    shared_pair.wait_connected()
    return shared_pair


def write(path, data=b"content"):
    with open(path, "wb") as out:
        out.write(data)


def size_of(path):
    return os.stat(path).st_size


def received(pair):
    return link_of(pair.b)["down_bytes"]


def test_offered_file_shows_its_size_and_nothing_of_it_comes(asking):
    before = received(asking)
    write(asking.sent("film"), trees.random_bytes(3 * MIB))
    wait_state(asking.got("film"), "offered")
    wait_state(asking.sent("film"), "offered")
    wait_until(lambda: size_of(asking.got("film")) == 3 * MIB, "its size")
    assert xattr(asking.sent("film"), "error") == "the peer has not accepted it yet"
    assert wait_event(asking.b, "offered", path=f"inbox/{CODE}/film")["link"] == CODE
    with pytest.raises(PermissionError):
        open(asking.got("film"), "rb")
    assert received(asking) == before and progress(asking.got("film"))[0] == 0
    command(asking.b, f"accept inbox/{CODE}/film")
    wait_state(asking.got("film"), "complete")
    wait_state(asking.sent("film"), "delivered")
    assert wait_event(asking.b, "accepted", path=f"inbox/{CODE}/film")["size"] == 3 * MIB


def test_folder_is_accepted_as_a_whole_with_what_comes_later(asking):
    os.makedirs(asking.sent("album", "cd1"))
    for name in ("cover", "cd1/one"):
        write(asking.sent("album", name))
    wait_state(asking.got("album/cd1/one"), "offered")
    wait_state(asking.sent("album/cd1/one"), "offered")
    fails(errno.EINVAL, asking.b, f"accept inbox/{CODE}/album/cover")
    with pytest.raises(PermissionError):
        os.rename(asking.got("album/cover"), asking.got("cover"))
    command(asking.b, f"accept inbox/{CODE}/album")
    write(asking.sent("album", "later"))
    for name in ("cover", "cd1/one", "later"):
        asking.wait_complete("album/" + name)
    fails(errno.EALREADY, asking.b, f"accept inbox/{CODE}/album")
    os.rename(asking.sent("album/cover"), asking.sent("cover"))  # it was accepted there
    asking.wait_complete("cover")


def test_update_of_what_was_accepted_needs_no_word(asking):
    write(asking.sent("notes"))
    wait_state(asking.got("notes"), "offered")
    command(asking.b, f"accept {CODE}")
    asking.wait_complete("notes")
    write(asking.sent("notes"), b"more")
    wait_until(lambda: size_of(asking.got("notes")) == 4, "the next version")
    write(asking.sent(".notes.tmp"), b"by a rename")
    os.rename(asking.sent(".notes.tmp"), asking.sent("notes"))
    wait_until(lambda: size_of(asking.got("notes")) == 11, "the version that was renamed over it")
    wait_state(asking.sent("notes"), "delivered")


def test_rejected_is_said_at_both_ends(asking):
    os.mkdir(asking.sent("spam"))
    write(asking.sent("spam", "inside"))
    write(asking.sent("junk"))
    for name in ("spam/inside", "junk"):
        wait_state(asking.got(name), "offered")
        wait_state(asking.sent(name), "offered")
    command(asking.b, f"reject inbox/{CODE}/spam\nreject inbox/{CODE}/junk\n")
    for name in ("spam", "spam/inside", "junk"):
        wait_state(asking.sent(name), "refused")
        assert xattr(asking.sent(name), "error") == "the peer's owner has rejected it"
        wait_until(lambda name=name: state(asking.got(name)) is None, f"{name} to go")
    for end, box in ((asking.a, "outbox"), (asking.b, "inbox")):
        assert wait_event(end, "refused", path=f"{box}/{CODE}/junk")["reason"] == "rejected"
    command(asking.a, f"retry {CODE}")
    wait_state(asking.got("junk"), "offered")
    os.unlink(asking.got("junk"))
    wait_state(asking.sent("junk"), "refused")
    command(asking.b, f"reject {CODE}")


def test_endings_are_judged_by_the_name_that_a_file_gets(make_pair):
    pair = make_pair(debug=False)
    command(pair.b, f"config {CODE} deny_ext=exe,tar.gz")
    for name in ("tool.EXE", "a.tar.gz"):
        write(pair.sent(name))
        wait_state(pair.sent(name), "refused")
        assert wait_event(pair.a, "refused", path=f"outbox/{CODE}/{name}")["reason"] == "type"
        assert wait_event(pair.b, "refused", path=f"inbox/{CODE}/{name}")["reason"] == "type"
    pair.send_file("a.gz", b"x")
    command(pair.b, f"config {CODE} deny_ext=none\nconfig {CODE} allow_ext=mp3")
    write(pair.sent(".song.mp3.Xa81bc"))
    wait_state(pair.sent(".song.mp3.Xa81bc"), "refused")
    os.rename(pair.sent(".song.mp3.Xa81bc"), pair.sent("song.mp3"))
    pair.wait_complete("song.mp3")
    os.rename(pair.sent("song.mp3"), pair.sent("song.exe"))
    wait_state(pair.sent("song.exe"), "refused")
    assert wait_event(pair.b, "refused", path=f"inbox/{CODE}/song.exe")["reason"] == "type"
    assert state(pair.got("song.mp3")) == "complete"


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0"


def test_kinds_are_told_by_what_a_file_holds(make_pair):
    pair = make_pair(debug=False)
    command(pair.b, f"config {CODE} allow_mime=image/*")
    for name, data in (("small.png", b"#!/bin/sh\nexit\n"), ("large.png", b"%PDF-1.7\n" + trees.random_bytes(MIB))):
        write(pair.sent(name), data)
        wait_state(pair.sent(name), "refused")
        assert wait_event(pair.b, "refused", path=f"inbox/{CODE}/{name}")["reason"] == "type"
        assert not os.path.exists(pair.got(name))
    pair.send_file("picture", PNG)
    pair.send_file("large picture", PNG + trees.random_bytes(MIB))
    with open(pair.sent("late"), "wb") as out:  # what it is shows when all of it is here
        out.write(PNG)
        out.flush()
        wait_until(lambda: progress(pair.got("late"))[0] == len(PNG), "what was written")
        out.seek(0)
        out.write(b"#!/bin/sh\nexit 0")
    wait_state(pair.sent("late"), "refused")
    command(pair.b, f"config {CODE} allow_mime=none\nconfig {CODE} deny_mime=application/pdf")
    command(pair.a, f"retry {CODE}")
    wait_state(pair.sent("small.png"), "delivered")
    wait_state(pair.sent("large.png"), "refused")


def test_offers_and_answers_last(make_pair):
    pair = make_pair(debug=False)
    command(pair.b, f"config {CODE} accept=ask")
    wait_event(pair.a, "disconnected")
    pair.wait_connected()
    for name in ("yes", "no", "open"):
        write(pair.sent(name))
        wait_state(pair.got(name), "offered")
    pair.a.stop()
    command(pair.b, f"accept inbox/{CODE}/yes\nreject inbox/{CODE}/no\n")
    pair.b.kill9()
    pair.b.start()
    assert [state(pair.got(name)) for name in ("yes", "no", "open")] == ["arriving", "refused", "offered"]
    pair.a.start()
    write(pair.sent("new"))
    pair.wait_complete("yes")
    wait_state(pair.sent("no"), "refused")
    assert xattr(pair.sent("no"), "error") == "the peer's owner has rejected it"
    wait_until(lambda: not os.path.exists(pair.got("no")), "what was rejected to go")
    for name in ("open", "new"):
        wait_state(pair.sent(name), "offered")
        wait_state(pair.got(name), "offered")
    assert link_of(pair.b)["down_bytes"] == len(b"content")
    assert events_of(pair.b, "offered")
    command(pair.b, f"config {CODE} accept=all")
    for name in ("open", "new"):
        pair.wait_complete(name)
    pair.send_file("nobody asks", b"x")
