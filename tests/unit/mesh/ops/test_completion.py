"""What a shell completes: names from the bank's files, without a question to a process."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops.bpctl.__main__ import COMPLETING, first_word, shown_name
from ops.bpctl.app import build

LINES = {
    "bpctl mesh dra": {"drain"},
    "bpctl mesh drain cus": {"customers-0", "customers-3"},
    "bpctl mesh describe ": {"customers", "payments"},
    "bpctl mesh inject fr": {"fraud"},
    "bpctl mesh cert ": {"customers", "customers-3", "gateway", "payments"},
    "bpctl mesh inject customers --method GetB": {"GetBalance"},
    "bpctl mesh canary ": {"start", "promote", "rollback", "status"},
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bank that does not run, with the files of its last run."""
    places = {
        "services": {
            "customers": {"instances": [{}, {"number": 3}]},
            "payments": {"instances": [{}]},
        },
        "gateway": {},
    }
    folder = tmp_path / "mesh" / "config" / "partners"
    folder.mkdir(parents=True)
    (folder / "fraud.yaml").touch()
    (tmp_path / "mesh" / "endpoints.json").write_text(json.dumps(places))
    monkeypatch.setenv("BP_HOME", str(tmp_path))
    return tmp_path


def completed(line: str) -> set[str]:
    """Return what bash gets for a line."""
    words = line.split(" ")
    environment = {
        COMPLETING: "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    app = build(first_word((), environment))
    return set(CliRunner().invoke(app, [], env=environment, prog_name="bpctl").stdout.split())


@pytest.mark.parametrize("line", LINES)
def test_a_word_is_completed(line: str, home: Path) -> None:
    """Commands, services, partners, proxies, instances and methods."""
    assert home.exists()
    assert completed(line) == LINES[line]


def test_without_a_bank_nothing_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No error appears in the shell."""
    monkeypatch.setenv("BP_HOME", str(tmp_path / "absent"))
    assert completed("bpctl mesh drain ") == set()


def test_the_shell_knows_the_program_by_its_name() -> None:
    """The usage shows how it is called in the repository."""
    assert shown_name(["x", "mesh"], {}) == "./bpctl"
    assert shown_name(["x", "--show-completion"], {}) == "bpctl"
    assert shown_name(["x"], {COMPLETING: "complete_zsh"}) == "bpctl"
    assert first_word(["x", "mesh", "drain"], {}) == "mesh"
    assert first_word(["x"], {}) is None
    typed = {COMPLETING: "complete_zsh", "_TYPER_COMPLETE_ARGS": "./bpctl mesh dr"}
    assert first_word(["x"], typed) == "mesh"
