# SPDX-License-Identifier: MIT
"""The parts of tests/bench/run that need neither root nor time: names, sizes, data, tables. TOOLS is where the programs are."""
import importlib.machinery
import importlib.util
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
import networks  # noqa: E402 the path comes first
import plot  # noqa: E402
import report  # noqa: E402
import sources  # noqa: E402

TOOLS = os.environ["TOOLS"]
MIB = 1 << 20


def load_run():
    loader = importlib.machinery.SourceFileLoader("bench_run", os.path.join(HERE, "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_run", loader))
    loader.exec_module(module)
    return module


run = load_run()


def result(peer, walls, problem=None, rate=None):
    return {"network": "loopback", "network_title": "loopback", "link_rate": rate, "workload": "random", "title": "One file", "floor": False,
            "columns": run.WORKLOADS["random"].columns, "peer": peer, "name": peer, "problem": problem, "size": MIB,
            "runs": [{"wall": wall, "cpu": 0.5, "wire": 2 * MIB, "disk": 0, "rss": {peer: [7.0]}} for wall in walls]}


class Networks(unittest.TestCase):
    def test_a_name_says_what_it_is(self):
        one = networks.Emulated("200mbit-50ms-loss0.1", TOOLS)
        self.assertEqual((one.rate, one.rtt_ms, one.loss), (200_000_000, 50.0, 0.001))
        self.assertEqual(one.queue, 1_250_000)

    def test_other_names_are_none(self):
        for name in ("200mbit", "mbit-5ms", "200mbit-50ms-loss", "200mbit-50ms ", "loop"):
            self.assertFalse(networks.is_name(name), name)

    def test_large_files_fit_the_network(self):
        options = run.arguments([])
        sizes = [run.large_size(options, networks.open_network(name, TOOLS)) // MIB for name in networks.DEFAULT]
        self.assertEqual(sizes, [1024, 1024, 1024, 1024, 64, 32, 128])


class Plan(unittest.TestCase):
    def test_everything_is_the_default(self):
        planned = dict(run.plan(run.arguments([])))
        self.assertEqual(tuple(planned), networks.DEFAULT)
        self.assertEqual(planned["loopback"], list(run.WORKLOADS))

    def test_only_selects_workloads_where_they_are_usual(self):
        self.assertEqual(run.plan(run.arguments(["--only", "zeros"])), [("loopback", ["zeros"])])

    def test_only_both_is_taken_at_its_word(self):
        self.assertEqual(run.plan(run.arguments(["--only", "zeros", "--only", "5mbit-1ms"])), [("5mbit-1ms", ["zeros"])])


class Data(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def make(self, name):
        return sources.Sources(os.path.join(self.folder.name, name), TOOLS, 16 * MIB, 30)

    def read(self, path):
        with open(path, "rb") as file:
            return file.read()

    def test_the_same_seed_gives_the_same_bytes(self):
        one, other = self.make("one"), self.make("other")
        for kind in ("random", "text"):
            self.assertEqual(self.read(one.get(kind)), self.read(other.get(kind)))
            self.assertEqual(os.path.getsize(one.get(kind)), 16 * MIB)
        self.assertNotEqual(self.read(one.get("random")), self.read(one.get("text")))

    def test_one_percent_is_changed(self):
        files = self.make("tree")
        before, after, n_changed = files.get("tree"), files.get("changed"), 0
        for folder, _, names in os.walk(before):
            for name in names:
                path = os.path.join(folder, name)
                old, new = self.read(path), self.read(path.replace(before, after, 1))
                n_changed += sum(a != b for a, b in zip(old, new))
        part = n_changed / sources.size_of(before)
        self.assertTrue(0.005 < part < 0.02, part)

    def test_three_tenths_are_zeros(self):
        path = self.make("zeros").get("zeros")
        n_zeros = sum(self.read(os.path.join(path, name)).count(0) for name in os.listdir(path))
        part = n_zeros / sources.size_of(path)
        self.assertTrue(0.25 < part < 0.36, part)


class Tables(unittest.TestCase):
    def test_the_median_is_compared_with_that_of_ftxfs(self):
        text = report.table([result("ftxfs", [1, 2, 9]), result("rsync", [5, 4, 3])])
        self.assertIn("| ftxfs | 2.00 | 1.00 - 9.00 | 1.00 |", text)
        self.assertIn("| rsync | 4.00 | 3.00 - 5.00 | 2.00 |", text)
        self.assertIn("| 512.00 | rsync 7 | 2,097,152 (2.000) | 0 |", text)

    def test_the_rate_is_compared_with_the_link(self):
        self.assertIn("4.194, 83.9 %", report.table([result("ftxfs", [0.25], rate=40_000_000)]))

    def test_what_went_wrong_stands_in_the_table_and_the_chart(self):
        results = [result("ftxfs", [1]), result("sshfs", [], "over 600 s")]
        self.assertIn("| sshfs | over 600 s |", report.table(results))
        self.assertIn(">over 600 s</text>", plot.chart(results))


if __name__ == "__main__":
    unittest.main()
