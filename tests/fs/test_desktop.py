# SPDX-License-Identifier: MIT
"""A file manager that shows an inbox: it goes on whatever has not arrived, also while its thumbnailer waits for missing bytes."""
import os
import threading

import pytest

import trees
from desktop import FileManager, Screen, png
from harness import CODE, MIB, process_state, progress, run, state, wait_until


@pytest.fixture
def manager(scratch):
    """manager(path): a FileManager on a screen of its own that shows the folder; ends before the mounts do."""
    made = []

    def make(path):
        home = os.path.join(scratch, "home")
        os.mkdir(home)
        made.append(Screen())
        made.append(FileManager(made[-1], home, path))
        return made[-1]
    yield make
    for one in reversed(made):
        one.close()


@pytest.fixture(scope="module")
def photo(scratch_root):
    """A picture of 40 MiB on disk."""
    path = os.path.join(scratch_root, "photo.png")
    with open(path, "wb") as file:
        file.write(png(4000, 3500, trees.random_bytes(4000 * 3500 * 4)))
    return path


@pytest.fixture
def half_sent(make_pair, photo):
    """A pair over a link that is silent by now: a text has arrived, and the beginning of the picture."""
    pair = make_pair(through_proxy=True, b_options={"read_timeout": 600})
    pair.send_file("letter.txt", b"Dear all,\n")
    pair.source = photo
    pair.proxy.rate(up=2 * MIB)
    run("cp", photo, pair.sent("photo.png"))
    wait_until(lambda: progress(pair.got("photo.png"))[0] > MIB // 4, "the beginning of the picture")
    pair.proxy.stall()
    return pair


def pass_until(pair, condition, what):
    """Lets MiB after MiB through a silent link, and no more once the condition holds."""
    stalled = threading.Event()
    stalled.set()

    def stall():
        pair.proxy.stall()
        stalled.set()

    def step():
        if stalled.is_set() and not condition():
            stalled.clear()
            pair.proxy.at("up", pair.proxy.count["up"] + MIB, stall)
            pair.proxy.rate()
            pair.proxy.go_on()
        return stalled.is_set() and condition()
    wait_until(step, what)


def goes_on(pair):
    """Nothing was lost by looking: the picture arrives as a whole."""
    pair.proxy.rate()
    pair.proxy.go_on()
    pair.wait_complete("photo.png")
    assert trees.sha256(pair.got("photo.png")) == trees.sha256(pair.sent("photo.png")) == trees.sha256(pair.source)


def test_new_files_are_shown_while_a_large_one_arrives(half_sent, manager):
    pair = half_sent
    window = manager(pair.got())
    wait_until(lambda: window.names() == {"letter.txt", "photo.png"}, "both to be shown")
    wait_until(lambda: window.reads(pair.got("photo.png")), "the thumbnailer to wait for the picture")
    os.mkdir(pair.sent("scans"))
    with open(pair.sent("notes.txt"), "wb") as out:
        out.write(b"read me first\n")
    os.rename(pair.sent("letter.txt"), pair.sent("answer.txt"))
    now = {"answer.txt", "photo.png", "scans", "notes.txt"}
    pass_until(pair, lambda: set(os.listdir(pair.got())) == now, "the changes, behind what is under way of the picture")
    wait_until(lambda: window.names() == now, "them to be shown")
    assert state(pair.got("photo.png")) == "arriving" and window.reads(pair.got("photo.png"))
    goes_on(pair)
    wait_until(lambda: not window.reads(pair.got("photo.png")), "the thumbnailer to have all")


def test_it_answers_while_nothing_arrives_any_more(half_sent, manager):
    pair = half_sent
    window = manager(pair.got())
    wait_until(lambda: window.names() == {"letter.txt", "photo.png"}, "both to be shown")
    wait_until(lambda: window.reads(pair.got("photo.png")), "the thumbnailer to wait for the picture")
    os.rename(pair.got("letter.txt"), pair.got("kept.txt"))
    wait_until(lambda: window.names() == {"kept.txt", "photo.png"}, "the new name")
    window.press("Alt_L", "Up")
    wait_until(lambda: window.title() == "inbox", "the folder above")
    wait_until(lambda: window.names() == {CODE}, "what is in it")
    window.press("Alt_L", "Left")
    wait_until(lambda: window.names() == {"kept.txt", "photo.png"}, "the folder again")
    wait_until(lambda: process_state(window.process.pid) == "S", "it to have nothing to do")
    assert state(pair.got("photo.png")) == "arriving" and window.reads(pair.got("photo.png"))
    window.close()  # ends that read
    goes_on(pair)
