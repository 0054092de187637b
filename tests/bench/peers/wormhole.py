# SPDX-License-Identifier: MIT
"""magic-wormhole, with a mailbox and a transit relay of its own at b. A folder travels as one archive."""
import subprocess

from peers.base import Failed, Peer, end_process, free_port

CODE = "7-guitar-harvest"


class Wormhole(Peer):
    name = "magic-wormhole"
    packages = ("magic-wormhole", "magic-wormhole-transit-relay", "python3-magic-wormhole-mailbox-server", "python3-twisted")
    programs = ("wormhole", "twist3")
    skips = ("again", "changed", "resume", "first-byte", "idle", "read")

    def __init__(self, place):
        super().__init__(place)
        self.mailbox, self.transit = free_port(), free_port()
        self.servers = []

    def start(self):
        super().start()
        host = self.place.network.host_b
        for port, words in ((self.mailbox, ["wormhole-mailbox", f"--port=tcp:{self.mailbox}:interface={host}",
                                            f"--channel-db={self.path('channels')}"]),
                            (self.transit, ["transitrelay", f"--port=tcp:{self.transit}:interface={host}"])):
            self.servers.append(self.place.start("twist3", *words, side="b", log=self.path("log"), cwd=self.folder))
            self.place.wait_until(lambda port=port: self.place.listens(host, port, "b"), words[0])

    def words(self, *more):
        host = self.place.network.host_b
        return ["wormhole", "--relay-url", f"ws://{host}:{self.mailbox}/v1", "--transit-helper", f"tcp:{host}:{self.transit}", *more]

    def copy(self, source, name, meter=None, archive=False):
        sender = self.place.start(*self.words("send", "--hide-progress", "--code", CODE, source), side="a", log=self.path("sender"),
                                  cwd=self.folder)
        try:
            self.place.run(*self.words("receive", "--hide-progress", "--accept-file", "-o", self.target(name), CODE), side="b",
                           cwd=self.folder)
            try:
                status = sender.wait(30)
            except subprocess.TimeoutExpired:
                raise Failed("wormhole send does not end") from None
            if status != 0:
                with open(self.path("sender"), encoding="utf-8", errors="replace") as log:
                    raise Failed(f"wormhole send: exit {status}: {log.read()[-500:]}")
        finally:
            end_process(sender)

    def stop(self):
        for server in self.servers:
            end_process(server)
        super().stop()


