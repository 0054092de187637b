# SPDX-License-Identifier: MIT
"""What ftxfs has to show: which measurements say so (run --goals takes just these), and how their medians are judged."""
import report

MIB = 1 << 20
FEWER_RUNS = {("loopback", "large"): 2, ("loopback", "idle"): 2, ("200mbit-50ms-loss1", "random"): 3}


class Goal:
    """`figure(results by peer)`: the median that is judged; `show` writes it; `peers`: who must be measured for it."""

    def __init__(self, network, workload, what, bound, figure, peers=(), show="{:.2f}", least=False, extra=()):
        self.network, self.workload, self.what, self.bound, self.figure = network, workload, what, bound, figure
        self.peers, self.show, self.least, self.extra = peers, show, least, extra

    def bound_text(self):
        return f"at {'least' if self.least else 'most'} {self.show.format(self.bound)}"

    def is_met(self, value):
        return value >= self.bound if self.least else value <= self.bound

    def part(self, value):
        """1 where it is just met, less where it is met by far."""
        if self.least:
            return self.bound / value if value else 99
        return value / self.bound


# -- figures ---------------------------------------------------------------------------------------


def wall(result):
    """The median time; of who was given up the time that he had, at least."""
    if result is None:
        return None
    if not result["runs"] and (result["problem"] or "").startswith("over "):
        return float(result["problem"].split()[1])
    return report.middle(result, "wall")


def beside(*peers, key="wall"):
    """The time of ftxfs by that of the quickest of these."""
    def figure(by_peer):
        own = report.middle(by_peer["ftxfs"], key)
        others = [wall(by_peer.get(peer)) if key == "wall" else by_peer.get(peer) and report.middle(by_peer[peer], key) for peer in peers]
        others = [other for other in others if other]
        return own / min(others) if own and others else None
    return figure


def own(key, scale=1.0):
    def figure(by_peer):
        value = report.middle(by_peer["ftxfs"], key)
        return None if value is None else value * scale
    return figure


def of_size(key):
    return lambda by_peer: report.per_size(by_peer["ftxfs"], key)


def link_time(by_peer):
    """The time by that of the contents' bytes on the link."""
    result = by_peer["ftxfs"]
    value = report.middle(result, "wall")
    return None if value is None else value / (result["size"] * 8 / result["link_rate"])


def link_percent(by_peer):
    time = link_time(by_peer)
    return 100 / time if time else None


def largest_process(by_peer):
    peaks = [max(max(sizes) for sizes in run.values()) for run in report.values(by_peer["ftxfs"], "rss") if run]
    return max(peaks, default=None)


def idle_percent(by_peer):
    cpu, seconds = (report.middle(by_peer["ftxfs"], key) for key in ("cpu", "wall"))
    return None if cpu is None or not seconds else 100 * cpu / seconds


# -- the table -------------------------------------------------------------------------------------

RSYNC, SSHFS, EMPTY = "time, of that of rsync -a -e ssh", "time, of that of cp over sshfs", "time, of that of cp into an empty FUSE"
SLOW, FAR, LOSSY = "200mbit-50ms", "200mbit-200ms", "200mbit-50ms-loss1"

GOALS = [
    Goal("loopback", "random", RSYNC, 0.45, beside("rsync"), ("rsync",)),
    Goal("loopback", "random", SSHFS, 0.35, beside("sshfs"), ("sshfs",)),
    Goal("loopback", "random", EMPTY, 1.6, beside("empty"), ("empty",)),
    Goal("loopback", "small", RSYNC, 1.2, beside("rsync"), ("rsync",)),
    Goal("loopback", "small", SSHFS, 0.15, beside("sshfs"), ("sshfs",)),
    Goal("loopback", "small", EMPTY, 1.5, beside("empty"), ("empty",)),
    Goal("loopback", "read", "first read, of that in an empty FUSE", 1.25, beside("empty"), ("empty",)),
    Goal("loopback", "read", "second read, of that without FUSE", 1.25, beside("cp", key="again"), ("cp",)),
    Goal("loopback", "first-byte", "ms after the first MiB was written", 20, own("wall", 1000), show="{:.1f}"),
    Goal("loopback", "resume", "s until the first new byte", 1, own("first")),
    Goal("loopback", "resume", "MiB sent again", 16, own("resent", 1 / MIB), show="{:.1f}"),
    Goal("loopback", "again", "bytes on the wire, of the tree", 0.01, of_size("wire"), show="{:.4f}"),
    Goal("loopback", "text", "time, of that with compress=off", 1.03, beside("ftxfs:compress=off"), ("ftxfs:compress=off",)),
    Goal("loopback", "large", "MiB resident, of the larger daemon", 64, largest_process, show="{:.0f}"),
    Goal("loopback", "idle", "wake-ups a second, both daemons", 2, own("wakeups")),
    Goal("loopback", "idle", "% of a core, both daemons", 0.5, idle_percent),
    Goal(SLOW, "text", "time, of the better of rsync -z --zc=zstd and tar, zstd, ssh", 1.05, beside("rsync-z", "tar"), ("rsync-z", "tar")),
    Goal(SLOW, "small", "time, of that of the bytes at the link's rate", 1.15, link_time, extra=("tcp",)),
    Goal(SLOW, "random", "% of the link's rate", 95, link_percent, show="{:.1f}", least=True, extra=("tcp",)),
    Goal(FAR, "small", "time, of that of the bytes at the link's rate", 1.15, link_time, extra=("tcp",)),
    Goal(FAR, "random", "% of the link's rate", 95, link_percent, show="{:.1f}", least=True, extra=("tcp",)),
    Goal(LOSSY, "random", "time, of that of rsync -a -e ssh (cubic)", 0.2, beside("rsync"), ("rsync",)),
]


def plan(runs):
    """[(network, [(workload, [peers], runs)])]: what these goals need."""
    steps = {}
    for goal in GOALS:
        works = steps.setdefault(goal.network, {})
        works.setdefault(goal.workload, dict.fromkeys(["ftxfs"])).update(dict.fromkeys([*goal.peers, *goal.extra]))
    return [(network, [(workload, list(peers), min(runs, FEWER_RUNS.get((network, workload), runs))) for workload, peers in works.items()])
            for network, works in steps.items()]


def judge(results):
    """[(goal, title of the workload, title of the network, value)] of all goals that something was measured for."""
    judged = []
    for goal in GOALS:
        found = [result for result in results if (result["network"], result["workload"]) == (goal.network, goal.workload)]
        size = max((result["size"] for result in found), default=0)
        by_peer = {result["peer"]: result for result in found if result["size"] == size}
        if "ftxfs" in by_peer:
            value = goal.figure(by_peer)
            if value is not None:
                judged.append((goal, by_peer["ftxfs"]["title"], by_peer["ftxfs"]["network_title"], value))
    return judged


def table(results):
    """All of them as a table; empty if nothing was measured for any."""
    judged = judge(results)
    if not judged:
        return ""
    n_met = sum(goal.is_met(value) for goal, _, _, value in judged)
    lines = [f"### Goals: {n_met} of {len(judged)} met\n", "| | figure, median | goal | measured | |", "|---|---|---|---|---|"]
    for goal, title, network, value in judged:
        lines.append(f"| {title}; {network} | {goal.what} | {goal.bound_text()} | {goal.show.format(value)} |"
                     f" {'met' if goal.is_met(value) else '**not met**'} |")
    missing = len(GOALS) - len(judged)
    return "\n".join(lines) + "\n" + (f"\n{missing} more were not measured here.\n" if missing else "")
