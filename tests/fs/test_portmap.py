# SPDX-License-Identifier: MIT
"""A router that maps ports, as a stand-in in a namespace: it is asked, the peer is told, and the mapping goes with the mount."""
import os

import pytest

import harness
from harness import CODE, wait_until
from network import Network

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make network namespaces")

# RFC 6886: says each mapping that is asked for, `port lifetime`, and gives port 41000.
NATPMP = r"""
import socket, struct
router = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
router.bind(("10.9.0.254", 5351))
print("ready", flush=True)
while True:
    request, client = router.recvfrom(100)
    if request == b"\0\0":
        router.sendto(struct.pack(">BBHI", 0, 128, 0, 1) + socket.inet_aton("203.0.113.7"), client)
    elif request[:2] == b"\0\2" and len(request) == 12:
        inside, outside, lifetime = struct.unpack(">HHI", request[4:])
        print(inside, lifetime, flush=True)
        router.sendto(struct.pack(">BBHIHHI", 0, 130, 0, 1, inside, 41000 if lifetime else 0, lifetime), client)
"""

# UPnP device architecture 1.1 and WANIPConnection:1, as much as is asked for.
UPNP = r"""
import http.server, re, socket, struct, threading
SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"
DEVICE = '<device><deviceType>urn:schemas-upnp-org:device:%s:1</deviceType>%s</device>'
LIST = ("<serviceList><service><serviceType>%s</serviceType><controlURL>/control</controlURL><eventSubURL>/event</eventSubURL>"
        "<SCPDURL>/scpd.xml</SCPDURL></service></serviceList>")
INNER = DEVICE % ("WANConnectionDevice", LIST % SERVICE)
MIDDLE = DEVICE % ("WANDevice", LIST % "urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1" + "<deviceList>" + INNER + "</deviceList>")
ROOT = "<?xml version='1.0'?><root>" + DEVICE % ("InternetGatewayDevice", "<deviceList>" + MIDDLE + "</deviceList>") + "</root>"
ANSWERS = {"GetStatusInfo": "<NewConnectionStatus>Connected</NewConnectionStatus><NewLastConnectionError>ERROR_NONE</NewLastConnectionError><NewUptime>9</NewUptime>",
           "GetExternalIPAddress": "<NewExternalIPAddress>11.22.33.44</NewExternalIPAddress>"}


class Router(http.server.BaseHTTPRequestHandler):
    def reply(self, text):
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        self.reply(ROOT)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        action = self.headers["SOAPAction"].strip('"').split("#")[1]
        fields = dict(re.findall("<New(\w+)>([^<]*)</", body))
        if action.endswith("PortMapping"):
            print(action, fields["ExternalPort"], fields["Protocol"], fields.get("InternalClient", ""), flush=True)
        self.reply('<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><u:%sResponse xmlns:u="%s">%s</u:%sResponse></s:Body></s:Envelope>'
                   % (action, SERVICE, ANSWERS.get(action, ""), action))

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("10.9.0.254", 5000), Router)
threading.Thread(target=server.serve_forever, daemon=True).start()
search = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
search.bind(("239.255.255.250", 1900))
search.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.255.255.250") + socket.inet_aton("10.9.0.254"))
print("ready", flush=True)
while True:
    request, client = search.recvfrom(2000)
    wanted = re.search(rb"\nST: *([^\r]*)", request).group(1)
    if b"InternetGatewayDevice:1" in wanted:
        search.sendto(b"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: " + wanted + b"\r\nUSN: uuid:1::" + wanted +
                      b"\r\nEXT:\r\nSERVER: test\r\nLOCATION: http://10.9.0.254:5000/root.xml\r\n\r\n", client)
"""


@pytest.fixture
def network(scratch):
    made = Network(scratch)
    try:
        yield made
    finally:
        made.destroy()


def test_natpmp_maps_the_port_and_the_peer_is_told(network):
    router = network.program(network.router, NATPMP, "router")
    a = network.node("A", network.host(), "--no-lan")
    host = network.host()
    host.ip("route", "add", "unreachable", "203.0.113.7")  # so that who tries it knows soon
    b = network.node("B", host, "--no-lan", "--no-portmap", "--peer", "10.9.0.1")
    for node in (a, b):
        node.start()
    os.mkdir(a.outbox(CODE))
    os.mkdir(b.inbox(CODE))
    a.wait_link(a.outbox(CODE))
    wait_until(lambda: router.lines() == ["15820 3600"], "the router to be asked")
    wait_until(lambda: "port 15820 is port 41000 of 203.0.113.7 (NAT-PMP)" in a.log_tail(1 << 20), "the mapping to be known")
    a.terminate()
    assert router.lines() == ["15820 3600", "15820 0"]
    wait_until(lambda: "cannot connect to 203.0.113.7 port 41000" in b.log_tail(1 << 20), "the peer to try what it was told")


# Its address outside must not be one for documentation: the library takes the router for one behind another then.
def test_upnp_maps_the_port(network):
    router = network.program(network.router, UPNP, "router")
    a = network.node("A", network.host(), "--no-lan")
    a.start()
    wait_until(lambda: "port 15820 is port 15820 of 11.22.33.44 (UPnP)" in a.log_tail(1 << 20), "the mapping to be known")
    a.terminate()
    assert router.lines() == ["AddPortMapping 15820 TCP 10.9.0.1", "DeletePortMapping 15820 TCP "]


@pytest.mark.parametrize("options", [("--no-portmap",), ("--listen", "localhost"), ("--listen", "none")], ids=" ".join)
def test_router_is_not_asked_for_what_nobody_may_reach(network, options):
    router = network.program(network.router, NATPMP, "router")
    a = network.node("A", network.host(), "--no-lan", *options)
    a.start()
    os.mkdir(a.outbox(CODE))
    a.terminate()
    assert router.lines() == []
