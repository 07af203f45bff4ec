"""A user who may not use a bank gets a sentence and an exit code from its commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.stack.home import REPO, Home

STRANGER = 64_999
"""A user id of no account."""
# Modules are imported first: the stranger may not be able to read the virtual environment.
AS_STRANGER = """
import os, sys, typer
from ops.bpctl import connections
from sandbox.stack import cli
os.setgroups([])
os.setgid({0})
os.setuid({0})
try:
    sys.exit({1})
except typer.Exit as end:
    sys.exit(end.exit_code)
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def as_stranger(home: Home, call: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", AS_STRANGER.format(STRANGER, call)],
        cwd=REPO,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{REPO}", "BP_HOME": str(home.root)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("passable", [True, False])
@pytest.mark.parametrize(
    "call", ["connections.addresses()", "cli.main(['status'])", "cli.main(['up'])"]
)
def test_a_command_says_that_the_bank_belongs_to_another_user(
    tmp_path: Path, call: str, passable: bool
) -> None:
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(folder.stat().st_mode | 0o001)
    home = Home(tmp_path / "home")
    home.create()
    home.endpoints.write_text("{}")
    home.endpoints.chmod(0o600)
    home.control_socket.touch()
    if not passable:
        home.root.chmod(0o700)
    done = as_stranger(home, call)
    assert (done.returncode, done.stdout) == (3, "")
    assert "belongs to another user" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    home.root.chmod(0o711)
    home.remove_run()
