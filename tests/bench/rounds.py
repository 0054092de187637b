# SPDX-License-Identifier: MIT
"""Measuring, inside the sandbox: every way once, then every way again, until each has its runs. What goes wrong costs one measurement."""
import contextlib
import os
import sys
import threading
import time
import traceback

import measuring
import networks
import peers
import sandbox
import sources

MIB = 1 << 20
LINK_S = 40  # a large file takes about so long on an emulated network: what it takes to start hardly counts
LOSS_PARTS = ((0.005, 32), (0.0001, 16))  # ... and is a part of that where losses make some peers very slow
QUICK_LINK_SIZE = 4 * MIB  # enough to be cut at half
GRACE_S = 120  # beyond the limit of a measurement, for what is started, compared and ended
FAILURES = 2   # of one way: then it is given up


def say(text):
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def what_fails_ends_only(what):
    try:
        yield
    except Exception:  # noqa: B902 whatever it is, the others are measured
        traceback.print_exc()
        say(f"run: {what} failed")


def large_size(options, network):
    """Bytes of a large file on this network."""
    if network.rate is None:
        return options.size * MIB
    if options.quick:
        return QUICK_LINK_SIZE
    size = network.rate / 8 * LINK_S
    for loss, part in LOSS_PARTS:
        if network.loss >= loss:
            size /= part
            break
    whole = 1 << max(0, round(size / MIB) - 1).bit_length()  # MiB, a power of two
    return max(MIB, min(options.size, whole * options.size // 1024 or 1) * MIB)


# -- one measurement -------------------------------------------------------------------------------


def measure_once(peer_class, workload, place, files, options):
    """(figures, None) or (None, what went wrong)."""
    hung = threading.Timer(options.limit + GRACE_S, sandbox.kill_others, [place.network.helpers()])
    hung.daemon = True
    hung.start()
    peer = meter = None
    try:
        place.deadline = None
        measuring.touch_memory(0 if options.quick else 3 * workload.size(files))
        meter = measuring.Meter(place)
        peer = peer_class(place)
        peer.start()
        place.deadline = time.monotonic() + options.limit
        return workload.measure(peer, files, meter), None
    except peers.TooSlow:
        return None, f"over {options.limit} s"
    except peers.Cannot:
        return None, "complete before it could be cut"
    except Exception as error:  # noqa: B902 a peer's trouble of any kind is a line of the table
        if not isinstance(error, peers.Failed):
            traceback.print_exc()
        say(f"run: {peer_class.name}: {error}")
        return None, "failed"
    finally:
        place.deadline = None
        with what_fails_ends_only(f"{peer_class.name}: the end of it"):
            if meter:
                meter.close()
            if peer:
                peer.stop()
        sandbox.clear(os.path.join(place.base, "peer"), place.network.helpers())
        hung.cancel()


# -- rounds ----------------------------------------------------------------------------------------


class Way:
    """One row of a table: who is measured, and how much of that is done."""

    def __init__(self, peer, about, ledger):
        self.peer, self.about, self.ledger = peer, about, ledger
        self.n_runs, self.n_failures = ledger.n_runs(about), 0
        self.problem = ledger.problem(about)

    def wants(self, runs):
        return self.n_runs < runs and not self.problem

    def add(self, figures, problem):
        line = {"way": self.about, "load": os.getloadavg()[0]}
        self.ledger.add({**line, "figures": figures} if figures else {**line, "problem": problem})
        self.n_runs += figures is not None
        self.n_failures += problem == "failed"
        if problem and (problem != "failed" or self.n_failures == FAILURES):
            self.problem = problem


def ways_of(chosen, workload, place, files, ledger):
    network, ways = place.network, []
    for key, peer in chosen:
        way = Way(peer, {"network": network.name, "network_title": network.title, "link_rate": network.rate, "workload": workload.name,
                         "title": workload.title_of(files), "columns": workload.columns, "peer": key, "name": peer.name, "floor": peer.floor,
                         "size": workload.size(files)}, ledger)
        if not peer.is_here() and not way.problem:
            way.add(None, "not installed")
        ways.append(way)
    return ways


def take_turns(ways, runs, workload, place, files, options):
    """Each round begins with another."""
    n_round = 0
    while any(way.wants(runs) for way in ways):
        turn = n_round % len(ways)
        for way in ways[turn:] + ways[:turn]:
            if way.wants(runs):
                figures, problem = measure_once(way.peer, workload, place, files, options)
                way.add(figures, problem)
                say(f"  {time.strftime('%H:%M:%S')} {way.about['network']}, {way.about['workload']}, {way.about['name']}, {way.n_runs} of {runs}: "
                    + (f"{figures['wall']:.3f} s" if figures else problem))
        n_round += 1


def chosen_peers(workload, keys, network, options, tried):
    """[(key, class)]; of a quick run only those that were not `tried` in this way on this network."""
    found = []
    for key in keys:
        peer = peers.find(key)
        way = (network.name, type(workload), key)
        if workload.name in peer.skips or (network.rate and not peer.network) or (workload.own and key[:5] != "ftxfs") or \
                (options.quick and way in tried and key != "ftxfs"):
            continue
        tried.add(way)
        found.append((key, peer))
    return found


def measure_all(base, steps, options, tools, ftxfs, ledger):
    """steps: [(network, [(workload, [peers], runs)])]. The exit status; the figures are in the ledger."""
    tried = set()
    try:
        for name, works in steps:
            with what_fails_ends_only(f"the network {name}"), networks.open_network(name, tools) as network:
                files = sources.Sources(base, tools, large_size(options, network), options.files)
                place = peers.Place(base, network, tools, ftxfs)
                for workload, keys, runs in works:
                    with what_fails_ends_only(f"{name}, {workload.name}"):
                        files.keep(workload.sources())
                        chosen = chosen_peers(workload, keys, network, options, tried)
                        take_turns(ways_of(chosen, workload, place, files, ledger), runs, workload, place, files, options)
                files.drop()
    except KeyboardInterrupt:
        say("run: interrupted; this is what there is")
        return 130
    return 0
