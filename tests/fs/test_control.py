# SPDX-License-Identifier: MIT
"""The files in .ftx that tell and steer: events, history, ctl; and what commands do to a pair."""
import contextlib
import errno
import hashlib
import json
import os
import select
import signal
import subprocess
import threading

import pytest

import trees
from harness import CODE, MIB, progress, state, wait_state, wait_until, xattr


def control(node, name):
    return os.path.join(node.mount, ".ftx", name)


def command(node, text):
    fd = os.open(control(node, "ctl"), os.O_WRONLY)
    try:
        assert os.write(fd, text.encode()) == len(text.encode())
    finally:
        os.close(fd)


def fails(number, node, text):
    with pytest.raises(OSError) as caught:
        command(node, text)
    assert caught.value.errno == number, text


def read_now(node, name="events"):
    """Every line that is there, without waiting for more."""
    fd = os.open(control(node, name), os.O_RDONLY | os.O_NONBLOCK)
    blocks = []
    try:
        with contextlib.suppress(BlockingIOError):
            while block := os.read(fd, 1 << 16):
                blocks.append(block)
    finally:
        os.close(fd)
    return [json.loads(line) for line in b"".join(blocks).splitlines()]


def events_of(node, *names):
    return [event for event in read_now(node) if event["event"] in names]


def wait_event(node, name, **fields):
    def found():
        return [event for event in events_of(node, name) if all(event[key] == fields[key] for key in fields)]
    return wait_until(found, f"event {name} {fields}")[-1]


def link_of(node, name=CODE):
    return next(link for link in node.status()["links"] if link["name"] == name)


@pytest.mark.main_path
def test_events_tell_a_transfer_from_both_ends(shared_pair):
    name = b"caf\xe9 1"
    path = os.fsencode(shared_pair.sent()) + b"/" + name
    with open(path, "wb") as out:
        out.write(b"x" * 5)
    shown = f"{CODE}/" + name.decode("utf-8", "surrogateescape")
    assert wait_event(shared_pair.a, "delivered", path="outbox/" + shown)["size"] == 5
    assert wait_event(shared_pair.b, "complete", path="inbox/" + shown)["size"] == 5
    for node, expected in ((shared_pair.a, ["queued", "delivered"]), (shared_pair.b, ["arriving", "complete"])):
        lines = read_now(node)
        assert [line["event"] for line in lines if line.get("path", "").endswith(shown)] == expected
        assert [line["seq"] for line in lines] == list(range(lines[0]["seq"], lines[0]["seq"] + len(lines)))
        assert all(line["format"] == 1 and line["time"].endswith("Z") for line in lines)
        status = node.status()
        assert status["format"] == 1 and status["events"]["last"] >= lines[-1]["seq"]
    for node in (shared_pair.a, shared_pair.b):
        events = {line["event"] for line in read_now(node)}
        assert {"armed", "paired", "connected"} <= events and "pairing_failed" not in events
    for node, direction, result in ((shared_pair.a, "out", "delivered"), (shared_pair.b, "in", "complete")):
        line = read_now(node, "history")[-1]
        assert line["path"].endswith(shown) and line["direction"] == direction and line["result"] == result
        assert line["size"] == 5 and line["seconds"] >= 0 and line["link"] == CODE


def test_verifier_is_the_same_at_both_ends(shared_pair):
    words = {xattr(folder, "verifier") for folder in (shared_pair.sent(), shared_pair.got())}
    assert len(words) == 1 and len(words.pop().split()) == 6
    assert xattr(shared_pair.sent(), "verifier") == link_of(shared_pair.b)["verifier"]


def test_reading_at_the_end_waits_and_a_signal_ends_it(shared_pair):
    node = shared_pair.a
    with subprocess.Popen(["cat", control(node, "events")], stdout=subprocess.PIPE) as reader:
        assert json.loads(reader.stdout.readline())["seq"] >= 1  # and it waits for more
        reader.send_signal(signal.SIGINT)
        assert reader.wait(5) != 0
    fd = os.open(control(node, "events"), os.O_RDONLY)
    try:
        os.lseek(fd, 0, os.SEEK_END)
        got = []
        thread = threading.Thread(target=lambda: got.append(os.read(fd, 4096)))
        thread.start()
        command(node, f"pause {CODE}\nresume {CODE}\n")
        thread.join(10)
        assert json.loads(got[0].splitlines()[0])["event"] == "paused"
    finally:
        os.close(fd)
    shared_pair.wait_connected()


def test_tail_follows(shared_pair):
    node = shared_pair.a
    with subprocess.Popen(["tail", "-n", "0", "-s", "0.05", "-f", control(node, "events")],
                          stdout=subprocess.PIPE) as tail:
        try:
            def told():
                command(node, f"limit {CODE} up=none")
                return select.select([tail.stdout], [], [], 0.1)[0]
            wait_until(told, "tail to tell")
            assert json.loads(tail.stdout.readline())["event"] == "configured"
        finally:
            tail.kill()


def test_poll_wakes_when_something_happens(shared_pair):
    node = shared_pair.a
    fd = os.open(control(node, "events"), os.O_RDONLY | os.O_NONBLOCK)
    poll, queue = select.poll(), select.epoll()
    try:
        poll.register(fd, select.POLLIN)
        assert poll.poll(0) == [(fd, select.POLLIN)]  # what is kept can be read
        with contextlib.suppress(BlockingIOError):
            while os.read(fd, 1 << 16):
                pass
        assert poll.poll(0) == []
        queue.register(fd, select.EPOLLIN)
        for waits in (lambda: poll.poll(10000), lambda: queue.poll(10), lambda: select.select([fd], [], [], 10)[0]):
            timer = threading.Timer(0.05, command, (node, f"limit {CODE} up=none"))
            timer.start()
            assert waits()
            timer.join()
            assert json.loads(os.read(fd, 1 << 16).splitlines()[-1])["event"] == "configured"
    finally:
        queue.close()
        os.close(fd)


def test_commands_that_cannot_be_done_say_why(shared_pair):
    node = shared_pair.a
    for number, text in ((errno.EINVAL, "frobnicate"), (errno.EINVAL, "pause"), (errno.EINVAL, f"pause {CODE} now"),
                         (errno.ENOENT, "pause nobody"), (errno.ENOENT, f"cancel outbox/{CODE}/missing"),
                         (errno.ENOENT, "cancel /etc/passwd"), (errno.EALREADY, f"rearm {CODE}"),
                         (errno.EINVAL, f"limit {CODE} up=fast"), (errno.EINVAL, f"config {CODE} accept=some"),
                         (errno.EINVAL, f"priority {CODE} 11"), (errno.EINVAL, "pause \x00"),
                         (errno.EOPNOTSUPP, f"priority inbox/{CODE} 3"), (errno.EMSGSIZE, "#" * 8193),
                         (errno.EOPNOTSUPP, "config * accept=none")):
        fails(number, node, text)
        event = events_of(node, "command_failed")[-1]
        assert event["error"] == errno.errorcode[number].replace("ENOTSUP", "EOPNOTSUPP") and event["message"]
        assert event["command"] == text[:256]
    command(node, "# nothing\n\n")
    with open(control(node, "ctl"), "wb", buffering=0) as out:  # the first is done, the rest is not
        text = f"limit {CODE} up=none\nnonsense\n".encode()
        assert out.write(text) == text.index(b"nonsense")


def test_paused_link_moves_nothing_until_it_is_resumed(make_pair):
    pair = make_pair()
    command(pair.a, f"pause {CODE}")
    assert state(pair.sent()) == "paused" and link_of(pair.a)["paused"]
    wait_state(pair.b.inbox(CODE), "offline")
    with open(pair.sent("late"), "wb") as out:
        out.write(b"x")
    pair.a.stop()
    pair.a.start()
    assert state(pair.sent()) == "paused"
    assert state(pair.sent("late")) == "queued" and not os.path.exists(pair.got("late"))
    command(pair.a, "resume *")
    pair.wait_complete("late")
    assert [event["event"] for event in events_of(pair.b, "disconnected", "connected")][-2:] == ["disconnected", "connected"]
    wait_state(pair.sent("late"), "delivered")
    assert read_now(pair.a, "history")[-1]["path"].endswith("/late")


def test_cancel_and_retry(make_pair):
    pair = make_pair()
    command(pair.a, f"limit {CODE} up=64K")  # after the first MiB nothing leaves for a while
    data = trees.random_bytes(2 * MIB)
    for name in ("kept", "given up"):
        with open(pair.sent(name), "wb") as out:
            out.write(data)
    wait_until(lambda: os.path.exists(pair.got("given up")), "its name at the peer")
    command(pair.a, f"cancel outbox/{CODE}/given up")
    assert state(pair.sent("given up")) == "cancelled"
    command(pair.a, f"limit {CODE} up=none")
    wait_state(pair.sent("kept"), "delivered")
    wait_until(lambda: not os.path.exists(pair.got("given up")), "the rest of it to go")
    assert read_now(pair.a, "history")[0]["result"] == "cancelled"
    fails(errno.EALREADY, pair.a, f"cancel outbox/{CODE}/kept")
    pair.a.stop()
    pair.a.start()
    assert state(pair.sent("given up")) == "cancelled"
    command(pair.a, f"retry {CODE}")
    pair.wait_complete("given up")
    with open(pair.got("given up"), "rb") as file:
        assert file.read() == data


def test_removed_by_the_receiver_is_offered_again(make_pair):
    pair = make_pair()
    command(pair.a, f"limit {CODE} up=64K")
    with open(pair.sent("file"), "wb") as out:
        out.write(trees.random_bytes(2 * MIB))
    wait_until(lambda: progress(pair.got("file"))[0] > 0, "a part of it")
    command(pair.b, f"cancel inbox/{CODE}/file")
    command(pair.a, f"limit {CODE} up=none")
    assert wait_event(pair.a, "refused")["reason"] == "deleted"
    assert wait_event(pair.b, "refused")["path"] == f"inbox/{CODE}/file"
    command(pair.a, f"retry {CODE}")
    pair.wait_complete("file")


def test_policies_refuse_with_their_reason(shared_pair):
    command(shared_pair.b, f"config {CODE} max_size=1K\n")
    for name, size in (("small", 1024), ("large", 1025)):
        with open(shared_pair.sent(name), "wb") as out:
            out.write(bytes(size))
    wait_state(shared_pair.sent("small"), "delivered")
    wait_state(shared_pair.sent("large"), "refused")
    assert wait_event(shared_pair.a, "refused", path=f"outbox/{CODE}/large")["reason"] == "size"
    assert not os.path.exists(shared_pair.got("large"))
    command(shared_pair.b, f"config {CODE} max_size=none\nconfig {CODE} accept=none\n")
    assert link_of(shared_pair.b)["policy"]["accept"] == "none"
    with open(shared_pair.sent("unwanted"), "wb") as out:
        out.write(b"x")
    wait_state(shared_pair.sent("unwanted"), "refused")
    assert wait_event(shared_pair.b, "refused", path=f"inbox/{CODE}/unwanted")["reason"] == "policy"
    command(shared_pair.b, f"config {CODE} accept=all")
    command(shared_pair.a, f"retry {CODE}")
    wait_state(shared_pair.sent("unwanted"), "delivered")


def test_limit_holds_and_is_lifted(shared_pair):
    command(shared_pair.a, f"limit {CODE} up=1M")
    assert link_of(shared_pair.a)["limit"] == {"up": MIB, "down": None}
    with open(shared_pair.sent("slow"), "wb") as out:
        out.write(trees.random_bytes(24 * MIB))
    wait_until(lambda: progress(shared_pair.got("slow"))[0] > 0, "a part of it")
    assert progress(shared_pair.got("slow"))[0] < 8 * MIB
    assert state(shared_pair.sent()) == "connected"
    command(shared_pair.a, f"limit {CODE} up=none")
    shared_pair.wait_complete("slow")


def test_priority_is_inherited_and_kept(make_node):
    node = make_node(listen=False).start()
    os.makedirs(node.outbox(CODE, "a", "b"))
    assert xattr(node.outbox(CODE, "a", "b"), "priority") == "5"
    os.setxattr(node.outbox(CODE, "a"), "user.ftx.priority", b"9")
    command(node, f"priority {CODE} 2")
    with pytest.raises(OSError) as caught:
        os.setxattr(node.outbox(CODE, "a"), "user.ftx.priority", b"11")
    assert caught.value.errno == errno.EINVAL
    node.stop()
    node.start()
    assert xattr(node.outbox(CODE, "a", "b"), "priority") == "9" and xattr(node.outbox(CODE), "priority") == "2"
    assert os.listxattr(node.outbox(CODE, "a")) == []
    os.removexattr(node.outbox(CODE, "a"), "user.ftx.priority")
    assert xattr(node.outbox(CODE, "a", "b"), "priority") == "2"


def test_sha256_is_computed_when_asked(shared_pair):
    data = trees.random_bytes(3 * MIB + 5)
    shared_pair.send_file("hashed", data)
    wait_state(shared_pair.sent("hashed"), "delivered")
    expected = hashlib.sha256(data).hexdigest()
    for path in (shared_pair.sent("hashed"), shared_pair.got("hashed")):
        assert xattr(path, "sha256") == xattr(path, "sha256") == expected
    with open(shared_pair.sent("hashed"), "r+b") as out:
        out.write(b"changed")
        out.flush()
        with pytest.raises(OSError) as caught:
            os.getxattr(shared_pair.sent("hashed"), "user.ftx.sha256")
        assert caught.value.errno == errno.EAGAIN
    assert xattr(shared_pair.sent("hashed"), "sha256") == hashlib.sha256(b"changed" + data[7:]).hexdigest()
    with open(shared_pair.sent("empty"), "wb"):
        pass
    assert xattr(shared_pair.sent("empty"), "sha256") == hashlib.sha256(b"").hexdigest()
    assert xattr(shared_pair.sent(), "sha256") is None


def test_signal_ends_the_wait_for_a_sha256(make_node):
    node = make_node(listen=False).start()
    os.mkdir(node.outbox(CODE))
    with open(node.outbox(CODE, "holes"), "wb") as out:
        out.truncate(1 << 42)  # hours
    asks = [subprocess.Popen(["getfattr", "-n", "user.ftx.sha256", node.outbox(CODE, "holes")], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL) for _ in range(3)]
    with open(node.outbox(CODE, "small"), "wb") as out:
        out.write(b"x")  # nothing else waits
    for ask in reversed(asks):
        wait_until(lambda ask=ask: b"S" in open(f"/proc/{ask.pid}/stat", "rb").read(), "it to wait")
        ask.kill()
        ask.wait(10)
    assert xattr(node.outbox(CODE, "small"), "sha256") == hashlib.sha256(b"x").hexdigest()


def test_unpair_loses_nothing_unless_it_is_told_to(make_pair):
    pair = make_pair()
    pair.send_file("file", b"x")
    fails(errno.ENOTEMPTY, pair.b, f"unpair {CODE}")
    os.unlink(pair.got("file"))
    command(pair.b, f"pause {CODE}")
    with open(pair.sent("late"), "wb") as out:
        out.write(b"x")
    fails(errno.EBUSY, pair.a, f"unpair {CODE}")
    command(pair.b, f"unpair {CODE}")
    command(pair.a, f"unpair {CODE} force")
    for node in (pair.a, pair.b):
        assert node.status()["links"] == [] and os.listdir(node.outbox()) == os.listdir(node.inbox()) == []
        assert events_of(node, "unpaired")
        node.stop()
        node.start()
        assert node.status()["links"] == []
    os.mkdir(pair.a.outbox(CODE))  # the code is free again


def make_history(pair, names):
    """One line for each name, whether the file was delivered before it was removed or not."""
    for name in names:
        with open(pair.sent(name), "wb"):
            pass
        os.unlink(pair.sent(name))


def test_history_is_bounded_and_can_be_sought_in(make_pair):
    pair = make_pair(a_options={"history_max": 50})
    make_history(pair, map(str, range(60)))
    with open(control(pair.a, "history"), "rb", buffering=0) as file:
        lines = file.read().splitlines()
        assert [json.loads(line)["id"] for line in lines] == list(range(11, 61))
        file.seek(len(lines[0]) + 1)
        assert file.read(len(lines[1])) == lines[1]
        assert file.read() and not file.read()
    pair.a.kill9()
    pair.a.start()
    assert [line["id"] for line in read_now(pair.a, "history")] == list(range(11, 61))
    make_history(pair, ["more"])
    assert read_now(pair.a, "history")[-1]["id"] == 61


def test_history_knows_no_code_that_is_not_used_up(make_node):
    node = make_node(listen=False).start()
    os.mkdir(node.outbox(CODE))
    with open(node.outbox(CODE, "file"), "wb"):
        pass
    os.unlink(node.outbox(CODE, "file"))
    assert events_of(node, "cancelled") and not read_now(node, "history")


def test_wrong_guess_is_told_and_forgotten_by_rearm(make_pair):
    pair = make_pair(connect=False)
    codes = {pair.a: CODE, pair.b: CODE + "s"}
    for node in codes:
        node.start()
    os.mkdir(pair.b.inbox(codes[pair.b]))
    os.mkdir(pair.a.outbox(codes[pair.a]))
    for node, code in codes.items():
        assert wait_event(node, "pairing_failed", link=code)["guesses_left"] < 10
    command(pair.b, f"pause {codes[pair.b]}")
    command(pair.a, f"rearm {CODE}")
    assert link_of(pair.a)["guesses_left"] == 10
    assert len(events_of(pair.a, "armed")) == 2
    fails(errno.ENOENT, pair.a, "rearm other")
