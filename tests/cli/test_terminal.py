# SPDX-License-Identifier: MIT
"""ftx in a terminal: what is drawn, asked and hidden there, and that the terminal is as before afterwards."""
import os
import re
import signal

import pytest

import harness
import qr
import trees
from command import CODE, Terminal, good, start
from harness import wait_state


@pytest.fixture(scope="module")
def mount(scratch_root):
    node = harness.Node(os.path.join(scratch_root, "terminal"), "A", debug=False)
    try:
        yield node.start()
    finally:
        node.destroy()


def test_a_code_is_drawn_as_qr(mount):
    with Terminal("code", mount=mount.mount) as terminal:
        assert terminal.end() == 0
        code = CODE.search(terminal.text).group()
        assert code in os.listdir(mount.outbox())
        assert f"ftx join {code}" in terminal.text and "\x1b[1m" in terminal.text
        assert " ".join(code) in terminal.text  # large
        assert qr.read(terminal.text) == code


def test_no_color_means_none(mount):
    with Terminal("code", mount=mount.mount, NO_COLOR="1") as terminal:
        assert terminal.end() == 0
        assert "\x1b" not in terminal.text
        assert qr.read(terminal.text) in os.listdir(mount.outbox())


def test_a_narrow_terminal_gets_no_qr(mount):
    with Terminal("code", mount=mount.mount, columns=30) as terminal:
        assert terminal.end() == 0
        assert "\u2588" not in terminal.text and CODE.search(terminal.text)


def test_join_shows_nothing_of_the_code_and_completes_words(mount):
    with Terminal("join", mount=mount.mount) as terminal:
        terminal.wait("Tab completes words")
        assert not terminal.echoes()
        terminal.type("4821-gui\t")                # one word begins so: it and a dash are added
        terminal.wait("****-******-")
        terminal.type("zqz\t\x7f\x7f\x7f")         # no word: a bell, nothing else
        terminal.wait("\a")
        terminal.type("\x1b[Djac\tMOO\t\r")        # an arrow is passed over; large letters are small ones
        assert terminal.end() == 0 and terminal.echoes()
        assert "guitar" not in terminal.text and "jacket" not in terminal.text and "4821" not in terminal.text
    assert "4821-guitar-jacket-moon" in os.listdir(mount.inbox())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_put_back_by_a_signal(mount, number):
    before = os.listdir(mount.inbox())
    with Terminal("join", mount=mount.mount) as terminal:
        terminal.wait("Code")
        terminal.type("4821-")
        terminal.wait("****-")
        os.kill(terminal.pid, number)
        assert terminal.end() == -number and terminal.echoes()
    assert os.listdir(mount.inbox()) == before


@pytest.mark.parametrize("keys", ["\x03", "\x04", "4821-gui\x03"], ids=ascii)
def test_join_can_be_given_up(mount, keys):
    before = os.listdir(mount.inbox())
    with Terminal("join", mount=mount.mount) as terminal:
        terminal.wait("Code")
        terminal.type(keys)
        assert terminal.end() == 1 and terminal.echoes() and "no code given" in terminal.text
    assert os.listdir(mount.inbox()) == before


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_code_that_met_nobody_is_taken_back_at_the_end(mount, scratch, end):
    with Terminal("receive", "7-mistyped", scratch, mount=mount.mount) as terminal:
        terminal.wait("waiting for the other end")
        assert "7-mistyped" in os.listdir(mount.inbox())
        os.kill(terminal.pid, end)
        assert terminal.end() == -end
    assert "7-mistyped" not in os.listdir(mount.inbox())
    os.mkdir(mount.inbox("7-mistyped"))  # one that stood there before is not ours to take back
    with Terminal("receive", "7-mistyped", scratch, mount=mount.mount) as terminal:
        terminal.wait("waiting for the other end")
        os.kill(terminal.pid, end)
        assert terminal.end() == -end
    os.rmdir(mount.inbox("7-mistyped"))


def test_watch_is_a_table_until_it_is_ended(make_pair):
    pair = make_pair(through_proxy=True, debug=False)
    pair.proxy.rate(up=1 << 20)
    trees.write_random(pair.sent("film"), 20 << 20)
    wait_state(pair.got("film"), "arriving")
    with Terminal("watch", mount=pair.a.mount, columns=80) as terminal:
        terminal.wait("\u2588")
        terminal.wait("left")
        rows = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.text).splitlines()
        assert any(re.match("  to send, average .* MB/s .* left$", row) for row in rows) and max(map(len, rows)) <= 80
        assert pair.code in terminal.text and "MB/s" in terminal.text and re.search(r"(direct|lan) +(excellent|good|fair|poor)", terminal.text) and "\x1b[?25l" in terminal.text
        terminal.type("\x03")
        assert terminal.end() == 0 and terminal.text.rstrip("\r\n").endswith("\x1b[?7h\x1b[?25h")


def test_send_and_receive_ask(shared_pair, scratch):
    top, target = os.path.join(scratch, "tree"), os.path.join(scratch, "target")
    for folder in ("tree/node_modules", "tree/.git", "target"):
        os.makedirs(os.path.join(scratch, folder))
    for name in ("a", "node_modules/b", ".git/c"):
        trees.write_random(os.path.join(top, name), 1000)
    with Terminal("send", top, mount=shared_pair.a.mount) as sender:
        sender.wait("Leave them out? [Y/n]")
        assert os.path.join(top, "node_modules") in sender.text
        sender.type("\n")
        sender.wait("Leave them out? [y/N]")
        assert os.path.join(top, ".git") in sender.text
        sender.type("y\n")
        sender.wait("waiting for the other end")
        code = CODE.search(sender.text).group()
        with Terminal("receive", target, mount=shared_pair.b.mount) as receiver:
            receiver.wait("Code")
            receiver.type(code + "\r")
            receiver.wait("1 file, 1000 B. Receive? [Y/n]")
            receiver.type("y\n")
            assert receiver.end() == 0, receiver.text
            assert code not in receiver.text and "received: 1 file" in receiver.text
        assert sender.end() == 0 and "delivered: 1 file" in sender.text
    assert trees.files(target) == [b"tree/a"]
    with Terminal("send", "--to", code, os.path.join(top, "a"), mount=shared_pair.a.mount) as sender:
        with Terminal("receive", code, target, mount=shared_pair.b.mount) as receiver:
            receiver.wait("Receive? [Y/n]")
            receiver.type("n\n")
            assert receiver.end() == 1 and "not received" in receiver.text
        assert sender.end() == 0
    assert os.listdir(target) == ["tree"] and os.listdir(shared_pair.b.inbox(code)) == ["a"]


def test_a_pipe_gets_neither_colours_nor_questions(mount, scratch):
    os.makedirs(os.path.join(scratch, "tree", "node_modules"))
    sender = start("send", os.path.join(scratch, "tree"), mount=mount.mount)
    try:
        line = b""
        while b"waiting" not in line:
            line = sender.stdout.readline()
            assert b"\x1b" not in line and b"?" not in line
    finally:
        sender.kill()
        sender.communicate()
    assert "\x1b" not in good("links", mount=mount.mount)
