# SPDX-License-Identifier: MIT
"""The cases of tests/fs/posix on the outbox, the inbox and .ftx of a pair; and on a local file system, which they come from."""
import os
import subprocess

import pytest

import trees

MATRIX = os.environ.get("FTX_POSIX_MATRIX") or os.path.join(os.path.dirname(__file__), "../../build/tests/posix_matrix")


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
def test_an_outbox_is_like_a_local_folder(shared_pair):
    matrix("outbox", shared_pair.sent(), 550)
    assert os.listdir(shared_pair.sent()) == []
    shared_pair.send_file("after the cases", b"the link goes on")


@pytest.mark.main_path
def test_an_inbox_is_read_and_never_written(shared_pair):
    pair = shared_pair
    folder = pair.sent("prepared")
    os.mkdir(folder)
    subprocess.run([MATRIX, "--prepare", folder], stdin=subprocess.DEVNULL, check=True)
    pair.wait_tree(folder, "prepared")
    sent = trees.describe(folder)
    matrix("inbox", pair.got("prepared"), 100)
    assert trees.describe(folder) == sent  # what the owner of the inbox did stays there


@pytest.mark.main_path
def test_the_control_folder_is_only_read(shared_pair):
    matrix("control", os.path.join(shared_pair.a.mount, ".ftx"), 15)
