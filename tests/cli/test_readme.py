# SPDX-License-Identifier: MIT
"""The tour of README.md, pasted into a shell, works as it stands; what it names is there."""
import os
import re
import subprocess

import harness
from command import FTX, environment

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))


def section(title):
    with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
        return re.search(rf"^## {title}\n(.*?)^## ", file.read(), re.MULTILINE | re.DOTALL).group(1)


def test_the_tour_works_as_it_stands(scratch):
    lines = re.findall(r"^    (.*)$", section("Five minutes"), re.MULTILINE)
    assert len(lines) > 15
    script = "\n".join(lines).replace("15830", str(harness.free_port()))
    script = script.replace("ls -l", "until ls ~/tour/b/inbox/anna/common-licenses; do :; done\nls -l", 1)  # people are slower than a shell
    bin_folder = os.path.join(scratch, "bin")
    os.mkdir(bin_folder)
    for program in (FTX, harness.BIN):
        os.symlink(os.path.abspath(program), os.path.join(bin_folder, os.path.basename(program)))
    env = environment(HOME=scratch, PATH=f"{bin_folder}:/usr/bin:/bin:/usr/sbin:/sbin")
    try:
        done = subprocess.run(["bash", "-ex", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=scratch,
                              env=env, timeout=60 * harness.SLOW, check=False)
    finally:
        for name in ("a", "b"):
            harness.unmount_anyway(os.path.join(scratch, "tour", name))
    text = done.stdout.decode(errors="replace")
    assert done.returncode == 0, text
    assert "0 different" in text and 'user.ftx.state="offline"' in text and "GPL-3" in text, text
    assert not os.path.exists(os.path.join(scratch, "tour"))


def test_what_it_names_is_there():
    with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
        text = file.read()
    named = set(re.findall(r"\]\(([^)#:]+)\)", text)) | set(re.findall(r"\b((?:docs|tests|tools)/[\w./-]*\w)", text))
    assert len(named) > 10
    assert not [name for name in named if not os.path.exists(os.path.join(TOP, name))]
