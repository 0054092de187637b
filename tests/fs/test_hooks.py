# SPDX-License-Identifier: MIT
"""Hooks on a real mount: a validator decides about what is offered, a hook reads the mount that called it."""
import os
import shlex
import stat
import subprocess

import pytest

import trees
from harness import CODE, MIB, run, state, wait_state, wait_until
from test_control import command, wait_event

SHIPPED = os.path.join(os.path.dirname(__file__), "../../tools/hooks/on-complete.notify-send")


def add_hook(folder, name, script):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as out:
        out.write("#!/bin/sh\n" + script)
    os.chmod(path, 0o700)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


@pytest.fixture
def hooked(scratch, make_pair):
    """A pair whose B has hooks; they write to the file `out`."""
    folder = os.path.join(scratch, "hooks")
    os.mkdir(folder, 0o700)
    pair = make_pair(connect=False, debug=False, b_options={"hooks": folder})
    pair.folder, pair.out = folder, os.path.join(scratch, "out")
    pair.write = f">>{shlex.quote(pair.out)}"
    return pair


def test_validator_accepts_and_rejects(hooked):
    add_hook(hooked.folder, "on-offer", f"""echo "$FTX_STATE $FTX_SIZE" {hooked.write}
case $FTX_PATH in *.txt) exit 0;; *.hang) kill -9 $$;; *) exit 1;; esac""")
    hooked.connect()
    command(hooked.b, f"config {CODE} accept=ask")
    wait_event(hooked.a, "disconnected")
    hooked.wait_connected()
    for name in ("good.txt", "bad.exe", "who knows.hang"):
        with open(hooked.sent(name), "wb") as out:
            out.write(b"content")
    hooked.wait_complete("good.txt")
    wait_state(hooked.sent("bad.exe"), "refused")
    assert wait_event(hooked.a, "refused")["reason"] == "rejected"
    wait_until(lambda: len(read(hooked.out).splitlines()) == 3, "three calls")
    assert set(read(hooked.out).splitlines()) == {"offered 7"}
    assert state(hooked.got("who knows.hang")) == "offered"


def test_hook_reads_the_mount_while_others_do(hooked):
    add_hook(hooked.folder, "on-complete", f"""sha256sum <"$FTX_PATH" {hooked.write}; sync; ls -R "$FTX_MOUNT" >&2""")
    add_hook(hooked.folder, "on-link-complete", f"""echo "done $FTX_LINK" {hooked.write}""")
    hooked.connect()
    data = trees.random_bytes(2 * MIB)
    for number in range(8):
        with open(hooked.sent(str(number)), "wb") as out:
            out.write(data)
    wait_until(lambda: f"done {CODE}" in read(hooked.out), "the link to be done")
    wait_until(lambda: len(read(hooked.out).splitlines()) >= 9, "all calls")
    digest = run("sha256sum", hooked.got("0")).split()[0].decode()
    assert [line for line in read(hooked.out).splitlines() if line.startswith(digest)] == [f"{digest}  -"] * 8
    assert "hook on-complete:" in hooked.b.log_tail()


def test_mount_ends_while_a_hook_hangs_in_it(hooked):
    add_hook(hooked.folder, "on-complete", f"""echo $$ {hooked.write}; exec sleep 1000 <"$FTX_PATH" """)
    hooked.connect()
    hooked.send_file("x", b"x")
    pid = int(wait_until(lambda: read(hooked.out).strip(), "the hook to run"))
    hooked.b.terminate()
    assert not os.path.exists(f"/proc/{pid}")
    os.chmod(hooked.folder, 0o777)
    hooked.b.start(wait=False)
    assert hooked.b._ended(10) == 1 and "others may write to it" in hooked.b.log_tail()
    os.chmod(hooked.folder, 0o700)


def test_shipped_notification_names_the_file(scratch):
    tools = os.path.join(scratch, "bin")
    os.mkdir(tools)
    add_hook(tools, "notify-send", 'printf "%s|" "$@"\n')
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "FTX_EVENT": "complete", "FTX_LINK": "alice", "FTX_SIZE": "2097152",
                   "FTX_PATH": "/mnt/inbox/alice/-a <b>&.txt"}
    assert os.stat(SHIPPED).st_mode & stat.S_IXUSR
    said = subprocess.run([SHIPPED], env=environment, stdout=subprocess.PIPE, check=True).stdout
    assert said.decode().endswith("--|From alice|-a &lt;b&gt;&amp;.txt (2.0MB)|")
    environment["FTX_EVENT"] = "delivered"
    assert subprocess.run([SHIPPED], env=environment, stdout=subprocess.PIPE, check=True).stdout == b""
