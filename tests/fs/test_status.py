# SPDX-License-Identifier: MIT
"""What the mount tells about itself: .ftx/status and the user.ftx attributes."""
import contextlib
import errno
import json
import os
import re
import subprocess

import pytest

import trees
from harness import BIN, CODE, MIB, progress, state, wait_state, wait_until, xattr


def link_of(node, name=CODE):
    return next(link for link in node.status()["links"] if link["name"] == name)


@pytest.mark.main_path
def test_status_is_json_with_version_and_links(shared_pair):
    version = subprocess.run([BIN, "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().split()[1]
    for node in (shared_pair.a, shared_pair.b):
        status = node.status()
        assert status["version"] == version
        assert [link["name"] for link in status["links"]] == [CODE]
        assert link_of(node)["state"] == "connected"
        assert link_of(node)["peer"] and link_of(node)["path"] == "direct" and link_of(node)["quality"] == "excellent"
        assert 0 < link_of(node)["rtt_ms"] < 30 and 0 <= link_of(node)["loss_percent"] < 100


def test_status_without_links_is_json(make_node):
    assert make_node(listen=False).start().status()["links"] == []


def test_status_tells_the_queue(make_node):
    node = make_node(listen=False).start()
    os.mkdir(node.outbox(CODE))
    with open(node.outbox(CODE, "file"), "wb") as out:
        out.write(bytes(5 * MIB))
    wait_until(lambda: json.dumps(link_of(node)["queue"]) not in ("0", "null", "{}"), "the queue to be told")
    assert link_of(node)["state"] == "waiting"


def test_status_cannot_be_written(shared_pair):
    path = os.path.join(shared_pair.a.mount, ".ftx/status")
    with pytest.raises(OSError):
        os.open(path, os.O_WRONLY)
    with pytest.raises(OSError):
        os.unlink(path)


def test_the_control_folder_is_hidden(shared_pair):
    assert sorted(os.listdir(shared_pair.a.mount)) == ["inbox", "outbox"]
    assert "status" in os.listdir(os.path.join(shared_pair.a.mount, ".ftx"))


def test_nothing_can_be_made_at_the_top(shared_pair):
    for function in (os.mkdir, lambda path: os.close(os.open(path, os.O_CREAT | os.O_WRONLY))):
        with pytest.raises(OSError) as caught:
            function(os.path.join(shared_pair.a.mount, "new"))
        assert caught.value.errno in (errno.EPERM, errno.EACCES)
    for box in ("outbox", "inbox", ".ftx"):
        with pytest.raises(OSError):
            os.rmdir(os.path.join(shared_pair.a.mount, box))


@pytest.mark.main_path
def test_link_attributes(shared_pair):
    for node, port in ((shared_pair.a, shared_pair.b.port), (shared_pair.b, shared_pair.a.port)):
        for folder in (node.outbox(CODE), node.inbox(CODE)):
            assert state(folder) == "connected"
            assert re.fullmatch(r"127\.0\.0\.1:\d+", xattr(folder, "peer")), port
            assert os.listxattr(folder) == []  # else cp -a would carry them away


def test_link_goes_offline_and_comes_back(make_pair):
    pair = make_pair()
    pair.b.stop()
    wait_state(pair.sent(), "offline", timeout=10)
    assert link_of(pair.a)["state"] == "offline"
    pair.b.start()
    pair.wait_connected()


def test_item_attributes_follow_a_transfer(make_pair):
    pair = make_pair(through_proxy=True)
    pair.proxy.rate(up=4 * MIB)
    data, seen = trees.random_bytes(12 * MIB), []
    with open(pair.sent("file"), "wb") as out:
        out.write(data)

    def done():
        seen.append((state(pair.sent("file")), progress(pair.got("file")), progress(pair.sent("file"))))
        return seen[-1][0] == "delivered"
    wait_until(done, "delivered")
    states = [entry[0] for entry in seen]
    assert set(states) <= {"queued", "sending", "delivered"} and "sending" in states
    for end in (1, 2):
        here = [entry[end][0] for entry in seen]
        assert here == sorted(here) and here[-1] == len(data) and len(set(here)) > 3
    assert state(pair.got("file")) == "complete"
    assert xattr(pair.got("file"), "error") in (None, "") and xattr(pair.sent("file"), "error") in (None, "")


def test_status_may_be_open_when_the_mount_ends(make_node):
    """Its release never comes then; the sanitizers tell whether its text is freed all the same."""
    node = make_node()
    node.start()
    status = os.open(os.path.join(node.mount, ".ftx", "status"), os.O_RDONLY)
    try:
        assert os.read(status, 1) == b"{"
        node.terminate()
    finally:
        with contextlib.suppress(OSError):  # ENOTCONN
            os.close(status)


def test_depth_is_limited_where_it_is_made(shared_pair):
    path = shared_pair.sent(*["d"] * 40)
    os.makedirs(path)
    shared_pair.send_file(os.path.join(*["d"] * 40, "bottom"), b"x")
    with pytest.raises(OSError):
        os.makedirs(os.path.join(path, *["e"] * 40))


def test_removed_by_the_receiver_while_arriving_is_refused(make_pair):
    pair = make_pair(through_proxy=True)
    pair.proxy.rate(up=2 * MIB)
    with open(pair.sent("unwanted"), "wb") as out:
        out.write(trees.random_bytes(32 * MIB))
    wait_until(lambda: progress(pair.got("unwanted"))[0] > MIB, "a part of it")
    os.unlink(pair.got("unwanted"))
    wait_state(pair.sent("unwanted"), "refused")
    assert xattr(pair.sent("unwanted"), "error")
    pair.proxy.rate()
    pair.send_file("wanted", b"x")
    assert not os.path.exists(pair.got("unwanted")) and pair.proxy.count["up"] < 16 * MIB


def test_unknown_attributes_are_no_data(shared_pair):
    shared_pair.send_file("plain", b"x")
    with pytest.raises(OSError) as caught:
        os.getxattr(shared_pair.got("plain"), "user.ftx.nonsense")
    assert caught.value.errno == errno.ENODATA
