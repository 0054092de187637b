# SPDX-License-Identifier: MIT
"""The parts of tests/bench/run that need neither root nor time: names, sizes, data, tables. TOOLS is where the programs are."""
import importlib.machinery
import importlib.util
import os
import sys
import tempfile
import unittest
import unittest.mock
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
import goals  # noqa: E402 the path comes first
import ledger  # noqa: E402
import networks  # noqa: E402
import plot  # noqa: E402
import report  # noqa: E402
import rounds  # noqa: E402
import sources  # noqa: E402

TOOLS = os.environ["TOOLS"]
MIB = 1 << 20


def load_run():
    loader = importlib.machinery.SourceFileLoader("bench_run", os.path.join(HERE, "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_run", loader))
    loader.exec_module(module)
    return module


run = load_run()


def way(peer):
    return {"network": "loopback", "workload": "random", "size": 1, "peer": peer, "name": peer}


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
        sizes = [rounds.large_size(options, networks.open_network(name, TOOLS)) // MIB for name in networks.DEFAULT]
        self.assertEqual(sizes, [1024, 1024, 1024, 1024, 64, 32, 128])


class Plan(unittest.TestCase):
    def test_everything_is_the_default(self):
        planned = dict(names_of([]))
        self.assertEqual(tuple(planned), networks.DEFAULT)
        self.assertEqual(planned["loopback"], list(run.WORKLOADS))

    def test_only_selects_workloads_where_they_are_usual(self):
        self.assertEqual(names_of(["--only", "zeros"]), [("loopback", ["zeros"])])

    def test_only_both_is_taken_at_its_word(self):
        self.assertEqual(names_of(["--only", "zeros", "--only", "5mbit-1ms"]), [("5mbit-1ms", ["zeros"])])

    def test_ftxfs_is_always_measured(self):
        (_, [(_, keys, runs)]), = run.plan(run.arguments(["--only", "zeros", "--peer", "rsync", "--runs", "2"]))
        self.assertEqual((keys, runs), (["ftxfs", "rsync"], 2))

    def test_goals_need_who_they_are_judged_by(self):
        planned = {(network, work.name): keys for network, works in run.plan(run.arguments(["--goals"])) for work, keys, _ in works}
        for goal in goals.GOALS:
            self.assertLessEqual({"ftxfs", *goal.peers}, set(planned[goal.network, goal.workload]))
            self.assertFalse([peer for peer in goal.peers if run.peers.find(peer) is None])

    def test_goals_may_be_measured_in_parts(self):
        self.assertEqual(names_of(["--goals", "--only", "loopback", "--only", "small"]), [("loopback", ["small"])])


def names_of(words):
    return [(network, [work.name for work, _, _ in works]) for network, works in run.plan(run.arguments(words))]


class Kept(unittest.TestCase):
    """What a run has measured, in a file."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "figures")

    def book(self):
        book = ledger.Ledger(self.path)
        self.addCleanup(book.file.close)
        return book

    def add(self, peer, **outcome):
        self.book().add({"way": way(peer), "load": 1.5, **outcome})

    def test_each_figure_is_there_at_once_and_counts_later(self):
        self.add("ftxfs", figures={"wall": 1})
        self.add("rsync", problem="over 600 s")
        self.add("ftxfs", figures={"wall": 2})
        data, book = ledger.read([self.path]), self.book()
        self.assertEqual([(result["peer"], len(result["runs"])) for result in data["results"]], [("ftxfs", 2), ("rsync", 0)])
        self.assertEqual((book.n_runs(way("ftxfs")), book.problem(way("ftxfs"))), (2, None))
        self.assertEqual((book.n_runs(way("rsync")), book.problem(way("rsync"))), (0, "over 600 s"))
        self.assertEqual(book.n_runs({**way("ftxfs"), "size": 7}), 0)

    def test_what_failed_is_tried_again(self):
        self.add("ftxfs", problem="failed")
        self.assertIsNone(self.book().problem(way("ftxfs")))
        self.add("ftxfs", figures={"wall": 1})
        self.assertIsNone(ledger.read([self.path])["results"][0]["problem"])

    def test_an_end_in_the_middle_of_a_line_costs_that_line(self):
        self.add("ftxfs", figures={"wall": 1})
        with open(self.path, "a", encoding="ascii") as file:
            file.write('{"way": {"netw')
        self.add("ftxfs", figures={"wall": 3})
        self.assertEqual(ledger.read([self.path])["results"][0]["runs"], [{"wall": 1}, {"wall": 3}])

    def test_files_are_put_together(self):
        self.add("ftxfs", figures={"wall": 1})
        self.assertEqual(len(ledger.read([self.path, self.path])["results"][0]["runs"]), 2)


class Rounds(unittest.TestCase):
    """Who is measured when; measuring itself is replaced."""

    def measured(self, outcomes, runs=3):
        """The peers in the order of their turns; outcomes: by peer, a list of what measurements come to."""
        turns = []

        def measure(peer, *_):
            turns.append(peer)
            return outcomes[peer].pop(0) if outcomes[peer] else ({"wall": 1.0}, None)
        with tempfile.TemporaryDirectory() as folder, unittest.mock.patch.object(rounds, "measure_once", measure), \
                unittest.mock.patch.object(rounds, "say"):
            book = ledger.Ledger(os.path.join(folder, "figures"))
            ways = [rounds.Way(peer, way(peer), book) for peer in outcomes]
            rounds.take_turns(ways, runs, None, None, None, None)
            book.file.close()
        return turns

    def test_each_round_begins_with_another(self):
        self.assertEqual(self.measured({"a": [], "b": [], "c": []}), list("abcbcacab"))

    def test_one_failure_is_made_good(self):
        self.assertEqual(self.measured({"a": [(None, "failed")], "b": []}), list("abbaaba"))

    def test_two_failures_and_a_limit_end_one_way_only(self):
        self.assertEqual(self.measured({"a": [(None, "failed")] * 2, "b": [(None, "over 600 s")], "c": []}), list("abccac"))


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

    def test_charts_are_the_same_for_the_same_figures(self):
        results = [result("ftxfs", [1, 2]), result("rsync", [4, 5]), result("sshfs", [3]), result("empty", [1])]
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
            for folder in (one, other):
                self.assertEqual([os.path.basename(path) for path in plot.write(folder, results)], ["goals.svg", "loopback.svg"])
            for name in os.listdir(one):
                texts = [self.text_of(os.path.join(folder, name)) for folder in (one, other)]
                self.assertEqual(*texts)
                xml.etree.ElementTree.fromstring(texts[0])

    @staticmethod
    def text_of(path):
        with open(path, encoding="utf-8") as file:
            return file.read()


class Goals(unittest.TestCase):
    def test_a_goal_is_met_or_not(self):
        text = goals.table([result("ftxfs", [1, 2, 3]), result("rsync", [4]), result("sshfs", [10])])
        self.assertIn("| time, of that of rsync -a -e ssh | at most 0.45 | 0.50 | **not met** |", text)
        self.assertIn("| time, of that of cp over sshfs | at most 0.35 | 0.20 | met |", text)
        self.assertNotIn("empty FUSE", text)

    def test_who_was_given_up_took_that_long_at_least(self):
        self.assertIn("| 0.01 | met |", goals.table([result("ftxfs", [6]), result("rsync", [], "over 600 s")]))

    def test_without_ftxfs_nothing_is_judged(self):
        self.assertEqual(goals.table([result("rsync", [1])]), "")


if __name__ == "__main__":
    unittest.main()
