# SPDX-License-Identifier: MIT
"""Pairing: either order, wrong codes, both ends sending, restarts, a burned code, guesses that run out, kills in the middle."""
import contextlib
import errno
import os
import sqlite3

import pytest

import ftxp
from harness import CODE, Pair, is_mounted, state, wait_state, wait_until, xattr

OTHER = "7-guitar-harvesx"  # same label, so the ends meet


def two_nodes(make_node):
    a, b = make_node("A"), make_node("B")
    a.peers, b.peers = [b.port], [a.port]
    return a, b


def wait_connected(a, b, code=CODE, timeout=30):
    wait_state(a.outbox(code), "connected", timeout=timeout)
    wait_state(b.inbox(code), "connected", timeout=timeout)


@pytest.mark.main_path
@pytest.mark.parametrize("first", ["outbox", "inbox"])
@pytest.mark.parametrize("up", ["both up", "other end down"])
def test_pairs_in_any_order(make_node, first, up):
    sender, receiver = two_nodes(make_node)
    folders = {"outbox": (sender, sender.outbox(CODE)), "inbox": (receiver, receiver.inbox(CODE))}
    second = "inbox" if first == "outbox" else "outbox"
    early, early_folder = folders[first]
    late, late_folder = folders[second]
    early.start()
    if up == "both up":
        late.start()
    os.mkdir(early_folder)
    assert state(early_folder) in ("waiting", "pairing")
    if not late.running():
        late.start()
    os.mkdir(late_folder)
    wait_connected(sender, receiver)
    for node in (sender, receiver):  # a link is full duplex
        assert os.path.isdir(node.outbox(CODE)) and os.path.isdir(node.inbox(CODE))
        assert xattr(node.outbox(CODE), "peer")


def test_a_code_without_label_pairs(make_node):
    a, b = two_nodes(make_node)
    a.start()
    b.start()
    os.mkdir(a.outbox("secretword"))
    os.mkdir(b.inbox("secretword"))
    wait_connected(a, b, "secretword")


@pytest.mark.parametrize("name", [
    "abc", "a" * 65, "UPPER-case", "under_score", "with space", "dot.dot", "ünder", "new\nline", "....", b"\xff\xff\xff\xff",
], ids=repr)
@pytest.mark.parametrize("box", ["outbox", "inbox"])
def test_bad_codes_are_refused(shared_pair, box, name):
    with pytest.raises(OSError) as caught:
        os.mkdir(os.path.join(os.fsencode(shared_pair.a.mount), box.encode(), os.fsencode(name)))
    assert caught.value.errno == errno.EINVAL
    assert os.listdir(shared_pair.a.outbox()) == [CODE]


def test_codes_of_4_and_64_characters_are_accepted(make_node):
    node = make_node(listen=False).start()
    for code in ("abcd", "a-" * 32, "0123", "z" * 64):
        os.mkdir(node.outbox(code))
        wait_state(node.outbox(code), "waiting", "pairing")


def test_only_folders_are_links(shared_pair):
    for box in (shared_pair.a.outbox(), shared_pair.a.inbox()):
        with pytest.raises(OSError):
            os.close(os.open(os.path.join(box, "9-just-a-file"), os.O_CREAT | os.O_WRONLY, 0o644))
        with pytest.raises(OSError):
            os.symlink("x", os.path.join(box, "9-just-a-link"))


def test_a_wrong_code_does_not_pair(make_node):
    a, b = two_nodes(make_node)
    a.start()
    b.start()
    os.mkdir(a.outbox(CODE))
    os.mkdir(b.inbox(OTHER))
    os.mkdir(a.outbox("8-other-thing"))
    os.mkdir(b.inbox("8-other-thing"))
    wait_connected(a, b, "8-other-thing")  # by then the wrong code had its chance
    assert state(a.outbox(CODE)) in ("waiting", "pairing")
    assert state(b.inbox(OTHER)) in ("waiting", "pairing")
    assert not os.path.exists(a.inbox(CODE)) and not os.path.exists(b.outbox(OTHER))


def test_both_ends_sending_is_said_on_both(make_node):
    a, b = two_nodes(make_node)
    a.start()
    b.start()
    os.mkdir(a.outbox(CODE))
    os.mkdir(b.outbox(CODE))
    for node in (a, b):
        wait_until(lambda node=node: "send" in (state(node.outbox(CODE)) or ""), f"{node.name} to say that both ends send", 30)


@pytest.mark.limit(150)
def test_restarts_reconnect(pair):
    for number, (who, how) in enumerate([("a", "stop"), ("b", "stop"), ("ab", "stop"), ("a", "kill9"), ("b", "kill9"), ("ab", "kill9")]):
        nodes = [getattr(pair, name) for name in who]
        for node in nodes:
            getattr(node, how)()
        if len(nodes) == 1:
            other = pair.got() if who == "a" else pair.sent()
            wait_state(other, "offline", timeout=60)
        for node in nodes:
            node.start()
        pair.wait_connected()
        pair.send_file(f"after-{number}", b"still here %d" % number)


def test_the_code_is_burned(pair):
    pair.send_file("one", b"paired and resumed")
    for role, node in ((ftxp.SENDER, pair.b), (ftxp.RECEIVER, pair.a)):
        with pytest.raises(OSError):  # the right code finds no link any more: closed, or reset
            ftxp.guess(node.port, CODE.encode(), role)
    for node in (pair.a, pair.b):
        for folder in (node.outbox(CODE), node.inbox(CODE)):
            for name in os.listxattr(folder):
                assert CODE.encode() not in os.getxattr(folder, name), name
        node.stop()
        database = sqlite3.connect(f"file:{node.store}/.ftx/state.db?mode=ro", uri=True)
        found = []
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            cursor = database.execute(f'SELECT * FROM "{table}"')
            columns = [column[0] for column in cursor.description]
            for row in cursor:
                found += [(table, column) for column, value in zip(columns, row)
                          if CODE.encode() in (value if isinstance(value, bytes) else str(value).encode())]
        database.close()
        # the folder's name, as it is and as it was when something was delivered; the secret is gone
        assert set(found) <= {("links", "name"), ("link", "name"), ("history", "changes")}


@pytest.mark.parametrize("role", ["outbox", "inbox"])
def test_ten_wrong_guesses_lock_a_code_for_good(make_node, role):
    node = make_node().start()
    folder = getattr(node, role)(CODE)
    os.mkdir(folder)
    stranger = ftxp.RECEIVER if role == "outbox" else ftxp.SENDER

    def guess_wrong(number):
        """One wrong guess from an address of its own; None if it was not even heard."""
        try:
            return not ftxp.guess(node.port, b"7-wrong-guess", stranger, source=f"127.0.0.{2 + number}")
        except OSError:
            return None
    for number in range(9):
        assert state(folder) != "locked"
        wait_until(lambda number=number: guess_wrong(number), f"guess {number + 1} to be heard")
    node.kill9()
    node.start()
    assert state(folder) != "locked"
    wait_until(lambda: guess_wrong(9), "guess 10 to be heard")
    wait_state(folder, "locked", timeout=5)
    assert "ftx rearm" in xattr(folder, "error")
    for restart in ("kill9", "stop"):
        getattr(node, restart)()
        node.start()
        assert state(folder) == "locked"
    with pytest.raises(OSError):
        ftxp.guess(node.port, CODE.encode(), stranger)
    assert state(folder) == "locked"


def test_connections_that_end_before_a_tag_cost_nothing(make_node):
    node = make_node().start()
    os.mkdir(node.outbox(CODE))
    for number in range(12):
        with ftxp.connect(node.port, f"127.0.0.{2 + number}") as connection:
            connection.sendall(ftxp.hello(ftxp.PAIR, ftxp.RECEIVER))
            ftxp.receive(connection, 42 + 32)  # Hello and Ya; we leave without our share
    assert ftxp.guess(node.port, CODE.encode(), ftxp.RECEIVER)
    assert state(node.outbox(CODE)) != "locked"


def test_kill_during_pairing_leaves_it_pairable(scratch):
    """Either end dies at some byte of the handshake: both come back, pair, and work. All of them at once: most of it is waiting."""
    with contextlib.ExitStack() as stack:
        pairs = []
        for number, (victim, direction, count) in enumerate([
                ("b", "up", 42), ("a", "down", 60), ("b", "up", 130), ("a", "down", 138), ("b", "up", 218), ("a", "down", 217), ("a", "up", 234),
                ("b", "down", 234)]):
            pair = Pair(os.path.join(scratch, str(number)), through_proxy=True)
            stack.callback(pair.destroy)
            victim = getattr(pair, victim)
            pair.proxy.at(direction, count, victim.kill9_now)
            pair.a.start()
            pair.b.start()
            pair.arm()
            wait_until(lambda victim=victim: not victim.running(), f"the kill at byte {count} {direction}")
            victim.kill9()
            victim.start()
            pairs.append(pair)
        for number, pair in enumerate(pairs):
            pair.wait_connected(timeout=60)
            pair.send_file("works", b"%d" % number)
    assert not any(is_mounted(pair.a.mount) for pair in pairs)


def test_a_link_can_be_renamed(pair):
    os.rename(pair.a.outbox(CODE), pair.a.outbox("alice"))
    assert os.listdir(pair.a.inbox()) == ["alice"]
    wait_state(pair.a.outbox("alice"), "connected")
    with open(pair.a.outbox("alice", "hello"), "wb") as out:
        out.write(b"by the new name")
    pair.wait_complete("hello")
    pair.a.stop()
    pair.a.start()
    assert os.listdir(pair.a.outbox()) == ["alice"]
    wait_state(pair.a.outbox("alice"), "connected", timeout=30)


def test_two_links_between_the_same_machines(pair):
    os.mkdir(pair.b.outbox("8-way-back"))
    os.mkdir(pair.a.inbox("8-way-back"))
    wait_state(pair.b.outbox("8-way-back"), "connected", timeout=30)
    with open(pair.b.outbox("8-way-back", "there"), "wb") as out:
        out.write(b"other way")
    wait_state(pair.a.inbox("8-way-back", "there"), "complete")
    with open(pair.b.outbox(CODE, "back"), "wb") as out:  # R of the first link sends as well
        out.write(b"same link, other way")
    wait_state(pair.a.inbox(CODE, "back"), "complete")
    assert os.listdir(pair.a.inbox(CODE)) == ["back"]
