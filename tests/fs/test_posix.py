# SPDX-License-Identifier: MIT
"""The cases of tests/fs/posix on the outbox, the inbox and .ftx of a pair; and on a local file system, which they come from."""
import os
import subprocess

import pytest

import harness
import trees

MATRIX = os.environ.get("FTX_POSIX_MATRIX") or os.path.join(os.path.dirname(__file__), "../../build/tests/posix_matrix")


@pytest.fixture(scope="module")
def pair(scratch_root):
    """Root's own mounts leave permissions to root; the cases give up root's rights, not its name, and expect the kernel to check."""
    folder = os.path.join(scratch_root, "posix")
    pair = harness.Pair(folder, a_options={"default_permissions": None}, b_options={"default_permissions": None})
    try:
        yield pair.connect()
    finally:
        pair.destroy()


def matrix(kind, folder, least):
    """Every case of this kind holds in the folder; at least so many were tried."""
    done = subprocess.run([MATRIX, "--kind", kind, folder], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    text = done.stdout.decode(errors="replace")
    print(text)
    assert done.returncode == 0, text
    passed, failed = (int(part.split()[0]) for part in text.splitlines()[-1].split(", ")[:2])
    assert failed == 0 and passed >= least


@pytest.mark.limit(300)
def test_a_local_file_system_keeps_the_expectations(scratch):
    matrix("local", scratch, 550)


@pytest.mark.main_path
@pytest.mark.limit(300)
def test_an_outbox_is_like_a_local_folder(pair):
    matrix("outbox", pair.sent(), 550)
    assert os.listdir(pair.sent()) == []
    pair.send_file("after the cases", b"the link goes on")


@pytest.mark.main_path
def test_an_inbox_is_read_and_never_written(pair):
    folder = pair.sent("prepared")
    os.mkdir(folder)
    subprocess.run([MATRIX, "--prepare", folder], stdin=subprocess.DEVNULL, check=True)
    pair.wait_tree(folder, "prepared")
    sent = trees.describe(folder)
    matrix("inbox", pair.got("prepared"), 100)
    assert trees.describe(folder) == sent  # what the owner of the inbox did stays there


@pytest.mark.main_path
def test_the_control_folder_is_only_read(pair):
    matrix("control", os.path.join(pair.a.mount, ".ftx"), 15)


@pytest.mark.skipif(os.geteuid() != 0, reason="the kernel checks for everybody else")
def test_root_without_other_users_may_do_everything_but_run_what_nobody_may(shared_pair):
    closed, path = shared_pair.sent("closed"), shared_pair.sent("closed", "file")
    os.mkdir(closed, 0)
    with open(path, "wb") as out:
        out.write(b"#!/bin/sh\n")
    os.chmod(path, 0)
    assert os.access(path, os.R_OK | os.W_OK) and not os.access(path, os.X_OK) and os.access(closed, os.X_OK)
    with pytest.raises(PermissionError):
        subprocess.run([path], check=False)
    os.chmod(path, 0o100)
    assert os.access(path, os.X_OK) and subprocess.run([path], check=False).returncode == 0
    os.chdir(closed)
    os.chdir("/")
