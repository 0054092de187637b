#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Holds what people would have to remember: check.py layers | text | format | shell | python; says each fault as file:line: what, exit 1."""
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))

# What each folder may include besides itself; the same table links the libraries in CMakeLists.txt.
LAYERS = {
    "transport/base": [],
    "transport/wire": ["transport/base"],
    "transport/crypto": ["transport/wire", "transport/base"],
    "transport/session": ["transport/crypto", "transport/wire", "transport/base"],
    "transport/net": ["transport/base"],
    "transport/relay": ["transport/base"],
    "transport/peer": ["transport/session", "transport/net", "transport/crypto", "transport/wire", "transport/base"],
    "fs/store": ["transport/session/scheduler.h", "transport/session/plan.h", "transport/crypto/identity.h",
                 "transport/crypto/digest.h",
                 "transport/wire", "transport/base"],
    "fs/xfer": ["fs/store", "transport/peer", "transport/session", "transport/net", "transport/crypto", "transport/wire",
                "transport/base"],
    "fs/hooks": ["fs/store", "transport/base"],
    "fs/fuse": ["fs/store", "fs/xfer", "transport/session/scheduler.h", "transport/wire", "transport/base"],
    "fs/headless": ["fs/store", "fs/xfer", "transport/wire", "transport/base"],
    "tools/ftx": ["fs/headless", "fs/xfer", "fs/store", "tools/common", "transport"],  # and no FUSE
    "tools": ["fs", "transport"],
    "tests": ["fs", "transport", "tools"],
}
# Who may use a component. The session core and what lies below it in its layer do no I/O and know no clock.
COMPONENTS = {
    r"uv\.h": ["transport/net", "transport/peer", "fs/xfer", "tools", "tests"],
    r"sqlite3\.h": ["fs/store", "tests"],
    r"(fuse|fuse3/).*": ["fs/fuse", "tools", "tests"],
    r"openssl/.*": ["transport/crypto", "transport/net/tls.c", "transport/net/websocket_dial.c", "tools/ftx-relay/mask.c", "tests"],
    r"libwebsockets\.h": ["tools/ftx-relay"],
    r"zstd.*\.h": ["transport/session", "tests"],
    r"(natpmp|miniupnpc/.*)\.h": ["transport/net"],
    r"qrencode\.h": ["tools/ftx"],
    r"magic\.h": ["fs/xfer"],
    r"arpa/inet\.h": ["transport/relay", "transport/base", "transport/net", "transport/peer", "fs", "tools", "tests"],  # addresses as text
    r"(sys/socket|netinet/.*|netdb|poll|sys/epoll|pthread|time|sys/time)\.h":
        ["transport/base", "transport/net", "transport/peer", "fs", "tools", "tests"],
}
MAX_LINES = 600
MAX_LINES_TEST = 1000  # one table of cases after the other
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
PRIVATE = re.compile(r"/wo" r"rk/|\.libr" r"ary")

faults = []


def fault(path, line, what):
    faults.append(f"{path}:{line}: {what}")


def sources():
    """Every text file of the project, relative to its top."""
    for folder, folders, names in os.walk(TOP):
        inside = os.path.relpath(folder, TOP)
        folders[:] = sorted(name for name in folders if name not in (".git", "__pycache__", "corpus", "node_modules")
                            and not (inside == "." and name.startswith("build")))
        for name in sorted(names):
            path = os.path.normpath(os.path.join(inside, name))
            if name != ".git" and not name.endswith(".png") and not os.path.islink(os.path.join(TOP, path)):
                yield path


def lines_of(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read().split("\n")


def is_c(path):
    return path.endswith((".c", ".h"))


def is_shell(path):
    if path.endswith(".sh"):
        return True
    with open(os.path.join(TOP, path), "rb") as file:
        return re.match(rb"#!.*\b(ba)?sh\b", file.readline()) is not None


def within(path, folders):
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def check_layers():
    for path in filter(is_c, sources()):
        layer = next((name for name in LAYERS if within(path, [name])), None)
        if layer is None:
            fault(path, 1, "is in no layer of tests/lint/check.py")
            continue
        for number, line in enumerate(lines_of(path), 1):
            include = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if not include:
                continue
            kind, name = include.groups()
            if kind == '"':
                if not os.path.isfile(os.path.join(TOP, name)):
                    fault(path, number, f'"{name}" is not a path from the top of the repository')
                elif not within(name, [layer, *LAYERS[layer]]):
                    fault(path, number, f"{layer} may not include {name}")
                continue
            for pattern, folders in COMPONENTS.items():
                if re.fullmatch(pattern, name) and not within(path, folders):
                    fault(path, number, f"{layer} may not use <{name}>")


def check_text():
    for path in sources():
        try:
            lines = lines_of(path)
        except UnicodeDecodeError:
            fault(path, 1, "is not UTF-8")
            continue
        script = lines[0].startswith("#!")
        code = is_c(path) or script or path.endswith((".py", ".cmake", "CMakeLists.txt"))
        if code:
            first = 1 if script else 0
            if len(lines) < first + 2 or "SPDX-License-Identifier: MIT" not in lines[first]:
                fault(path, first + 1, "the first line is not the SPDX one")
            elif not lines[first + 1].startswith(("/*", "#", '"""')) or lines[first + 1].startswith("#include"):
                fault(path, first + 2, "the second line does not say what the file is for")
            most = MAX_LINES_TEST if path.startswith("tests/") else MAX_LINES
            if len(lines) - 1 > most:
                fault(path, most, f"{len(lines) - 1} lines; split it by state, message or theme")
        for number, line in enumerate(lines, 1):
            if code and UNFINISHED.search(line):
                fault(path, number, "unfinished business belongs into an issue")
            if PRIVATE.search(line):
                fault(path, number, "names a path of one machine")
            if code and line != line.rstrip():
                fault(path, number, "ends with blanks")


def run_tool(tool, *arguments):
    done = subprocess.run([tool, *arguments], cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        faults.append(done.stdout.decode(errors="replace").rstrip() or f"{tool}: exit {done.returncode}")


def check_format():
    """clang-format 14 and no other: the versions disagree."""
    tool = next((name for name in ("clang-format-14", "clang-format") if shutil.which(name)), None)
    if tool is None or b"version 14." not in subprocess.run([tool, "--version"], stdout=subprocess.PIPE, check=True).stdout:
        print("skipped: no clang-format 14")
        return
    files = list(filter(is_c, sources()))
    if files:
        run_tool(tool, "--dry-run", "-Werror", "--ferror-limit=3", *files)


def check_shell():
    if shutil.which("shellcheck") is None:
        print("skipped: no shellcheck")
        return
    run_tool("shellcheck", *filter(is_shell, sources()))


def check_python():
    for path in sources():
        if path.endswith(".py"):
            try:
                compile("\n".join(lines_of(path)), path, "exec")
            except SyntaxError as error:
                fault(path, error.lineno, error.msg)


def main():
    checks = {"layers": check_layers, "text": check_text, "format": check_format, "shell": check_shell, "python": check_python}
    if len(sys.argv) < 2 or set(sys.argv[1:]) - checks.keys():
        print("usage: check.py " + " | ".join(checks), file=sys.stderr)
        return 2
    for name in sys.argv[1:]:
        checks[name]()
    print("\n".join(faults) if faults else "no faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
