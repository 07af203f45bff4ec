"""bpctl works on a machine that has neither the sandbox nor the lab."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops.waiting import scaled_s
from tests.architecture.sources import REPO

NEEDED = ("ops", "mesh", "gateway", "services", "gen")


@pytest.mark.parametrize(
    ("also", "has_sandbox"), [((), False), (("lab",), False), (("sandbox",), True)]
)
def test_bpctl_offers_the_commands_of_the_folders_that_are_there(
    tmp_path: Path, also: tuple[str, ...], has_sandbox: bool
) -> None:
    for folder in (*NEEDED, *also):
        shutil.copytree(
            REPO / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    done = subprocess.run(
        [sys.executable, "-m", "ops.bpctl", "--help"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{tmp_path}:{tmp_path / 'gen'}"},
        capture_output=True,
        text=True,
        timeout=scaled_s(60),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "transfers" in done.stdout
    assert ("The simulated partners" in done.stdout) == has_sandbox
