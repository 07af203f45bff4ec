"""The lines that `up` prints when the bank runs."""

import shlex
from pathlib import Path

import pytest

from sandbox.stack import progress
from sandbox.stack.home import REPO, Home

REPORT = {"up_first_s": 1.0, "rss_mib": 1.0}


def test_the_line_with_the_addresses_can_be_pasted_whatever_the_path_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    home = Home(Path("/a path/with 'spaces'/and [red]brackets[/red]/that is long/.bp"))
    progress.show_summary(home, REPORT)
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "addresses: " in one]
    command = line.partition("addresses: ")[2].partition("   logs: ")[0]
    assert shlex.split(command) == [".", str(home.env_file)]


def test_a_bank_of_another_folder_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    progress.show_summary(Home(REPO / ".bp"), REPORT)
    assert "BP_HOME" not in capsys.readouterr().out
    progress.show_summary(Home(Path("/another/clone/.bp")), REPORT)
    told = "This is the bank of /another/clone/.bp, which BP_HOME names."
    assert told in capsys.readouterr().out
