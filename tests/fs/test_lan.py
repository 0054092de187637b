# SPDX-License-Identifier: MIT
"""Machines on one local network, as namespaces on a bridge: mounts that know no address find each other; --no-lan is silent."""
import json
import os
import socket
import sys

import pytest

import trees
from harness import CODE, wait_until
from network import Network

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make network namespaces")

GROUPS = (socket.inet_aton("239.255.70.84"), socket.inet_pton(socket.AF_INET6, "ff12::4654:5850"))
PORT = 15820
QUIET = "--no-portmap"


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
    assert [node.status()["links"][0]["path"] for node in (a, b)] == ["lan", "lan"]
    with open(a.outbox(CODE, "file"), "wb") as out:
        out.write(b"bytes" * 1000)
    wait_until(lambda: not trees.differences(a.outbox(CODE), b.inbox(CODE)), "equal trees")


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


def test_one_end_that_can_be_dialled_is_enough(network):
    a = network.node("A", network.host(), QUIET, "--listen", "localhost")
    b = network.node("B", network.host(), QUIET, "--listen", "fd09::2")
    arm(a, b)
    assert_meet(a, b)


def test_ipv6_is_enough(network):
    a, b = (network.node(name, network.host(v4=False), QUIET) for name in "AB")
    arm(a, b)
    assert_meet(a, b)


STRANGER = """
import socket
call = socket.create_connection(("10.9.0.1", %d))
call.settimeout(8)  # who may connect has ten seconds
assert call.recv(1) == b""
""" % PORT


@pytest.mark.parametrize("allowed", ["tailscale", "10.9.0.2/32"], ids=["tailnet", "range"])
def test_only_who_is_allowed_may_connect(network, scratch, monkeypatch, allowed):
    monkeypatch.setenv("PATH", tailnet(scratch, "10.9.0.2"))
    a = network.node("A", network.host(), QUIET, "--allow", allowed, "--listen", f"eth0:{PORT}")
    b = network.node("B", network.host(), QUIET, "--listen", "none")
    arm(a, b)
    assert_meet(a, b)
    network.host().run(sys.executable, "-c", STRANGER)


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


def heard(listener, number):
    """What came from host `number`."""
    words = [line.split(" ") for line in listener.lines()]
    return [bytes.fromhex(data) for sender, data in words if sender == f"02000000{number:04x}"]


def test_no_lan_is_silent_and_announcements_are_never_the_same(network):
    listener = network.program(network.router, LISTEN, "heard")
    silent, loud = network.node("A", network.host(), "--no-lan", QUIET), network.node("B", network.host(), QUIET)
    for node in (silent, loud):
        node.start()
        os.mkdir(node.outbox(CODE))
    wait_until(lambda: len({one for one in heard(listener, 2) if one}) >= 3, "three announcements")
    assert heard(listener, 1) == []
    announced = [one for one in heard(listener, 2) if one]
    assert {len(one) for one in announced} == {536}
    assert {one[:8] for one in announced} == {b"FTXA\x01\0" + PORT.to_bytes(2, "little")}
    each = {one[8:] for one in announced}  # twice the same: over IPv4 and IPv6
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
    a, b = (network.node(name, network.host(), QUIET) for name in "AB")
    a.start()
    os.mkdir(a.outbox(CODE))
    network.host().run(sys.executable, "-c", FLOOD)
    b.start()
    os.mkdir(b.inbox(CODE))
    assert_meet(a, b)
