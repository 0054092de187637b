# SPDX-License-Identifier: MIT
"""Fixtures for real mounts: nodes and pairs that are always cleaned up, a watchdog, the daemons' logs beside a failure."""
import faulthandler
import glob
import os
import shutil
import signal
import sys
import tempfile
import threading

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import harness  # noqa: E402

LIMIT_S = 90  # for one test, unless @pytest.mark.limit(seconds)


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): the watchdog's patience with this test")
    config.addinivalue_line("markers", "lines(n): the log lines that the lie of test_liar.py may cause, 1 by default")
    config.addinivalue_line("markers", "main_path: test_user.py runs it again as an ordinary user")


def _scratch_prefix(pid):
    return os.path.join(tempfile.gettempdir(), f"ftxfs-test-{os.geteuid()}-{pid}-")


def _sweep():
    """Takes down what a killed run left behind."""
    for folder in glob.glob(glob.escape(_scratch_prefix("")[:-1]) + "*"):
        pid = os.path.basename(folder).split("-")[3]
        if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            inside = os.fsencode(folder) + b"/"
            for point in harness.mounts():
                if point.startswith(inside):
                    harness.unmount_anyway(os.fsdecode(point))
            _remove(folder)


@pytest.fixture(scope="session")
def scratch_root():
    _sweep()
    folder = tempfile.mkdtemp(prefix=_scratch_prefix(os.getpid()))
    yield folder
    _remove(folder)


def _remove(folder):
    """Removes a tree, unless something is still mounted in it."""
    if not any(point.startswith(os.fsencode(folder) + b"/") for point in harness.mounts()):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def scratch(scratch_root):
    """A folder on disk for one test; gone afterwards."""
    folder = tempfile.mkdtemp(dir=scratch_root)
    yield folder
    _remove(folder)


@pytest.fixture
def make_node(scratch):
    """make_node(name, **options): a Node that is taken down with the test."""
    made = []

    def make(name="A", **kwargs):
        made.append(harness.Node(scratch, name, **kwargs))
        return made[-1]
    yield make
    _destroy_all(made)


@pytest.fixture
def make_pair(scratch):
    """make_pair(**options): a connected Pair that is taken down with the test."""
    made = []

    def make(connect=True, **kwargs):
        made.append(harness.Pair(scratch, **kwargs))
        return made[-1].connect() if connect else made[-1]
    yield make
    _destroy_all(made)


@pytest.fixture
def pair(make_pair):
    return make_pair()


@pytest.fixture(scope="module")
def shared_pair(scratch_root):
    """One connected pair for all tests of a file that leave it as it was; each uses names of its own."""
    folder = tempfile.mkdtemp(dir=scratch_root)
    pair = harness.Pair(folder)
    try:
        yield pair.connect()
    finally:
        pair.destroy()


def _destroy_all(things):
    wrong = []
    for thing in reversed(things):
        try:
            thing.destroy()
        except AssertionError as error:
            wrong.append(str(error))
    assert not wrong, "\n".join(wrong)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """Past its time a test's daemons are killed: that ends every wait inside a mount, which no signal to us may end."""
    marker = item.get_closest_marker("limit")
    limit = (marker.args[0] if marker else LIMIT_S) * harness.SLOW

    def expire():
        harness.watchdog_fired = f"{item.name} took longer than {limit:.0f} s"
        print(f"\nwatchdog: {harness.watchdog_fired}; its daemons are killed", file=sys.__stderr__)
        faulthandler.dump_traceback(file=sys.__stderr__)
        for node in list(harness.live_nodes):
            node.dump_stacks()
            for pid in harness.daemons_of(node.store):
                os.kill(pid, signal.SIGKILL)
            if node.process:
                node.kill9_now()
    harness.watchdog_fired = None
    timer = threading.Timer(limit, expire)
    timer.daemon = True
    timer.start()
    yield
    timer.cancel()
    harness.watchdog_fired = None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and not report.failed and harness.watchdog_fired:
        report.outcome, report.longrepr = "failed", harness.watchdog_fired
    if report.failed:
        for node in harness.live_nodes:
            report.sections.append((f"log of {node.name} ({node.store})", node.log_tail()))
