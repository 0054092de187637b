# SPDX-License-Identifier: MIT
"""Every subcommand of the table with what it cannot use: one line that says what to do, and the exit status that fits; piped and in a terminal."""
import os
import re

import pytest

import harness
from command import Terminal, ftx, good, refused

# What stands for an operand of the help: nothing is wrong with it but that it is not there.
OPERANDS = {"CODE": "9-nobody", "CODE|*": "9-nobody", "PATH|CODE": "9-nobody", "NAME": "9-else", "PATH": "outbox/9-nobody/x",
            "INBOX-PATH": "inbox/9-nobody/x", "PATH...": "/etc/hostname", "DEST": "/tmp", "KEY=VALUE": "accept=all", "0..10|-": "3",
            "up=RATE": "up=1M", "down=RATE": "down=1M"}
HOSTILE = "\x1b]0;x\x07\x1b[2J\n\u202e\x9b31m"
ALONE = {"send", "receive", "doctor"}  # may do without a mount


def table():
    """{name: operands} as the help tells them; those in brackets may be left out."""
    found = re.findall(r"^  ([a-z][a-z-]*)((?: \S+)*)(?:  |$)", good("--help"), re.MULTILINE)
    return {name: operands.split() for name, operands in found}


def needed_of(operands):
    """Those that do not stand in brackets, which may stand in brackets themselves."""
    text, left = " ".join(operands), 1
    while left:
        text, left = re.subn(r"\[[^][]*\]", "", text)
    return text.split()


TABLE = table()
NEEDED = {name: needed_of(operands) for name, operands in TABLE.items()}
KNOWN = {name: [OPERANDS[word] for word in needed] for name, needed in NEEDED.items() if set(needed) <= OPERANDS.keys()}
OF_A_LINK = [name for name, needed in NEEDED.items() if name in KNOWN and needed and needed[0] in ("CODE", "CODE|*", "PATH|CODE")]


@pytest.fixture(scope="module")
def mount(scratch_root):
    node = harness.Node(os.path.join(scratch_root, "usage"), "A", debug=False)
    try:
        os.mkdir(node.start().inbox("9-not-paired"))
        yield node.mount
    finally:
        node.destroy()


def test_the_table_is_read():
    assert {"code", "send", "receive", "links", "verify", "priority", "doctor"} <= TABLE.keys() and len(OF_A_LINK) >= 10


@pytest.mark.parametrize("name", TABLE)
def test_an_option_that_is_none(name):
    refused(2, name, "--nonsense", words=("--nonsense", f"ftx {name} --help"))
    refused(2, name, "--mount", words=("--mount", "value"))


@pytest.mark.parametrize("name", [name for name, needed in NEEDED.items() if needed])
def test_an_operand_that_is_missing(name):
    refused(2, name, words=(name,))
    refused(2, name, *[""] * len(NEEDED[name]), words=(name,))


@pytest.mark.parametrize("name", [name for name, operands in TABLE.items() if not any("..." in word for word in operands)])
def test_a_word_too_many(name):
    refused(2, name, *KNOWN.get(name, []), *["9-more"] * 9, words=(name,))


@pytest.mark.parametrize("name", [name for name, operands in TABLE.items() if operands])
def test_operands_that_a_terminal_would_obey(name, mount):
    words = [HOSTILE] * max(1, len(NEEDED[name]))
    refused(2, name, *words, mount=mount, words=("\\x1b",))
    with Terminal(name, *words, mount=mount) as terminal:
        assert terminal.end() == 2
        assert re.fullmatch(r"ftx: [^\x00-\x1f\x7f-\x9f\u202e]+\r?\n", terminal.text), ascii(terminal.text)


@pytest.mark.parametrize("name", [name for name in KNOWN if name not in ALONE])
def test_no_mount(name, scratch):
    refused(3, name, *KNOWN[name], mount=scratch, words=(scratch, "ftxfs"))


@pytest.mark.parametrize("name", OF_A_LINK)
def test_no_such_link(name, mount):
    refused(4, name, *KNOWN[name], mount=mount, words=("9-nobody",))


@pytest.mark.parametrize("words", [("verify",), ("verify-peer",), ("send", "/etc/hostname", "--to")], ids=" ".join)
def test_a_link_that_is_not_paired(words, mount):
    refused(4, *words, "9-not-paired", mount=mount, words=("not paired",))


def test_errors_are_lines_of_text_also_with_json(mount):
    done = ftx("--json", "verify", "9-nobody", mount=mount)
    assert done.returncode == 4 and not done.stdout and done.stderr.count(b"\n") == 1
