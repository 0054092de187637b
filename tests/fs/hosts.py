# SPDX-License-Identifier: MIT
"""Machines for tests: network namespaces, each held by a process of ours, so that they are gone when the test is, however it ended."""
import os
import signal
import subprocess

import harness

RELAY = os.environ.get("FTX_RELAY") or os.path.join(os.path.dirname(harness.BIN), "ftx-relay")
RELAY_PORT = 15821
EMULATOR = os.environ.get("FTX_EMULATOR") or os.path.join(os.path.dirname(harness.BIN), "tests/bench/emulator")


def own(command):
    """Dies with the test runner."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *command]


class Host:
    """A network namespace with a loopback device that is up."""

    def __init__(self):
        self.holder = subprocess.Popen(own(["unshare", "--net", "sleep", "infinity"]), stdin=subprocess.DEVNULL)
        self.space = f"/proc/{self.holder.pid}/ns/net"
        ours = os.readlink("/proc/self/ns/net")
        harness.wait_until(lambda: os.readlink(self.space) != ours, "a network namespace")
        self.words = ["nsenter", f"--net={self.space}", "--"]
        self.relay, self.programs = None, []
        self.ip("link", "set", "lo", "up")

    def run(self, *command):
        return harness.run(*self.words, *command)

    def ip(self, *words):
        self.run("ip", *words)

    def set(self, name, value):
        self.run("sh", "-c", f"echo {value} >/proc/sys/net/{name}")

    def firewall(self, *rule):
        self.run("iptables", "-w", *rule)

    def join(self, device, other, other_device):
        """A cable between two hosts."""
        self.ip("link", "add", device, "type", "veth", "peer", "name", other_device, "netns", str(other.holder.pid))

    def join_far(self, other, delay_us):
        """A cable that bytes need that long for: device "wire" on both hosts."""
        command = [EMULATOR, self.space, other.space, "--rate", str(10 ** 9), "--delay-us", str(delay_us), "--queue", str(10 ** 6), "--loss", "0"]
        emulator = subprocess.Popen(own(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.programs.append(emulator)
        assert emulator.stdout.readline() == b"ready\n"

    def address(self, device, *addresses, router=None):
        for address in addresses:
            self.ip("addr", "add", address, "dev", device, *(["nodad"] if ":" in address else []))
        self.ip("link", "set", device, "up")
        if router:
            self.ip("route", "add", "default", "via", router)

    def start(self, *command):
        """Runs until the host is gone."""
        self.programs.append(subprocess.Popen(own([*self.words, *command]), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))

    def start_relay(self, *options, at="0.0.0.0"):
        """On port RELAY_PORT."""
        self.relay = subprocess.Popen(own([*self.words, RELAY, "--listen", f"{at}:{RELAY_PORT}", *options]), stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE)
        assert b"listening" in self.relay.stdout.readline()

    def kill_relay(self):
        self.relay.kill()
        self.relay.wait()
        self.relay.stdout.close()
        self.relay = None

    def destroy(self):
        if self.relay:
            self.kill_relay()
        for program in self.programs:
            program.kill()
            program.wait()
            if program.stdout:
                program.stdout.close()
        self.holder.send_signal(signal.SIGKILL)
        self.holder.wait()
