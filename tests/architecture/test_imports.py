"""Importing has no side effect: every module imports with sockets blocked and no environment."""

import os
import subprocess
import sys

from ops.waiting import scaled_s
from tests.architecture.sources import REPO, modules

IMPORT_ALL = """
import importlib, socket, sys

def refuse(*_, **__):
    raise AssertionError("a socket was opened at import")

class Refused(socket.socket):
    __init__ = refuse

socket.socket = Refused
socket.create_connection = socket.getaddrinfo = refuse
bad = []
for name in sys.stdin.read().split():
    try:
        importlib.import_module(name)
    except BaseException as error:
        bad.append(f"{name}: {type(error).__name__}: {error}")
import threading
bad += [f"a thread runs: {thread.name}" for thread in threading.enumerate()[1:]]
print("\\n".join(bad))
"""


def test_every_module_imports_without_network_environment_or_side_effect() -> None:
    names = [m.name for m in modules() if m.path.parts[0] != "tests"]
    importable = [name for name in names if not name.endswith("sitecustomize")]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL],
        input="\n".join(importable),
        env={"PYTHONPATH": os.pathsep.join((str(REPO), str(REPO / "gen")))},
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=scaled_s(60),
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == ""
