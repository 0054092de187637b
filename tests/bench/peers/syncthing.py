# SPDX-License-Identifier: MIT
"""syncthing: two of them that know only each other, cp into the shared folder, a scan asked for, complete when b has it all."""
import http.client
import json
import os
import re
import socket

from peers.base import Failed, Peer, copy_words, end_process, free_port

FOLDER = "sync"
CONFIG = """<configuration version="36">
  <folder id="{folder}" label="" path="{path}" type="sendreceive" rescanIntervalS="0" fsWatcherEnabled="false">
    <device id="{a_id}"></device><device id="{b_id}"></device><minDiskFree unit="%">0</minDiskFree>
  </folder>
  <device id="{a_id}" name="a"><address>tcp://{a_at}</address></device>
  <device id="{b_id}" name="b"><address>tcp://{b_at}</address></device>
  <gui enabled="true" tls="false"><address>{gui}</address><apikey>bench</apikey></gui>
  <options>
    <listenAddress>tcp://{listen}</listenAddress>
    <globalAnnounceEnabled>false</globalAnnounceEnabled><localAnnounceEnabled>false</localAnnounceEnabled>
    <relaysEnabled>false</relaysEnabled><natEnabled>false</natEnabled><startBrowser>false</startBrowser>
    <urAccepted>-1</urAccepted><autoUpgradeIntervalH>0</autoUpgradeIntervalH><crashReportingEnabled>false</crashReportingEnabled>
    <setLowPriority>false</setLowPriority><reconnectionIntervalS>1</reconnectionIntervalS>
    <minHomeDiskFree unit="%">0</minHomeDiskFree>
  </options>
</configuration>
"""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket file, which is no part of the network that is measured."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.socket_path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.socket_path)


class End:
    def __init__(self, peer, side, host):
        self.peer, self.side, self.at = peer, side, f"{host}:{free_port()}"
        self.home, self.shared, self.gui = peer.path(side + "-home"), peer.path(side), peer.path(side + ".sock")
        self.id = self.process = None

    def prepare(self):
        os.makedirs(os.path.join(self.shared, ".stfolder"))
        shown = self.peer.place.run("syncthing", "generate", "--home", self.home, "--no-default-folder")
        self.id = re.search(r"Device ID: (\S+)", shown).group(1)

    def start(self):
        a, b = self.peer.a, self.peer.b
        with open(os.path.join(self.home, "config.xml"), "w", encoding="utf-8") as config:
            config.write(CONFIG.format(folder=FOLDER, path=self.shared, a_id=a.id, b_id=b.id, a_at=a.at, b_at=b.at,
                                       gui=self.gui, listen=self.at))
        self.process = self.peer.place.start("syncthing", "serve", "--home", self.home, "--no-browser", "--no-restart", "--no-upgrade",
                                             "--gui-address", "unix://" + self.gui, side=self.side, log=self.home + ".log",
                                             env={**os.environ, "STNOUPGRADE": "1"})
        self.peer.place.wait_until(lambda: self.ask("GET", "/rest/system/ping"), f"syncthing at {self.side}")

    def ask(self, method, path):
        """What the REST interface answers; None while it does not."""
        connection = UnixConnection(self.gui, self.peer.place.left() or 3600)
        try:
            connection.request(method, path, headers={"X-API-Key": "bench", "Host": "localhost"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise Failed(f"syncthing: {path}: {answer.status} {text[:200]!r}")
            return json.loads(text) if text.strip() else True
        except (ConnectionError, FileNotFoundError):
            if self.process.poll() is not None:
                raise Failed("syncthing ended") from None
            return None
        finally:
            connection.close()

    def is_connected(self):
        connections = self.ask("GET", "/rest/system/connections")["connections"]
        return any(one["connected"] for one in connections.values())


class Syncthing(Peer):
    name = "syncthing"
    packages = programs = ("syncthing",)
    skips = ("idle", "read", "resume")

    def __init__(self, place):
        super().__init__(place)
        self.a, self.b = End(self, "a", place.network.host_a), End(self, "b", place.network.host_b)

    def start(self):
        for end in (self.a, self.b):
            end.prepare()
        for end in (self.a, self.b):
            end.start()
        self.place.wait_until(lambda: self.a.is_connected() and self.b.is_connected(), "the two syncthings to connect", 60)

    def begin_copy(self, source, name):
        self.place.run(*copy_words(source, os.path.join(self.a.shared, name), False))
        self.a.ask("POST", f"/rest/db/scan?folder={FOLDER}")

    def copy(self, source, name, meter=None, archive=False):
        self.place.run(*copy_words(source, os.path.join(self.a.shared, name), archive))
        self.a.ask("POST", f"/rest/db/scan?folder={FOLDER}")
        self.wait_done(name)

    def wait_done(self, name):
        def done():
            here = self.b.ask("GET", f"/rest/db/status?folder={FOLDER}")
            there = self.a.ask("GET", f"/rest/db/completion?folder={FOLDER}&device={self.b.id}")
            wanted = self.a.ask("GET", f"/rest/db/status?folder={FOLDER}")
            return (not there["needItems"] and not there["needBytes"] and here["state"] == "idle" and
                    here["localBytes"] == wanted["localBytes"] and here["localFiles"] == wanted["localFiles"])
        self.place.wait_until(done, "syncthing to be done", 3600)

    def stop(self):
        for end in (self.a, self.b):
            end_process(end.process)
        super().stop()


