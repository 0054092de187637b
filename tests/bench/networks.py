# SPDX-License-Identifier: MIT
"""The networks between the two ends: loopback, or two namespaces joined by tools/emulator.c.

A network has two sides, `a` (sends) and `b` (receives), each with an address and the words that start a command there.
Its name says what it is: loopback, or RATE-RTT[-lossPERCENT], such as 200mbit-50ms-loss0.1.
"""
import contextlib
import json
import os
import re
import signal
import subprocess

DEFAULT = ("loopback", "1gbit-0.2ms", "200mbit-50ms", "200mbit-200ms", "200mbit-50ms-loss0.1", "200mbit-50ms-loss1", "20mbit-30ms")
NAME = re.compile(r"(\d+)(k|m|g)bit-(\d+(?:\.\d+)?)ms(?:-loss(\d+(?:\.\d+)?))?")
CALIBRATE_MS, CALIBRATIONS, CALIBRATED = 5, 5, 0.02
AHEAD = ("chrt", "-f", "5")  # for what measures a network: other work on the machine must not decide when and what arrives
QUEUE_MIN, QUEUE_MIN_S = 64 << 10, 0.004  # bytes, and seconds at full rate: what the cheapest switches and routers have
UNITS = {"k": 1000, "m": 1000 ** 2, "g": 1000 ** 3}
CONGESTION = "cubic"  # the kernel's usual: what a program gets that asks for nothing
ALLOWED = "/proc/sys/net/ipv4/tcp_allowed_congestion_control"
# Of each namespace: what one connection learns, the next does not know.
SETTINGS = {"ipv4/tcp_no_metrics_save": "1", "ipv4/tcp_congestion_control": CONGESTION}


def is_name(name):
    return name == "loopback" or NAME.fullmatch(name) is not None


@contextlib.contextmanager
def congestion_allowed():
    """A namespace may only choose what the machine allows to everybody: where that is another one, for as long as a run takes
    it allows the usual one too."""
    with open(ALLOWED, encoding="ascii") as file:
        before = file.read()
    if CONGESTION in before.split() or os.geteuid() != 0:
        yield
        return
    try:
        with open(ALLOWED, "w", encoding="ascii") as file:
            file.write(f"{before.strip()} {CONGESTION}")
        yield
    finally:
        with open(ALLOWED, "w", encoding="ascii") as file:
            file.write(before)


def open_network(name, tools):
    return Loopback() if name == "loopback" else Emulated(name, tools)


def apply_settings(words):
    for name, value in SETTINGS.items():
        subprocess.run([*words, "sh", "-c", f"echo {value} >/proc/sys/net/{name}"], check=True)


def sent_bytes(words, device):
    """Bytes that a device has sent, with the headers of IP and TCP."""
    shown = subprocess.run([*words, "cat", "/proc/net/dev"], stdout=subprocess.PIPE, check=True, text=True).stdout
    return int(re.search(rf"^\s*{device}:((?:\s+\d+)+)", shown, re.MULTILINE).group(1).split()[8])


class Loopback:
    """Both ends in one namespace."""
    name, rate, rtt_ms, loss = "loopback", None, 0.0, 0.0
    title = "loopback"
    host_a = host_b = "127.0.0.1"
    words_a = words_b = ()

    def __enter__(self):
        apply_settings([])
        return self

    def __exit__(self, *_):
        pass

    @staticmethod
    def wire_bytes():
        return sent_bytes([], "lo")

    @staticmethod
    def helpers():
        """Processes whose CPU is not the peers'."""
        return ()


class Emulated:
    """A link with a rate (bits a second), a round trip time and a chance of loss (0 to 1, in each direction)."""
    host_a, host_b = "192.0.2.1", "192.0.2.2"
    words_a = ("nsenter", "--net=/run/netns/a", "--")
    words_b = ("nsenter", "--net=/run/netns/b", "--")

    def __init__(self, name, tools):
        number, unit, rtt, loss = NAME.fullmatch(name).groups()
        self.name, self.tools = name, tools
        self.rate, self.rtt_ms, self.loss = int(number) * UNITS[unit], float(rtt), float(loss or 0) / 100
        self.queue = max(int(self.rate / 8 * max(self.rtt_ms / 1000, QUEUE_MIN_S)), QUEUE_MIN)
        self.title = f"{number} {unit.upper()}bit/s, {rtt} ms RTT" + (f", {loss} % loss" if loss else "")
        self.emulator = None
        self.counters = {}

    def __enter__(self):
        for space in "ab":
            subprocess.run(["ip", "netns", "add", space], check=True)
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        asked = self.rtt_ms
        self.start_emulator(asked)
        for _ in range(CALIBRATIONS if self.rtt_ms < CALIBRATE_MS else 0):
            more = self.ping_ms(50) - self.rtt_ms  # what this machine's wake-ups take, much of so little
            if abs(more) < CALIBRATED * self.rtt_ms or (more > 0 and asked == 0):
                break
            self.end_emulator()
            asked = max(0.0, asked - more)
            self.start_emulator(asked)

    def ping_ms(self, count):
        """The median round trip of that many echoes."""
        shown = subprocess.run([*self.words_a, *AHEAD, f"{self.tools}/probe", "ping", self.host_b, str(count)], stdout=subprocess.PIPE,
                               check=True, text=True)
        return float(shown.stdout) / 1000

    def start_emulator(self, rtt_ms):
        self.emulator = subprocess.Popen(
            [f"{self.tools}/emulator", "/run/netns/a", "/run/netns/b", "--rate", str(self.rate), "--delay-us", str(rtt_ms * 500),
             "--queue", str(self.queue), "--loss", str(self.loss)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if self.emulator.stdout.readline() != "ready\n":
            raise RuntimeError("the emulator did not start")
        for space, words, host in (("a", self.words_a, self.host_a), ("b", self.words_b, self.host_b)):
            subprocess.run([*words, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 2>/dev/null || true"], check=True)
            apply_settings(words)
            for command in (["addr", "add", host + "/30", "dev", "wire"], ["link", "set", "wire", "txqueuelen", "2000", "up"],
                            ["link", "set", "lo", "up"]):
                subprocess.run(["ip", "-n", space, *command], check=True)

    def end_emulator(self):
        if self.emulator:
            self.emulator.send_signal(signal.SIGTERM)
            text = self.emulator.communicate()[0]
            self.counters = json.loads(text) if text else {}
            self.emulator = None

    def __exit__(self, *_):
        self.end_emulator()
        for space in "ab":
            subprocess.run(["ip", "netns", "del", space], check=False)

    def wire_bytes(self):
        return sent_bytes(self.words_a, "wire") + sent_bytes(self.words_b, "wire")

    def helpers(self):
        return (self.emulator.pid,)
