# SPDX-License-Identifier: MIT
"""The world of a liar: a victim with a link to an honest ftxfs and one to a peer of ours; what must hold after each lie."""
import contextlib
import os
import re

import pytest

import peer
from ftxp import SENDER
from harness import SANITIZED, Pair, state, wait_until

LIAR = "81-liar"
KNOWN = re.compile(r"store(/\.ftx(/(lock|journal|state\.db(-wal|-shm)?|objects(/[0-9a-f]{2}(/[0-9a-f]{14})?)?))?)?")
NOBODYS = 2**40  # no item has this number
CHATTER = ("connected to", "connection to", "is leaving")  # of sessions, of dialling the other end of a link


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def memory(node):
    """Resident MiB now; a sanitizer keeps what was freed, so there it is none."""
    if SANITIZED:
        return 0
    with open(f"/proc/{node.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) / 1024


def paired(node, code, role):
    """A link of ours with the node."""
    os.mkdir((node.inbox if role == SENDER else node.outbox)(code))

    def try_it():
        with contextlib.suppress(ConnectionError):  # it may not have heard of the code yet
            return peer.Link.pair(node.port, code.encode(), role)
    return wait_until(try_it, f"{code} to pair")


class World:
    """A victim with two links: to an honest ftxfs, and to the liar."""

    def __init__(self, base):
        self.pair = Pair(os.path.join(base, "pair"), debug=False, b_options={"links": "safe"}).connect()
        self.node = self.pair.b
        os.mkdir(os.path.join(self.node.base, "canary"))
        write(os.path.join(self.node.base, "canary", "file"), b"as it was")
        self.link = paired(self.node, LIAR, SENDER)
        self.hushed = []  # addresses of which the log may say anything
        self.n_proofs = 0
        self.pair.send_file("other", b"of the other link")
        with self.link.connect() as s:
            s.send_file(b"anchor", b"of this link")
            s.leave()
        self.before = self.outside()

    def number(self):
        """A fresh item number."""
        return next(self.link.items)

    def inbox(self, *parts):
        return self.node.inbox(LIAR, *parts)

    def outbox(self, *parts):
        return self.node.outbox(LIAR, *parts)

    def outside(self):
        """All that is not the liar's: beside the store, names within the store, the top of the mount, the other link."""
        found = {}
        for folder, folders, names in os.walk(self.node.base):
            inside = os.path.relpath(folder, self.node.base)
            if inside == "mnt":
                folders.clear()
                continue
            for name in folders + names:
                path = os.path.normpath(os.path.join(inside, name))
                if not KNOWN.fullmatch(path):
                    found[path] = read(os.path.join(folder, name)) if name in names and name != "log" else None
        for folder in (".", "outbox", "inbox"):
            found["mnt/" + folder] = sorted(os.listdir(os.path.join(self.node.mount, folder)))
        found["other"] = read(self.pair.got("other"))
        return found

    def log(self):
        return read(self.node.log).decode(errors="replace")

    def prove(self):
        """The daemon lives, nothing outside changed, and both links carry a file in each direction."""
        assert self.node.running()
        self.n_proofs += 1
        name = f"proof-{self.n_proofs}"
        write(self.pair.sent("proof"), b"%d" % self.n_proofs)
        write(self.outbox(name), b"to the liar")
        with self.link.connect() as s:
            s.send_file(name.encode(), b"from the liar, honestly")
            assert (state(self.inbox(name)), read(self.inbox(name))) == ("complete", b"from the liar, honestly")
            assert s.receive_file(name.encode()).sealed == b"to the liar"
            s.wait(lambda: state(self.outbox(name)) == "delivered")
            s.leave()
        os.unlink(self.outbox(name))
        wait_until(lambda: state(self.pair.got("proof")) == "complete" and
                   read(self.pair.got("proof")) == b"%d" % self.n_proofs, "the other link to carry a file")
        os.unlink(self.inbox(name))
        assert read(self.inbox("anchor")) == b"of this link"
        assert self.outside() == self.before


@pytest.fixture(scope="module")
def everything(scratch_root):
    it = None
    try:
        it = World(scratch_root)
        yield it
    finally:
        if it:
            it.pair.destroy()


@pytest.fixture
def world(everything, request):
    """Afterwards all must be as if the lie had not been told; `lines` in the log at most."""
    log = len(everything.log())
    yield everything
    everything.prove()
    marker = request.node.get_closest_marker("lines")
    chatter = (*CHATTER, *everything.hushed)
    said = [line for line in everything.log()[log:].splitlines() if not any(words in line for words in chatter)]
    assert len(said) <= (marker.args[0] if marker else 1), said


def tell(s, messages):
    """One record; the session must still answer after it. Returns what was said of it but ACKs."""
    mark = len(s.messages)
    record = s.send(*messages)
    s.send(peer.ping(record))
    s.first("PONG", since=mark, token=record)
    s.wait_ack(record)
    return [values for values in s.messages[mark:] if values["type"] not in ("PONG", "ACK")]
