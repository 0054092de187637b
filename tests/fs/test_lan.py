# SPDX-License-Identifier: MIT
"""Machines on one local network, as namespaces on a bridge: mounts that know no address find each other; --no-lan is silent."""
import json
import os
import socket
import subprocess
import sys

import pytest

import harness
from harness import CODE, wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make network namespaces")

GROUPS = (socket.inet_aton("239.255.70.84"), socket.inet_pton(socket.AF_INET6, "ff12::4654:5850"))
PORT = 15820


class Space:
    """A network namespace, gone with the process that holds it."""

    def __init__(self):
        self.holder = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", "unshare", "-n", "sh", "-c", "echo ready && exec sleep 1000"],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"ready\n"
        self.inside = ("nsenter", "-n", "-t", str(self.holder.pid), "--")

    def ip(self, *words):
        harness.run(*self.inside, "ip", *words)

    def destroy(self):
        self.holder.kill()
        self.holder.communicate()


class Network:
    """Hosts on a bridge; host N is 10.9.0.N and fd09::N."""

    def __init__(self, scratch):
        self.scratch, self.hosts, self.things = scratch, [], []
        self.bridge = self.keep(Space())
        self.bridge.ip("link", "add", "br0", "type", "bridge")
        self.bridge.ip("link", "set", "br0", "up")

    def keep(self, thing):
        self.things.append(thing)
        return thing

    def host(self, v4=True):
        space = self.keep(Space())
        self.hosts.append(space)
        number = len(self.hosts)
        self.bridge.ip("link", "add", f"port{number}", "master", "br0", "type", "veth", "peer", "name", "eth0", "netns",
                       str(space.holder.pid), "address", f"02:00:00:00:00:{number:02x}")
        self.bridge.ip("link", "set", f"port{number}", "up")
        space.ip("link", "set", "lo", "up")
        if v4:
            space.ip("addr", "add", f"10.9.0.{number}/24", "dev", "eth0")
        space.ip("addr", "add", f"fd09::{number}/64", "dev", "eth0", "nodad")
        space.ip("link", "set", "eth0", "up")
        return space

    def node(self, name, space, *options):
        """An ftxfs that is told nothing but its store and these options."""
        node = harness.Node(self.scratch, name, listen=False)
        node.within = space.inside
        node.arguments = lambda: ["--store", node.store, *options, node.mount]
        return self.keep(node)

    def destroy(self):
        wrong = []
        for thing in reversed(self.things):  # what runs in a namespace, before it
            try:
                thing.destroy()
            except AssertionError as error:
                wrong.append(str(error))
        assert not wrong, "\n".join(wrong)


@pytest.fixture
def network(scratch):
    made = Network(scratch)
    try:
        yield made
    finally:
        made.destroy()


def arm(a, b):
    a.start()
    b.start()
    os.mkdir(a.outbox(CODE))
    os.mkdir(b.inbox(CODE))


def assert_meet(a, b):
    a.wait_link(a.outbox(CODE))
    b.wait_link(b.inbox(CODE))
    with open(a.outbox(CODE, "file"), "wb") as out:
        out.write(b"bytes" * 1000)
    harness.wait_state(b.inbox(CODE, "file"), "complete")


def tailnet(scratch, *addresses):
    """A stand-in for tailscale whose tailnet has these nodes; the PATH with it."""
    folder = os.path.join(scratch, "bin")
    os.mkdir(folder)
    peers = {f"nodekey:{number:064x}": {"HostName": f"host{number}", "TailscaleIPs": [address], "Online": True}
             for number, address in enumerate(addresses)}
    status = {"Version": "1.82.5", "BackendState": "Running", "Self": {"HostName": "self", "TailscaleIPs": ["100.64.0.1"]}, "Peer": peers}
    with open(os.path.join(folder, "tailscale"), "w", encoding="ascii") as script:
        script.write(f"#!/bin/sh\n[ \"$*\" = 'status --json' ] || exit 1\ncat <<'EOF'\n{json.dumps(status)}\nEOF\n")
    os.chmod(os.path.join(folder, "tailscale"), 0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_two_mounts_meet_with_no_option_at_all(network):
    a, b = (network.node(name, network.host()) for name in "AB")
    arm(a, b)
    assert_meet(a, b)
    b.terminate()
    b.start()
    assert_meet(a, b)


@pytest.mark.parametrize("options", [(("--listen", "eth0"), ("--listen", "none")), (("--listen", "localhost"), ("--listen", "fd09::2"))],
                         ids=["interface-none", "localhost-address"])
def test_either_end_may_be_the_one_that_can_be_dialled(network, options):
    a, b = (network.node(name, network.host(), *words) for name, words in zip("AB", options))
    arm(a, b)
    assert_meet(a, b)


def test_ipv6_is_enough(network):
    a, b = (network.node(name, network.host(v4=False)) for name in "AB")
    arm(a, b)
    assert_meet(a, b)


def test_nodes_of_the_tailnet_may_connect(network, scratch, monkeypatch):
    monkeypatch.setenv("PATH", tailnet(scratch, "10.9.0.2"))
    a = network.node("A", network.host(), "--allow", "tailscale", "--listen", f"eth0:{PORT}")
    b = network.node("B", network.host(), "--listen", "none")
    arm(a, b)
    assert_meet(a, b)


# Runs on the bridge: a line for each datagram to the groups, its sender's hardware address and what is in it.
LISTEN = """
import socket, struct
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
packets.bind(("br0", 3))  # ETH_P_ALL
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 1, 1
packets.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, struct.pack("iHH8s", socket.if_nametoindex("br0"), PACKET_MR_PROMISC, 0, b""))
print("ready", flush=True)
while True:
    frame = packets.recv(2048)
    kind, packet = frame[12:14], frame[14:]
    header = 20 if kind == b"\\x08\\x00" else 40 if kind == b"\\x86\\xdd" else 0
    group = packet[16:20] if header == 20 else packet[24:40]
    if header and group in %r:
        print(frame[6:12].hex(), packet[header + 8:].hex() if packet[header + 2:header + 4] == (%d).to_bytes(2, "big") else "", flush=True)
""" % (GROUPS, PORT)


class Listener:
    def __init__(self, space, path):
        self.path = path
        with open(path, "wb") as out:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *space.inside, sys.executable, "-c", LISTEN],
                                            stdin=subprocess.DEVNULL, stdout=out)
        wait_until(lambda: os.path.getsize(path), "the listener to be ready")

    def heard(self, number):
        """What came from host `number`."""
        with open(self.path, encoding="ascii") as lines:
            words = [line.split(" ") for line in lines.read().splitlines()[1:]]
        return [bytes.fromhex(data) for sender, data in words if sender == f"02000000{number:04x}"]

    def destroy(self):
        self.process.kill()
        self.process.wait()


def test_no_lan_is_silent_and_announcements_are_never_the_same(network, scratch):
    listener = network.keep(Listener(network.bridge, os.path.join(scratch, "heard")))
    silent, loud = network.node("A", network.host(), "--no-lan"), network.node("B", network.host())
    for node in (silent, loud):
        node.start()
        os.mkdir(node.outbox(CODE))
    wait_until(lambda: len({one for one in listener.heard(2) if one}) >= 3, "three announcements")
    assert listener.heard(1) == []
    heard = [one for one in listener.heard(2) if one]
    assert {len(one) for one in heard} == {536}
    assert {one[:8] for one in heard} == {b"FTXA\x01\0" + PORT.to_bytes(2, "little")}
    each = {one[8:] for one in heard}  # twice the same: over IPv4 and IPv6
    blocks = [one[at:at + 8] for one in each for at in range(0, 528, 8)]
    assert len(blocks) == len(set(blocks))


FLOOD = """
import os, socket
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.9.0.3"))
for number in range(20000):
    junk = os.urandom(536)
    out.sendto((b"FTXA\\x01\\0" + junk[6:])[:1 + number %% 536] if number %% 3 else b"FTXA\\x01\\0" + junk[6:], ("239.255.70.84", %d))
""" % PORT


def test_a_flood_of_junk_does_nothing(network):
    a, b = (network.node(name, network.host()) for name in "AB")
    a.start()
    os.mkdir(a.outbox(CODE))
    harness.run(*network.host().inside, sys.executable, "-c", FLOOD)
    b.start()
    os.mkdir(b.inbox(CODE))
    assert_meet(a, b)
