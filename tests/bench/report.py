# SPDX-License-Identifier: MIT
"""Results as tables. A result is one way's figures for one workload on one network:

    {"network", "network_title", "link_rate", "workload", "title", "columns", "size", "peer", "name", "floor",
     "runs": [figures], "problem": text or None}
"""
import os
import re
import statistics
import subprocess
import time

MIB, GIB = 1 << 20, 1 << 30
HELPERS = ("cp", "diff", "sh", "nsenter", "setpriv", "dd", "cat", "timeout")  # whose memory says nothing
BEGIN, END = "<!-- tests/bench/run writes from here -->\n", "<!-- run to here -->\n"


def values(result, key):
    return [run[key] for run in result["runs"] if run.get(key) is not None]


def middle(result, key):
    found = values(result, key)
    return statistics.median(found) if found else None


def seconds(value):
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def show_rss(result):
    """The largest processes: the median of each name's largest, second largest ..."""
    sizes = {}
    for run in values(result, "rss"):
        for name, peaks in run.items():
            for place, peak in enumerate(peaks[:2]):
                sizes.setdefault((name, place), []).append(peak)
    by_name = {}
    for (name, _), peaks in sorted(sizes.items(), key=lambda item: -statistics.median(item[1])):
        if name not in HELPERS:
            by_name.setdefault(name, []).append(statistics.median(peaks))
    return ", ".join(f"{name} {' + '.join(f'{peak:.0f}' for peak in peaks)}" for name, peaks in list(by_name.items())[:3])


def per_size(result, key):
    """A figure relative to the size of what was copied."""
    value = middle(result, key)
    return None if value is None or not result["size"] else value / result["size"]


def one(key, show):
    """A column that is the median of a figure."""
    def cell(result, _):
        value = middle(result, key)
        return "" if value is None else show(value)
    return cell


def spread(scale, show):
    def cell(result, _):
        walls = values(result, "wall")
        return f"{show(min(walls) * scale)} - {show(max(walls) * scale)}" if walls else ""
    return cell


def ratio(result, base):
    wall, of = middle(result, "wall"), base and middle(base, "wall")
    return f"{wall / of:.2f}" if wall and of else ""


def rate(result, _):
    wall = middle(result, "wall")
    if not wall or not result["size"]:
        return ""
    line = f", {100 * result['size'] * 8 / wall / result['link_rate']:.1f} %" if result["link_rate"] else ""
    return f"{result['size'] / wall / 1e6:.4g}{line}"


def cpu_per_gib(result, _):
    value = per_size(result, "cpu")
    return "" if value is None else f"{value * GIB:.2f}"


def wire(result, _):
    value, part = middle(result, "wire"), per_size(result, "wire")
    return "" if value is None else f"{value:,.0f} ({part:.3f})" if part is not None else f"{value:,.0f}"


def resent(result, _):
    value = middle(result, "resent")
    return "" if value is None else f"{value / MIB:.1f}"


COLUMNS = {  # name: (heading, cell(result, ftxfs's result))
    "wall": ("s, median", one("wall", seconds)),
    "spread": ("min - max", spread(1, seconds)),
    "wall_ms": ("ms, median", one("wall", lambda value: f"{value * 1000:.1f}")),
    "spread_ms": ("min - max", spread(1000, lambda value: f"{value:.1f}")),
    "ratio": ("times ftxfs", ratio),
    "rate": ("MB/s, of the link", rate),
    "cpu": ("CPU s per GiB", cpu_per_gib),
    "cpu_s": ("CPU s", one("cpu", lambda value: f"{value:.2f}")),
    "rss": ("peak RSS, MiB", lambda result, _: show_rss(result)),
    "wire": ("bytes on the wire (of the size)", wire),
    "disk": ("extra disk, MiB", one("disk", lambda value: f"{value / MIB:.0f}")),
    "first": ("first new byte, s", one("first", seconds)),
    "resent": ("sent again, MiB", resent),
    "again": ("read again, s", one("again", seconds)),
    "links": ("links", one("links", lambda value: f"{value:.0f}")),
    "idle_cpu": ("CPU s in the time measured", lambda result, _: "" if middle(result, "cpu") is None else
                 f"{middle(result, 'cpu'):.2f} in {middle(result, 'wall'):.0f} s"),
    "wakeups": ("wake-ups a second, both daemons", one("wakeups", lambda value: f"{value:.1f}")),
}


def groups(results):
    """{(network, workload, size) in the order in which they came: their results}"""
    found = {}
    for result in results:
        found.setdefault((result["network"], result["workload"], result["size"]), []).append(result)
    return found


def size_text(size):
    return "" if not size else f", {size / MIB:.4g} MiB"


def table(results):
    """One workload on one network."""
    base = next((result for result in results if result["peer"] == "ftxfs"), None)
    columns = list(results[0]["columns"])
    if not results[0]["link_rate"] and "rate" in columns:
        headings = {"rate": "MB/s"}
    else:
        headings = {}
    lines = ["| | " + " | ".join(headings.get(name, COLUMNS[name][0]) for name in columns) + " |", "|---|" + "---|" * len(columns)]
    for result in results:
        name = f"*{result['name']}*" if result["floor"] else result["name"]
        if result["problem"]:
            cells = [result["problem"], *[""] * (len(columns) - 1)]
        else:
            cells = [COLUMNS[column][1](result, base) for column in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*:\s*(.*)", file.read())
    with open("/proc/meminfo", encoding="utf-8") as file:
        memory = int(file.read().split()[1]) / MIB
    limits = []
    for name in ("tcp_rmem", "tcp_wmem"):
        with open("/proc/sys/net/ipv4/" + name, encoding="ascii") as file:
            limits.append(f"{name} at most {int(file.read().split()[2]) / MIB:.1f} MiB")
    return (f"{os.cpu_count()} cores ({model.group(1) if model else os.uname().machine}), {memory:.0f} GiB of memory,"
            f" Linux {os.uname().release}, {', '.join(limits)}")


def disk_of(path):
    """The kind of file system, and its source where that says something."""
    done = subprocess.run(["findmnt", "-no", "FSTYPE,SOURCE", "-T", path], capture_output=True, text=True, check=False)
    words = done.stdout.split()
    return "tmpfs" if words[:1] == ["tmpfs"] else " on ".join(words[:2]) or "unknown"


def versions(packages):
    """`name version` of each that is installed."""
    done = subprocess.run(["dpkg-query", "-W", "-f=${db:Status-Status} ${Package} ${Version}\n", *sorted(packages)], capture_output=True,
                          text=True, check=False)
    return [" ".join(line.split()[1:]) for line in done.stdout.splitlines() if line.startswith("installed ")]


def made_by(sessions):
    """How, when, of what, where: once each, however many runs it took."""
    def all_of(key):
        return list(dict.fromkeys(session[key] for session in sessions))
    commands = ", ".join(f"`{command}`" for command in all_of("command"))
    versions = list(dict.fromkeys(version for session in sessions for version in session["versions"]))
    return commands, " and ".join(all_of("date")), ", ".join(all_of("revision")), "; ".join(all_of("machine")), all_of("disk"), versions


def document(data, summary):
    """The whole report; `data` is what ledger.read() gives, `summary` stands before the tables."""
    commands, dates, revisions, machines, disks, versions = made_by(data["sessions"])
    loads = f"{min(data['loads']):.1f} to {max(data['loads']):.1f}" if data["loads"] else "unknown"
    parts = [f"Made by {commands} on {dates}; {revisions}.\n",
             f"Machine: {machines}; load average {loads} after each measurement, whose own work is in it. Both ends, the"
             f" servers and all programs share it; stores on {', '.join(disks)}.",
             f"Peers: {', '.join(versions)}.\n", summary]
    for (network, _, size), results in groups(data["results"]).items():
        first = results[0]
        where = "loopback" if network == "loopback" else first["network_title"]
        parts.append(f"### {first['title']}{size_text(size)}; {where}\n\n"
                     f"{table(results)}\n\n{runs_text(results)}{copied(results)}\n")
    return "\n".join(parts)


def runs_text(results):
    """How many, and of whom fewer."""
    n_runs = max(len(result["runs"]) for result in results)
    fewer = [f"{result['name']} {len(result['runs'])}" for result in results if 0 < len(result["runs"]) < n_runs]
    return f"{n_runs} run{'s' if n_runs != 1 else ''} of each, in turn" + (f" ({', '.join(fewer)})" if fewer else "") + "."


def copied(results):
    """When the program that copies came back, where that is not the end."""
    found = [f"{result['name']} {seconds(middle(result, 'cp'))} s" for result in results if values(result, "cp")]
    return f" cp came back after (median): {', '.join(found)}." if found else ""


def today():
    return time.strftime("%Y-%m-%d")


def write_page(path, text):
    with open(path, encoding="utf-8") as file:
        before, begin, rest = file.read().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"run: {path} has lost the lines that say where to write: {BEGIN.strip()} and {END.strip()}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + "\n" + text + "\n" + END + after)
