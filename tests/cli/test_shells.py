# SPDX-License-Identifier: MIT
"""What stands beside the program: completions, man pages and units know every word that it knows."""
import glob
import os
import re
import shutil
import subprocess

import pytest

from command import FTX, environment, good
from harness import BIN

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
RELAY = os.environ.get("FTX_RELAY") or os.path.join(TOP, "build/ftx-relay")
COMPLETION = os.path.join(TOP, "tools/completion")


def read(*path):
    with open(os.path.join(TOP, *path), encoding="utf-8") as file:
        return file.read()


def subcommands():
    """{name: its options} as the help tells them."""
    names = re.findall(r"^  ([a-z][a-z-]*) ", good("--help"), re.MULTILINE)
    return {name: set(re.findall(r"^  (--[a-z_-]+)", good("help", name), re.MULTILINE)) for name in names}


def with_ftx(folder):
    """An environment in which the shells find this ftx."""
    os.symlink(FTX, os.path.join(folder, "ftx"))
    return environment(PATH=folder + ":" + os.environ["PATH"], HOME=folder, TERM="dumb")


def bash(env, *words):
    script = f"""source {COMPLETION}/ftx.bash
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ftx; printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", script, "bash", "ftx", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=env["HOME"],
                          env=env, check=False)
    assert not done.stderr, done.stderr
    return set(done.stdout.decode().split("\n")) - {""}


def fish(env, line):
    done = subprocess.run(["fish", "--no-config", "-c", f"source {COMPLETION}/ftx.fish; complete -C {line!r}"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, cwd=env["HOME"], env=env, check=False)
    assert not done.stderr, done.stderr
    return {line.split("\t")[0] for line in done.stdout.decode().splitlines()}


def test_bash_completes_subcommands_options_links_and_paths(shared_pair, scratch):
    env = with_ftx(scratch)
    env["FTX_MOUNT"] = shared_pair.a.mount
    os.mkdir(os.path.join(scratch, "folder"))
    known = subcommands()
    assert known.keys() <= bash(env, "")
    for name, options in known.items():
        assert options <= bash(env, name, "-"), name
    assert bash(env, "verif") == {"verify", "verify-peer"}
    for words in (("unpair", "7"), ("send", "--to", ""), ("history", "--link", "7-g"), ("--mount", shared_pair.b.mount, "rename", "7")):
        assert bash(env, *words) == {shared_pair.code}, words
    good("group", "team", "=", shared_pair.code, mount=shared_pair.a.mount)
    assert bash(env, "send", "--to", "") == {shared_pair.code, "team"}
    good("ungroup", "team", mount=shared_pair.a.mount)
    assert "folder" in bash(env, "send", "fol") and "*" in bash(env, "pause", "")


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish")
def test_fish_completes_subcommands_options_links_and_paths(shared_pair, scratch):
    env = with_ftx(scratch)
    env["FTX_MOUNT"] = shared_pair.a.mount
    os.mkdir(os.path.join(scratch, "folder"))
    known = subcommands()
    assert known.keys() <= fish(env, "ftx ")
    for name in ("send", "receive", "watch", "history"):
        assert known[name] <= fish(env, f"ftx {name} --"), name
    assert shared_pair.code in fish(env, "ftx unpair ") and shared_pair.code in fish(env, "ftx send --to ")
    assert "folder/" in fish(env, "ftx send fol") and "*" in fish(env, "ftx pause ")
    assert shared_pair.code in fish(env, f"ftx --mount {shared_pair.b.mount} rename ")


def test_zsh_knows_every_word():
    text = read("tools/completion/_ftx")
    for name, options in subcommands().items():
        assert re.search(rf"'{name}:", text), name
        for option in options:
            assert f"{option}[" in text, option
    if shutil.which("zsh"):
        subprocess.run(["zsh", "-n", os.path.join(COMPLETION, "_ftx")], check=True)


def test_man_pages_have_every_word():
    page = read("docs/man/ftx.1.scd").replace("\\", "")
    for name, options in subcommands().items():
        assert f"*{name}*" in page, name
        for option in options:
            assert option in page, option
    for program, name in ((BIN, "ftxfs"), (RELAY, "ftx-relay")):
        page = read(f"docs/man/{name}.1.scd")
        help_text = subprocess.run([program, "--help"], stdout=subprocess.PIPE, check=True).stdout.decode()
        for option in re.findall(r"--[a-z_-]+", help_text):
            assert f"*{option}*" in page, option


@pytest.mark.skipif(not shutil.which("scdoc") or not shutil.which("man"), reason="no scdoc or man")
def test_man_pages_are_well_formed(scratch):
    for source in glob.glob(os.path.join(TOP, "docs/man/*.scd")):
        page = os.path.join(scratch, os.path.basename(source)[:-len(".scd")])
        with open(source, "rb") as text, open(page, "wb") as out:
            subprocess.run(["scdoc"], stdin=text, stdout=out, check=True)
        done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", page], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=environment(MANWIDTH="120"), check=True)
        assert not done.stderr and done.stdout, (page, done.stderr)


def test_interface_page_has_every_attribute_and_file():
    page = read("docs/man/ftxfs-interface.7.scd")
    for name in set(re.findall(r"user\.ftx\.[a-z0-9]+|\.ftx/[a-z]+", read("docs/interface.md"))):
        assert name in page, name


def test_units_start_what_is_installed():
    starts = [re.search(r"^ExecStart=(\S+)", read("tools/systemd", name), re.MULTILINE).group(1) for name in os.listdir(os.path.join(TOP, "tools/systemd"))]
    assert sorted(starts) == ["ftx-relay", "ftxfs", "ftxfs"]
