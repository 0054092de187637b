# SPDX-License-Identifier: MIT
"""The main path once more as an ordinary user: root runs it as `nobody`, everybody else as themselves."""
import os
import shutil
import subprocess

import pytest

import harness
import test_posix

NOBODY = 65534


@pytest.mark.limit(600)
def test_main_path_as_an_ordinary_user(scratch_root):
    folder = os.path.join(scratch_root, "user")
    os.mkdir(folder)
    binary = shutil.copy(harness.BIN, folder)  # the build may lie where other users cannot look
    matrix = shutil.copy(test_posix.MATRIX, folder)
    tests = shutil.copytree(os.path.dirname(__file__), os.path.join(folder, "tests"),
                            ignore=shutil.ignore_patterns("__pycache__", "test_user.py"))
    shutil.copytree(os.path.join(os.path.dirname(__file__), "../vectors"), os.path.join(folder, "vectors"))
    temporary = os.path.join(folder, "tmp")
    os.mkdir(temporary)
    drop = []
    if os.geteuid() == 0:
        os.chmod(scratch_root, 0o711)
        for path in (folder, temporary):
            os.chown(path, NOBODY, NOBODY)
        # The bounding set stays: fusermount3 is setuid root.
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all"]
    environment = dict(os.environ, HOME=folder, TMPDIR=temporary, FTX_BIN=binary, FTX_POSIX_MATRIX=matrix,
                       PYTHONDONTWRITEBYTECODE="1", FTX_TEST_SCALE=str(min(harness.SCALE, 0.125)))
    for name in ("XDG_DATA_HOME", "XDG_RUNTIME_DIR"):
        environment.pop(name, None)
    done = subprocess.run([*drop, "/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-q", "-m", "main_path", tests],
                          cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    text = done.stdout.decode(errors="replace")
    assert done.returncode == 0, text
    print(text.splitlines()[-1])


def test_the_store_is_in_the_data_folder_by_default(scratch):
    """Without --store, state goes to $XDG_DATA_HOME/ftxfs."""
    mount = os.path.join(scratch, "mnt")
    os.mkdir(mount)
    environment = dict(os.environ, XDG_DATA_HOME=os.path.join(scratch, "data"))
    with subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", harness.BIN, "-f", "--listen", "none", "--no-lan", "--no-portmap", mount],
                          env=environment, stdin=subprocess.DEVNULL) as process:
        try:
            harness.wait_until(lambda: "outbox" in os.listdir(mount), "the mount")
            assert os.path.isdir(os.path.join(scratch, "data", "ftxfs", ".ftx"))
        finally:
            process.terminate()
            process.wait(10)
            harness.unmount_anyway(mount)
