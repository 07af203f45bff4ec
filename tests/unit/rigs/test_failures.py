"""After a failure, a session shows it immediately, uses shorter deadlines, and ends in time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.waiting import FACTOR_VARIABLE

CONFTEST = """
import os

from tests.rigs.failures import Failures
from tests.rigs.host_speed import set_deadline_factor


def pytest_configure(config):
    set_deadline_factor()
    config.pluginmanager.register(Failures(config, float(os.environ["SESSION_MAX_S"])))
"""
TOYS = """
import pytest

from ops.waiting import scaled_s


def test_before():
    assert scaled_s(1) >= 10


def test_hangs(request):
    assert request.node.get_closest_marker("timeout").args == (scaled_s(20),)
    raise AssertionError("the part hangs")


def test_after(request):
    assert scaled_s(1) < 10
    assert request.node.get_closest_marker("timeout").args == (scaled_s(20),)
"""
LANES = ("-n", "2", "--dist", "each")


@pytest.fixture
def toys(tmp_path: Path) -> Path:
    """A folder with three tests; the second one fails."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_toys.py").write_text(TOYS)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntimeout = 20\n")
    return tmp_path


def _session(toys: Path, *options: str, max_s: float = 1000) -> str:
    environment = os.environ | {"SESSION_MAX_S": str(max_s), "BP_TEST_SLOWNESS": "1.00"}
    del environment[FACTOR_VARIABLE]
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, str(toys))
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode != 0, ran.stdout
    return ran.stdout


@pytest.mark.parametrize("options", [(), LANES], ids=["one process", "lanes"])
def test_a_failure_is_shown_at_once_and_the_next_deadlines_are_shorter(
    toys: Path, options: tuple[str, ...]
) -> None:
    shown, _, summary = _session(toys, *options).partition("= FAILURES =")
    assert "test_toys.py::test_hangs: AssertionError: the part hangs" in shown
    workers = 2 if options else 1
    assert f"{workers} failed, {2 * workers} passed" in summary


@pytest.mark.parametrize("options", [(), LANES], ids=["one process", "lanes"])
def test_a_session_that_takes_too_long_ends_itself_and_reports(
    toys: Path, options: tuple[str, ...]
) -> None:
    printed = _session(toys, *options, max_s=0)
    assert "the session took over 0 minutes" in printed
    assert "test_after" not in printed
