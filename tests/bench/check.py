# SPDX-License-Identifier: MIT
"""Holds the emulator to what it was asked for: rate and round trip within 3 %, losses within chance, nothing lost otherwise."""
import math
import subprocess

import networks

TOLERANCE = 0.03
RATE_S, LOSS_PACKETS = 2.0, 200_000
MTU, SMALL = 1500, 100
WAKE_UP_MS = 0.02  # of the program that waits for an answer


def blast(network, tools, count, size, rate):
    """(datagrams that arrived, seconds from the first to the last)."""
    sink = subprocess.Popen([*network.words_b, *networks.AHEAD, f"{tools}/probe", "sink", network.host_b, "7777"], stdout=subprocess.PIPE, text=True)
    try:
        sink.stdout.readline()
        subprocess.run([*network.words_a, *networks.AHEAD, f"{tools}/probe", "blast", network.host_b, "7777", str(count), str(size), str(rate)], check=True)
        return [kind(word) for kind, word in zip((int, float), sink.communicate(timeout=60)[0].split())]
    finally:
        sink.kill()
        sink.wait()


def check_one(name, tools):
    """[(what, asked, measured, allowed difference)]"""
    with networks.open_network(name, tools) as network:
        rtt = network.ping_ms(100)
        offered = int(network.rate * RATE_S / 8 / MTU * 1.3)
        arrived, took = blast(network, tools, offered, MTU, network.rate * 1.3)
        rate = (arrived - 1) * MTU * 8 / took / (1 - network.loss)
        # Small packets at half of what both the line and this machine can take: only chance loses them.
        pace = min(network.rate * 0.5, 60_000 * SMALL * 8)
        count = min(LOSS_PACKETS, int(pace * 6 / SMALL / 8))
        lost = 1 - blast(network, tools, count, SMALL, pace)[0] / count
    chance = 3 * math.sqrt(network.loss * (1 - network.loss) / count)
    on_line_ms = 2 * 28 * 8 / network.rate * 1000  # the echo itself
    return [("RTT, ms", network.rtt_ms + on_line_ms, rtt, TOLERANCE * network.rtt_ms + WAKE_UP_MS),
            ("rate, Mbit/s", network.rate / 1e6, rate / 1e6, TOLERANCE * network.rate / 1e6),
            ("loss, %", 100 * network.loss, 100 * lost, 100 * (TOLERANCE * network.loss + chance))]


def run(names, tools):
    """Prints a table; the number of figures that are off."""
    n_off = 0
    print("| network | | asked | measured | |\n|---|---|---|---|---|")
    for name in names:
        for what, asked, measured, allowed in check_one(name, tools):
            off = abs(measured - asked) > allowed + 1e-9
            n_off += off
            print(f"| {name} | {what} | {asked:.4g} | {measured:.4g} | {'off' if off else ''} |", flush=True)
    return n_off
