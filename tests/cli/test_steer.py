# SPDX-License-Identifier: MIT
"""ftx on the control files: what steers a link, and what it tells of the past."""
import json
import os
import re

import pytest

import harness
import trees
from command import ftx, good, lines, refused
from harness import wait_state, wait_until

ODD = b"caf\xe9-\xc2\x9b"


def link_of(pair, end):
    return lines("status", pair.code, mount=end.mount)[0]


@pytest.mark.parametrize("arguments, status", [
    (("pause", "nobody"), 4), (("resume", "nobody"), 4), (("retry", "nobody"), 4), (("unpair", "nobody"), 4), (("rearm", "nobody"), 4),
    (("limit", "nobody", "up=1M"), 4), (("config", "nobody", "accept=all"), 4), (("priority", "nobody", "3"), 4),
    (("limit", harness.CODE, "up=fast"), 2), (("limit", harness.CODE, "sideways=1"), 2), (("limit", harness.CODE, "up=1\npause *"), 2),
    (("config", harness.CODE, "nonsense=1"), 2), (("config", harness.CODE, "max_size=-1"), 2), (("priority", harness.CODE, "11"), 2),
    (("priority", harness.CODE, "\x1b[2J"), 2), (("unpair", harness.CODE, "gently"), 2), (("rearm", harness.CODE), 1),
    (("history", "--link", "nobody"), 4), (("stats", "--link", "nobody"), 4), (("history", "--link", harness.CODE, "--limit", "x"), 2),
    (("cancel", harness.CODE), 2), (("cancel", "outbox"), 2), (("reject", f"outbox/{harness.CODE}/x"), 2), (("accept", "inbox/nobody/x"), 2),
], ids=ascii)
def test_what_cannot_be_done_is_one_line(shared_pair, arguments, status):
    refused(status, *arguments, mount=shared_pair.a.mount)


def test_pause_and_resume(shared_pair):
    pair = shared_pair
    good("pause", pair.code, mount=pair.a.mount)
    wait_state(pair.sent(), "paused")
    assert link_of(pair, pair.a)["paused"] is True and "paused" in good("links", mount=pair.a.mount)
    assert lines("resume", "*", mount=pair.a.mount) == [{"done": "resume *"}]
    pair.wait_connected()
    pair.send_file("after the pause", b"x")


def test_limits_priorities_and_policies_are_kept(shared_pair):
    pair = shared_pair
    good("limit", pair.code, "up=2M", "down=none", mount=pair.a.mount)
    good("config", pair.code, "max_size=1G", mount=pair.a.mount)
    good("priority", pair.code, "9", mount=pair.a.mount)
    with open(pair.sent("urgent"), "wb") as out:
        out.write(b"x")
    good("priority", pair.sent("urgent"), "10")
    link = link_of(pair, pair.a)
    assert link["limit"] == {"up": 2 << 20, "down": None} and link["policy"]["max_size"] == 1 << 30 and link["priority"] == 9
    assert harness.xattr(pair.sent("urgent"), "priority") == "10"
    good("limit", pair.code, "up=none", mount=pair.a.mount)
    good("priority", f"outbox/{pair.code}/urgent", "-", mount=pair.a.mount)


def test_groups_are_made_shown_changed_and_dissolved(make_node):
    node = make_node(debug=False).start()
    for code in ("1-alice", "2-bob", "3-carol"):
        os.mkdir(node.outbox(code))
    assert good("group", mount=node.mount) == ""
    good("group", "team", "=", "1-alice", "2-bob", mount=node.mount)
    assert good("group", mount=node.mount).split() == ["team", "=", "1-alice", "2-bob"]
    good("group", "team", "+", "3-carol", mount=node.mount)
    assert lines("group", "team", "-", "2-bob", mount=node.mount) == [{"done": "group team - 2-bob"}]
    with open(node.outbox("team", "file"), "wb") as out:
        out.write(b"12345")
    group, = lines("group", "team", mount=node.mount)
    queue = {"files": 1, "bytes": 5}
    assert group == {"name": "team", "queue": queue, "members": [{"name": name, "state": "waiting", "queue": queue} for name in ("1-alice", "3-carol")]}
    assert [line.split()[:2] for line in good("group", "team", mount=node.mount).splitlines()] == [["1-alice", "waiting"], ["3-carol", "waiting"]]
    assert "group of 1-alice 3-carol" in good("links", mount=node.mount) and "to send 1 file, 5 B" in good("status", "team", mount=node.mount)
    assert harness.xattr(node.outbox("team", "file"), "members") == "1-alice=queued 3-carol=queued"
    for status, words in ((4, ("group", "crew")), (4, ("group", "crew", "+", "1-alice")), (4, ("group", "team", "+", "nobody")), (1, ("group", "team", "+", "1-alice")),
                          (1, ("group", "1-alice", "=", "3-carol")), (4, ("ungroup", "1-alice")), (1, ("ungroup", "team"))):
        refused(status, *words, mount=node.mount)
    good("ungroup", "team", "force", mount=node.mount)
    assert good("group", mount=node.mount) == ""


def test_cancel_and_reject(make_pair):
    pair = make_pair(through_proxy=True, debug=False)
    pair.proxy.rate(up=4 << 20)
    for name in ("one", "two"):
        trees.write_random(pair.sent(name), 8 << 20)
    wait_state(pair.got("two"), "arriving")
    good("cancel", pair.sent("one"))
    good("reject", pair.got("two"))
    pair.proxy.rate()
    wait_state(pair.sent("one"), "cancelled")
    wait_state(pair.sent("two"), "refused")
    results = {line["path"]: line["result"] for line in lines("history", "--link", pair.code, mount=pair.a.mount)}
    assert results == {f"outbox/{pair.code}/one": "cancelled", f"outbox/{pair.code}/two": "refused"}
    assert [line["path"] for line in lines("history", "--state", "refused", mount=pair.a.mount)] == [f"outbox/{pair.code}/two"]
    good("retry", pair.code, mount=pair.a.mount)
    wait_state(pair.sent("one"), "delivered")


def test_offers_are_accepted_by_name_or_all_at_once(make_pair, scratch):
    pair = make_pair(debug=False)
    good("config", pair.code, "accept=ask", mount=pair.b.mount)
    wait_until(lambda: link_of(pair, pair.b)["policy"]["accept"] == "ask", "the setting")
    pair.wait_connected()
    for name in ("a", "b", "c", "d"):
        trees.write_random(pair.sent(name), 1000)
        wait_state(pair.got(name), "offered")
    refused(2, "accept", pair.sent("a"))
    assert "4 offered" in good("status", mount=pair.b.mount)
    good("accept", pair.got("a"), f"inbox/{pair.code}/b", mount=pair.b.mount)
    good("reject", pair.got("c"))
    wait_state(pair.sent("c"), "refused")
    for name in ("a", "b"):
        wait_state(pair.got(name), "complete")
    assert harness.state(pair.got("d")) == "offered"
    good("receive", "--yes", pair.code, scratch, mount=pair.b.mount)
    assert {"a", "b", "d"} <= set(os.listdir(scratch))
    refused(1, "accept", pair.code, mount=pair.b.mount)


def test_send_says_what_was_refused(make_pair, scratch):
    pair = make_pair(debug=False)
    good("config", pair.code, "max_size=1000", mount=pair.b.mount)
    for name, size in (("small", 10), ("large", 100_000)):
        trees.write_random(os.path.join(scratch, name), size)
    done = ftx("send", "--to", pair.code, os.path.join(scratch, "small"), os.path.join(scratch, "large"), mount=pair.a.mount)
    assert done.returncode == 1 and b"large: refused" in done.stderr and b"1 did not arrive" in done.stderr
    wait_state(pair.got("small"), "complete")


def damage(store, content):
    """One bit of the object that holds the content."""
    for folder, _, names in os.walk(os.path.join(store, ".ftx", "objects")):
        for name in names:
            with open(os.path.join(folder, name), "r+b") as file:
                if file.read() == content:
                    file.seek(7)
                    file.write(bytes([content[7] ^ 1]))
                    return
    raise AssertionError("no object has this content")


def test_verify_compares_every_file_with_the_other_end(make_pair):
    pair = make_pair(debug=False, a_options={"release_after": 1, "read_timeout": 2})
    words = good("verify-peer", pair.code, mount=pair.a.mount)
    assert re.fullmatch(r"([a-z]{3,6} ){5}[a-z]{3,6}\n", words) and good("verify-peer", pair.code, mount=pair.b.mount) == words
    sent = [os.path.join(os.fsencode(pair.b.outbox(pair.code)), name) for name in (b"same", ODD, b"bad", b"taken", b"open")]
    got = [os.path.join(os.fsencode(pair.a.inbox(pair.code)), os.path.basename(path)) for path in sent]
    for path in sent:
        with open(path, "wb") as out:
            out.write(path * 1000)
    for path in sent:
        wait_state(path, "delivered")
    with open(pair.sent("released"), "wb") as out:
        out.write(bytes(range(256)) * 4096)
    wait_until(lambda: os.stat(pair.sent("released")).st_blocks <= 16, "a file to be released")
    damage(pair.a.store, sent[2] * 1000)
    os.unlink(got[3])
    assert os.getxattr(sent[0], "user.ftx.peer_sha256").decode() == trees.sha256(sent[0])
    assert os.getxattr(pair.sent("released"), "user.ftx.peer_sha256").decode() == trees.sha256(pair.got("released"))
    with open(sent[4], "ab") as out:
        out.write(b"more")
        for end, verdicts in ((pair.a, ("equal", "equal", "different", None, "not_delivered", "gone_here")),
                              (pair.b, ("equal", "equal", "different", "gone_there", "not_delivered", "gone_there"))):
            done = ftx("--json", "verify", pair.code, mount=end.mount)
            told = [json.loads(line) for line in done.stdout.splitlines()]
            found = {os.path.basename(line["path"].encode("utf-8", "surrogateescape")): line["verdict"] for line in told[:-1]}
            expected = dict(zip((b"same", ODD, b"bad", b"taken", b"open", b"released"), verdicts, strict=True))
            assert found == {name: verdict for name, verdict in expected.items() if verdict}, (end.name, done.stderr)
            assert done.returncode == 1 and not done.stderr and told[-1]["different"] == 1 and told[-1]["equal"] == 2
    shown = ftx("verify", pair.code, mount=pair.b.mount).stdout.decode()
    assert re.search(r"^different +outbox/\S+/bad$", shown, re.M) and "caf\\xe9-\\xc2\\x9b" in shown
    os.unlink(sent[2])
    wait_state(sent[4], "delivered")
    assert "0 different" in good("verify", pair.code, mount=pair.b.mount)
    pair.b.stop()
    wait_state(pair.sent(), "offline")
    refused(1, "verify", pair.code, mount=pair.a.mount, words=("offline",))
    with pytest.raises(TimeoutError):
        os.getxattr(got[0], "user.ftx.peer_sha256")


def test_history_and_stats_add_up(make_pair):
    pair = make_pair(debug=False)
    sizes = {b"a.txt": 10, b"b.txt": 20, b"film.MKV": 1000, ODD: 5}
    for name, size in sizes.items():
        trees.write_random(os.path.join(os.fsencode(pair.sent()), name), size)
    wait_until(lambda: len(lines("history", mount=pair.a.mount)) == 4, "four lines")
    wait_until(lambda: len(lines("history", mount=pair.b.mount)) == 4, "four lines there")
    told = lines("history", mount=pair.a.mount)
    names = {line["path"].encode("utf-8", "surrogateescape").rpartition(b"/")[2]: line["size"] for line in told}
    assert names == sizes and {line["result"] for line in told} == {"delivered"}
    assert lines("history", "--limit", "2", mount=pair.a.mount) == told[2:]
    assert lines("history", "--limit", "0", mount=pair.a.mount) == lines("history", "--until", "1h", mount=pair.a.mount) == []
    assert lines("history", "--since", "1h", mount=pair.a.mount) == lines("history", "--since", "2020-01-01T00:00Z", mount=pair.a.mount) == told
    shown = good("history", mount=pair.b.mount)
    assert len(shown.splitlines()) == 4 and "complete" in shown and "\\xe9" in shown and shown.replace("\n", "").isprintable()
    stats = lines("stats", mount=pair.a.mount)[0]
    assert (stats["transfers"], stats["arrived"], stats["bytes"], stats["success"]) == (4, 4, 1035, 1)
    assert {kind["name"]: kind["bytes"] for kind in stats["kinds"]} == {"txt": 30, "mkv": 1000, "-": 5}
    assert [link["name"] for link in stats["links"]] == [pair.code]
    assert "mkv" in good("stats", mount=pair.a.mount)


def test_watch_names_the_files_on_their_way(make_pair):
    pair = make_pair(through_proxy=True, debug=False)
    pair.proxy.rate(up=1 << 20)
    trees.write_random(pair.sent("film"), 8 << 20)
    wait_state(pair.got("film"), "arriving")
    for end, path in ((pair.a, f"outbox/{pair.code}/film"), (pair.b, f"inbox/{pair.code}/film")):
        told = lines("watch", "--count", "1", mount=end.mount)[0]
        assert [line["path"] for line in told["transfers"]] == [path] and told["transfers"][0]["bytes"] < 8 << 20


def test_unpair_needs_force_for_what_is_there(make_pair):
    pair = make_pair(debug=False)
    pair.send_file("kept", b"x")
    refused(1, "unpair", pair.code, mount=pair.b.mount)
    for folder in (pair.b.inbox(pair.code), pair.b.outbox(pair.code)):
        os.stat(folder)  # which the kernel remembers for a while
    good("unpair", pair.code, "force", mount=pair.b.mount)
    for command, *words in (("accept",), ("reject",), ("priority", "3"), ("status",), ("pause",)):
        refused(4, command, pair.code, *words, mount=pair.b.mount)
    assert not os.listdir(pair.b.inbox()) and not os.listdir(pair.b.outbox())
    refused(4, "verify-peer", pair.code, mount=pair.b.mount)
    assert [line["link"] for line in lines("history", "--link", pair.code, mount=pair.b.mount)] == [pair.code]  # it is remembered
