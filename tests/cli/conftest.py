# SPDX-License-Identifier: MIT
"""The fixtures of tests/fs for the command: nodes and pairs that are always cleaned up."""
import importlib.util
import os
import sys

FS = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fs"))
sys.path.insert(0, FS)
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

_spec = importlib.util.spec_from_file_location("fs_conftest", os.path.join(FS, "conftest.py"))
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
globals().update({name: value for name, value in vars(_module).items() if not name.startswith("_")})
