# SPDX-License-Identifier: MIT
"""Figures as they come: one line of JSON for each measurement, so that whatever ends a run costs one. Several files are as good as one.

    {"session": {"command", "date", "revision", "machine", "disk", "versions"}}     a start of tests/bench/run
    {"way": {all of a result but its runs}, "load", "figures": {name: value}}       a measurement
    {"way": ..., "load", "problem": text}                                           one that came to nothing

Results (report.py) are these lines by network, workload, size and peer.
"""
import json
import os

KEY = ("network", "workload", "size", "peer")
NEVER = ("over", "not installed", "complete before")  # problems that another try would have too


def key_of(way):
    return tuple(way[name] for name in KEY)


def is_final(problem):
    return problem.startswith(NEVER)


class Ledger:
    """A file that lines are added to. What it has already is not measured again."""

    def __init__(self, path):
        known = read([path])
        self.sessions = known["sessions"]
        self.results = {key_of(result): result for result in known["results"]}
        self.file = open(path, "a+b")
        os.chmod(path, 0o644)
        self.file.seek(max(0, os.path.getsize(path) - 1))
        if self.file.read(1) not in (b"", b"\n"):
            self.file.write(b"\n")  # a line that was not finished

    def add(self, line):
        self.file.write(json.dumps(line).encode() + b"\n")
        self.file.flush()
        os.fsync(self.file.fileno())

    def n_runs(self, way):
        result = self.results.get(key_of(way))
        return len(result["runs"]) if result else 0

    def problem(self, way):
        """Why another try would be none, or None."""
        result = self.results.get(key_of(way))
        return result["problem"] if result and result["problem"] and is_final(result["problem"]) else None


def lines_of(path):
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as file:
        for text in file:
            try:
                yield json.loads(text)
            except ValueError:
                pass  # the run ended in the middle of it


def read(paths):
    """{"sessions": [...], "loads": [every load average], "results": [...]}, in the order in which they were made."""
    sessions, loads, results = [], [], {}
    for line in (line for path in paths for line in lines_of(path)):
        if "session" in line:
            sessions.append(line["session"])
            continue
        loads.append(line["load"])
        result = results.setdefault(key_of(line["way"]), {**line["way"], "runs": [], "problem": None})
        if "figures" in line:
            result["runs"].append(line["figures"])
        else:
            result["problem"] = line["problem"]
    for result in results.values():
        if result["runs"]:
            result["problem"] = None
    return {"sessions": sessions, "loads": loads, "results": list(results.values())}
