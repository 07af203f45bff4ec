"""The commands for people: help, wrong arguments, and homes that cannot be used.

No test here starts a bank.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ops.bpctl import connections
from ops.waiting import scaled_s
from sandbox.stack.home import REPO, Home, home_at, home_from_environment

ACTING = ("sandbox.demo", "sandbox.seed", "lab.bench.report.comparison", "lab.bench.report.page")
"""Modules that act as soon as they run without arguments."""
WRITTEN = ("README.md", "docs/performance.md", "docs/img/peers.svg", "docs/img/cpu.svg")


def run(
    module: str, *arguments: str, home: Path, within_s: float = 60.0
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPO,
        env={**os.environ, "BP_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=scaled_s(within_s),
    )


def times_written() -> list[int]:
    return [(REPO / name).stat().st_mtime_ns for name in WRITTEN]


@pytest.mark.parametrize("module", ACTING)
def test_help_is_printed_and_nothing_else_is_done(module: str, tmp_path: Path) -> None:
    before = times_written()
    helped = run(module, "--help", home=tmp_path / "home")
    assert (helped.returncode, helped.stderr) == (0, "")
    assert helped.stdout.startswith(f"usage: python -m {module} [-h]")
    assert times_written() == before
    assert not (tmp_path / "home").exists()


def test_a_check_of_bugs_without_a_name_runs_nothing(tmp_path: Path) -> None:
    done = run("tools.bugs", "check", home=tmp_path)
    assert done.returncode == 2
    assert "Name a bug, or give --quick or --all" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("way", ["absolute", "relative", "with a slash"])
def test_a_bp_home_that_is_a_link_is_refused(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "home").symlink_to("elsewhere")
    monkeypatch.chdir(tmp_path)
    named = {"absolute": f"{tmp_path}/home", "relative": "home", "with a slash": "home/"}[way]
    monkeypatch.setenv("BP_HOME", named)
    for find in (home_from_environment, connections.home, lambda: home_at(Path(named))):
        with pytest.raises(PermissionError, match="home is a link; remove it or move BP_HOME"):
            find()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_bp_home_below_a_link_is_the_same_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "repository").mkdir()
    (tmp_path / "link").symlink_to("repository")
    monkeypatch.setenv("BP_HOME", str(tmp_path / "link" / "home"))
    home = home_from_environment()
    assert home == Home(tmp_path / "repository" / "home")
    home.create()
    home.remove_run()


@pytest.mark.parametrize("named", ["home", "above/home", "above/../home", ""])
def test_bpctl_uses_the_same_home_as_the_stack(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "above").symlink_to(".")
    monkeypatch.setenv("BP_HOME", named and f"{tmp_path}/{named}")
    assert connections.home() == home_from_environment().root


@pytest.mark.parametrize(
    "command",
    [
        *(("sandbox.stack", "up"), ("sandbox.stack", "status"), ("sandbox.demo",)),
        *(("ops.bpctl", "status"), ("ops.bpctl", "token", "--customer", "ana")),
        ("ops.bpctl", "audit", "verify"),
    ],
    ids=" ".join,
)
def test_no_command_follows_a_home_that_is_a_link_also_while_the_bank_runs(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    """Regression: only the start of a bank that did not run refused it."""
    home = Home(tmp_path / "home")
    home.create()
    home.endpoints.write_text(f'{{"BP_RUN": "{home.run}"}}')
    link = tmp_path / "link"
    link.symlink_to(home.root)
    with socket.socket(socket.AF_UNIX) as supervisor:
        supervisor.bind(str(home.control_socket))
        supervisor.listen()
        done = run(*command, home=link, within_s=20)
    home.remove_run()
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.rstrip(".\n") == f"{link} is a link; remove it or move BP_HOME"


def test_bpctl_in_a_home_that_is_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("ops.bpctl", "token", "--customer", "ana", home=tmp_path / "file")
    assert (done.returncode, done.stdout) == (3, "")
    said = f"{tmp_path}/file is not a folder. Set BP_HOME to the folder of the bank.\n"
    assert done.stderr == said


def test_bpctl_before_the_set_up_names_the_command_that_sets_up(tmp_path: Path) -> None:
    shutil.copy(REPO / "bpctl", tmp_path / "bpctl")
    done = subprocess.run([tmp_path / "bpctl"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "Run `make up` first.\n")


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("a file", ("sandbox.stack", "up")),
        ("in a file", ("sandbox.stack", "up")),
        ("in /proc", ("sandbox.demo",)),
    ],
)
def test_a_home_that_cannot_be_used_is_reported_in_one_sentence(
    kind: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("a person's own text")
    file.chmod(0o644)
    homes = {"a file": file, "in a file": file / "home"}
    home = homes.get(kind, Path("/proc/home"))
    done = run(*command, home=home)
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert said.startswith("The bank did not start: ")
    assert str(home) in said
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_name_that_is_no_part_starts_nothing_and_gets_the_names(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = run("sandbox.stack", "up", "payments", "nonsense", home=home)
    run("sandbox.stack", "down", home=home)  # only needed if the test fails
    assert done.returncode == 2
    assert done.stderr.startswith("Nothing was started: no part is called nonsense; the parts are")
    assert "payments, " in done.stderr
    assert not home.exists()


def test_the_log_of_an_unknown_part_is_refused_with_the_names(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "payments.log").touch()
    done = subprocess.run(
        ["make", "logs", "NAME=nonsense"],
        cwd=REPO,
        env={**os.environ, "BP_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=scaled_s(20),
    )
    assert done.returncode == 2
    assert done.stderr.startswith("No log of nonsense. The logs are: payments.log\n")
