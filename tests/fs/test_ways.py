# SPDX-License-Identifier: MIT
"""How two machines find each other and stay together while their network changes; each case says which path carried the bytes."""
import os

import pytest

import hosts
import trees
from harness import CODE, MIB, Node, run, scaled, state, wait_state, wait_until, xattr

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


@pytest.fixture
def machines():
    """machines(n): that many hosts."""
    made = []

    def make(n):
        made.extend(hosts.Host() for _ in range(n))
        return made
    yield make
    for host in made:
        host.destroy()


@pytest.fixture
def ends(scratch):
    """ends(a, b, options_a, options_b): a node on each host; that of the first has made the outbox, and may dial."""
    nodes = []

    def make(a, b, options_a=None, options_b=None, listen_at="0.0.0.0", dial=None):
        for name, host, options in (("A", a, options_a), ("B", b, options_b)):
            nodes.append(Node(scratch, name, within=host.words, listen_at=listen_at, options=options, debug=False))
        if dial:
            nodes[0].options["peer"] = f"{dial}:{nodes[1].port}"
        for node in nodes:
            node.start()
        os.mkdir(nodes[1].inbox(CODE))
        os.mkdir(nodes[0].outbox(CODE))
        return nodes
    yield make
    for node in nodes:
        node.destroy()


def path_of(node):
    return node.status()["links"][0]["path"]


def wait_path(nodes, path, timeout=30):
    wait_until(lambda: all(path_of(node) == path for node in nodes), f"both ends to be connected by {path}", timeout)


def limit(nodes, rate):
    with open(os.path.join(nodes[0].mount, ".ftx/ctl"), "w", encoding="ascii") as ctl:
        ctl.write(f"limit * up={rate}\n")


def send(nodes, name, size=1):
    """What is large takes eight seconds, however fast the machine is, until wait_arrived lets it go."""
    data = os.urandom(scaled(size))
    limit(nodes, len(data) // 8 if size > MIB else "none")
    with open(nodes[0].outbox(CODE, name), "wb") as out:
        out.write(data)
    return data


def wait_arrived(nodes, name, data):
    """The file, and then both trees are equal."""
    limit(nodes, "none")
    wait_state(nodes[1].inbox(CODE, name), "complete", timeout=40)
    with open(nodes[1].inbox(CODE, name), "rb") as file:
        assert file.read() == data
    trees.compare_trees(nodes[0].outbox(CODE), nodes[1].inbox(CODE))


def begun(nodes, name):
    """Some of the file has come."""
    wait_until(lambda: os.stat(nodes[1].inbox(CODE, name)).st_blocks > 0, f"some of {name}")


def assert_hit(nodes, name):
    """What was just done to the network came before the file's end."""
    assert state(nodes[1].inbox(CODE, name)) == "arriving"


def routed(machines):
    """a - router - b; what a and b say to each other the router forwards."""
    a, router, b = machines(3)
    for host, net in ((a, 1), (b, 2)):
        host.join("eth0", router, f"eth{net}")
        router.address(f"eth{net}", f"10.0.{net}.1/24")
        host.address("eth0", f"10.0.{net}.2/24", router=f"10.0.{net}.1")
    router.set("ipv4/ip_forward", 1)
    return a, router, b


def by_relay(net):
    return {"relay": f"ws://10.0.{net}.1:{hosts.RELAY_PORT}"}


def behind_nats(machines, far_us=None):
    """a - NAT - internet - NAT - b, with a relay in the middle, and how a and b call it. Who is not called is met with silence, or, if the second NAT
    is far away, with a reset."""
    a, b, internet, *nats = machines(5)
    for number, (host, nat, net) in enumerate(((a, nats[0], "198.51.100"), (b, nats[1], "203.0.113")), 1):
        far = far_us and number == 2
        outside, there = ("wire", "wire") if far else ("outside", f"eth{number}")
        if far:
            internet.join_far(nat, far_us)
        else:
            nat.join(outside, internet, there)
        host.join("eth0", nat, "inside")
        nat.address("inside", f"10.0.{number}.1/24")
        host.address("eth0", f"10.0.{number}.2/24", router=f"10.0.{number}.1")
        internet.address(there, f"{net}.1/24")
        nat.address(outside, f"{net}.2/24", router=f"{net}.1")
        nat.set("ipv4/ip_forward", 1)
        nat.firewall("-t", "nat", "-A", "POSTROUTING", "-o", outside, "-j", "MASQUERADE")
        for chain in ("INPUT", "FORWARD") if not far_us else ():
            nat.firewall("-A", chain, "-i", outside, "-m", "conntrack", "!", "--ctstate", "ESTABLISHED,RELATED", "-j", "DROP")
    internet.set("ipv4/ip_forward", 1)
    internet.start_relay()
    return a, b, [{"relay": f"ws://{net}.1:{hosts.RELAY_PORT}"} for net in ("198.51.100", "203.0.113")]


def test_relay_first_then_direct_and_back(machines, ends):
    a, router, b = routed(machines)
    router.firewall("-P", "FORWARD", "DROP")  # nothing tells them that they cannot reach each other
    router.start_relay()
    nodes = ends(a, b, by_relay(1), by_relay(2))
    wait_path(nodes, "relay")
    wait_arrived(nodes, "relayed", send(nodes, "relayed"))

    data = send(nodes, "moving", 64 * MIB)
    begun(nodes, "moving")
    router.firewall("-P", "FORWARD", "ACCEPT")
    wait_path(nodes, "direct")
    wait_arrived(nodes, "moving", data)

    data = send(nodes, "back", 64 * MIB)
    begun(nodes, "back")
    router.firewall("-P", "FORWARD", "DROP")  # nothing tells of that either
    assert_hit(nodes, "back")
    for host in (a, b):  # so that they ask at once whether the other is there, and not after 45 s of silence
        host.address("lo", "10.0.9.9/32")
    wait_path(nodes, "relay")
    wait_arrived(nodes, "back", data)


def test_relay_comes_late_and_comes_back(machines, ends):
    a, router, b = routed(machines)
    router.firewall("-P", "FORWARD", "DROP")
    nodes = ends(a, b, by_relay(1), by_relay(2))
    wait_until(lambda: "cannot connect to ws:" in nodes[0].log_tail(), "a dial that nobody answers")
    router.start_relay()
    wait_path(nodes, "relay")
    data = send(nodes, "file", 64 * MIB)
    begun(nodes, "file")
    router.kill_relay()
    assert_hit(nodes, "file")
    wait_until(lambda: path_of(nodes[0]) is None, "the relay to be missed")
    router.start_relay()
    wait_path(nodes, "relay")
    wait_arrived(nodes, "file", data)


def test_relay_over_tls_through_a_proxy(machines, ends, scratch, monkeypatch):
    """The relay listens where only the proxy is."""
    a, router, b = routed(machines)
    router.firewall("-P", "FORWARD", "DROP")
    cert, key, conf = (os.path.join(scratch, name) for name in ("cert.pem", "key.pem", "tinyproxy.conf"))
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "10", "-subj", "/CN=relay",
        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert)
    with open(conf, "w", encoding="ascii") as out:
        out.write("Listen 0.0.0.0\nPort 8888\nTimeout 60\nLogLevel Critical\n")
    router.start_relay("--cert", cert, "--key", key, at="127.0.0.1")
    router.start("tinyproxy", "-d", "-c", conf)
    monkeypatch.setenv("https_proxy", "http://10.0.1.1:8888")
    options = {"relay": f"wss://127.0.0.1:{hosts.RELAY_PORT}", "relay_ca": cert}
    nodes = ends(a, b, options, options)
    wait_path(nodes, "relay")
    wait_arrived(nodes, "file", send(nodes, "file", MIB))


@pytest.mark.parametrize("both", [False, True], ids=["one", "two"])
def test_behind_nat(machines, ends, both):
    """Who is behind one dials who is not; of two behind one nobody can: the relay carries them."""
    a, router, b = routed(machines)
    router.start_relay()
    router.firewall("-t", "nat", "-A", "POSTROUTING", "-s", "10.0.1.0/24", "-j", "MASQUERADE")
    router.firewall("-A", "FORWARD", "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT")
    router.firewall("-A", "FORWARD", "-d", "10.0.1.0/24", "-j", "DROP")
    if both:
        router.firewall("-t", "nat", "-A", "POSTROUTING", "-s", "10.0.2.0/24", "-j", "MASQUERADE")
        router.firewall("-A", "FORWARD", "-d", "10.0.2.0/24", "-j", "DROP")
    nodes = ends(a, b, by_relay(1), by_relay(2))
    path = "relay" if both else "direct"
    wait_path(nodes[:1], path)  # for B the router that A seems to be is as near as itself
    wait_arrived(nodes, "file", send(nodes, "file", MIB))
    assert path_of(nodes[0]) == xattr(nodes[0].outbox(CODE), "path") == path


def test_two_nats_are_passed_by_dialling_at_once(machines, ends):
    a, b, options = behind_nats(machines)
    nodes = ends(a, b, *options)
    wait_path(nodes, "direct")
    assert all("(relay)" in node.log_tail() for node in nodes)
    wait_arrived(nodes, "file", send(nodes, "file", MIB))


def test_two_nats_that_answer_with_resets_are_passed_as_calls_cross(machines, ends):
    a, b, options = behind_nats(machines, far_us=5000)
    nodes = ends(a, b, *options)
    wait_path(nodes, "direct")
    wait_arrived(nodes, "file", send(nodes, "file", MIB))


def test_where_the_peer_was_is_known_after_a_restart(machines, ends):
    a, b = machines(2)
    a.join("eth0", b, "eth0")
    a.address("eth0", "10.0.0.1/24")
    b.address("eth0", "10.0.0.2/24")
    nodes = ends(a, b, dial="10.0.0.2")
    wait_path(nodes, "lan")
    del nodes[0].options["peer"]
    for node in nodes:
        node.terminate()
    for node in nodes:
        node.start()
    wait_path(nodes, "lan")
    wait_arrived(nodes, "file", send(nodes, "file", MIB))


def test_ipv6_only_and_a_change_of_address(machines, ends):
    a, b = machines(2)
    a.join("eth0", b, "eth0")
    a.address("eth0", "fd00::1/64")
    b.address("eth0", "fd00::2/64")
    nodes = ends(a, b, listen_at="[::]", dial="[fd00::2]")
    wait_path(nodes, "lan")
    data = send(nodes, "file", 64 * MIB)
    begun(nodes, "file")
    a.ip("addr", "del", "fd00::1/64", "dev", "eth0")
    assert_hit(nodes, "file")
    a.address("eth0", "fd00::3/64")
    wait_until(lambda: nodes[1].status()["links"][0]["peer"] and "fd00::3" in nodes[1].status()["links"][0]["peer"],
               "a session with the new address", 40)
    wait_arrived(nodes, "file", data)

    b.ip("link", "set", "eth0", "down")
    data = send(nodes, "later", MIB)
    wait_until(lambda: "the network has changed" in nodes[1].log_tail(), "the interface to be missed")
    b.ip("link", "set", "eth0", "up")
    b.address("eth0", "fd00::2/64")  # which went with it
    wait_arrived(nodes, "later", data)
    assert path_of(nodes[0]) == "lan"
