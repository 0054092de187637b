# SPDX-License-Identifier: MIT
"""The tools of these tests, tested themselves: the proxy does what it says, tree comparison sees what differs, CPace meets the vectors."""
import hashlib
import json
import os
import socket
import threading

import pytest

import ftxp
import proxy
import trees
from harness import wait_until

VECTORS = os.environ.get("FTX_VECTORS") or os.path.join(os.path.dirname(__file__), "../vectors")


@pytest.fixture
def echo():
    """A proxy before a server that takes all bytes and then answers with their SHA-256."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        digest = hashlib.sha256()
        try:
            while data := connection.recv(1 << 18):
                digest.update(data)
            connection.sendall(digest.digest())
        except OSError:
            pass
        connection.close()

    def accept():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    between = proxy.Proxy(server.getsockname()[1])
    yield between
    between.close()
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def send(between, data):
    with socket.create_connection(("127.0.0.1", between.port), timeout=20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return ftxp.receive(connection, 32)


def test_proxy_passes_and_counts(echo):
    data = trees.random_bytes(5_000_000)
    assert send(echo, data) == hashlib.sha256(data).digest()
    assert echo.count == {"up": len(data), "down": 32} and echo.n_connections == 1


def test_proxy_acts_at_the_byte(echo):
    echo.at("up", 123_457, echo.cut)
    with pytest.raises(OSError):
        send(echo, bytes(5_000_000))
    assert echo.count["up"] == 123_457
    with pytest.raises(OSError):
        send(echo, b"refused")
    echo.restore()
    assert send(echo, b"x") == hashlib.sha256(b"x").digest()


def test_proxy_flips_and_dribbles(echo):
    echo.flip("up", 3)
    echo.dribble()
    assert send(echo, b"0000000") == hashlib.sha256(b"000 000").digest()


def test_proxy_stalls_silently(echo):
    echo.stall()
    answers = []
    thread = threading.Thread(target=lambda: answers.append(send(echo, b"patience")), daemon=True)
    thread.start()
    wait_until(lambda: echo.n_connections == 1, "the connection")
    thread.join(0.1)
    assert not answers and echo.count["up"] == 0
    echo.go_on()
    thread.join(10)
    assert answers == [hashlib.sha256(b"patience").digest()]


def test_comparison_sees_every_difference(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    trees.make_zoo(one)
    trees.make_zoo(other)
    trees.compare_trees(one, other)
    for change in (lambda: os.chmod(other / "mode-640", 0o644), lambda: os.utime(other / "sparse", ns=(1, 2)),
                   lambda: os.unlink(other / "link"), lambda: os.mkdir(other / "more")):
        before = trees.differences(one, other, limit=100)
        change()
        assert len(trees.differences(one, other, limit=100)) == len(before) + 1
    path = other / "con"
    info = path.stat()
    path.write_bytes(bytes(info.st_size))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert [line for line in trees.differences(one, other, limit=100) if line.startswith("b'con': contents")]


def test_cpace_meets_the_drafts_vectors():
    with open(os.path.join(VECTORS, "cpace.json"), encoding="ascii") as file:
        vector = json.load(file)["G_Coffee25519"]
    prs, context, sid, g, ya, yb, share_a, share_b, ad_a, ad_b, isk = (
        bytes.fromhex(vector[name]) for name in ("PRS", "CI", "sid", "g", "ya", "yb", "Ya", "Yb", "ADa", "ADb", "ISK_IR"))
    assert ftxp.cpace_generator(prs, context, sid) == g
    assert ftxp.cpace_share(g, ya) == share_a and ftxp.cpace_share(g, yb) == share_b
    assert ftxp.cpace_key(ya, share_b, sid, share_a, share_b, ad_a, ad_b) == isk
    assert ftxp.cpace_key(yb, share_a, sid, share_a, share_b, ad_a, ad_b) == isk
