# SPDX-License-Identifier: MIT
"""Machines on one local network for tests: hosts on a bridge, which is their router too, and what runs there."""
import os
import subprocess
import sys

import harness
import hosts


class Program:
    """Python code on a host that writes lines, the first of them once it is ready."""

    def __init__(self, host, code, path):
        self.path = path
        with open(path, "wb") as out:
            self.process = subprocess.Popen(hosts.own([*host.words, sys.executable, "-c", code]), stdin=subprocess.DEVNULL, stdout=out)
        harness.wait_until(lambda: os.path.getsize(path), "a program to be ready")

    def lines(self):
        with open(self.path, encoding="ascii") as file:
            return file.read().split("\n")[1:-1]

    def destroy(self):
        self.process.kill()
        self.process.wait()


class Network:
    """Host N is 10.9.0.N, fd09::N and 02:00:00:00:00:0N, the router 10.9.0.254."""

    def __init__(self, scratch):
        self.scratch, self.n_hosts, self.things = scratch, 0, []
        self.router = self.keep(hosts.Host())
        self.router.ip("link", "add", "br0", "type", "bridge")
        self.router.address("br0", "10.9.0.254/24")

    def keep(self, thing):
        self.things.append(thing)
        return thing

    def host(self, v4=True):
        host = self.keep(hosts.Host())
        self.n_hosts += 1
        number, port = self.n_hosts, f"port{self.n_hosts}"
        self.router.join(port, host, "eth0")
        self.router.ip("link", "set", port, "master", "br0", "up")
        host.ip("link", "set", "eth0", "address", f"02:00:00:00:00:{number:02x}")
        if v4:
            host.address("eth0", f"10.9.0.{number}/24", f"fd09::{number}/64", router="10.9.0.254")
        else:
            host.address("eth0", f"fd09::{number}/64")
        return host

    def program(self, host, code, name):
        return self.keep(Program(host, code, os.path.join(self.scratch, name)))

    def node(self, name, host, *options):
        """An ftxfs that is told nothing but its store and these options."""
        node = self.keep(harness.Node(self.scratch, name, within=host.words))
        node.arguments = lambda: ["--store", node.store, *options, node.mount]
        return node

    def destroy(self):
        wrong = []
        for thing in reversed(self.things):  # what runs on a host, before it
            try:
                thing.destroy()
            except AssertionError as error:
                wrong.append(str(error))
        assert not wrong, "\n".join(wrong)
