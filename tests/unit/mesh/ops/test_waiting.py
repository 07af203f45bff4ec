"""What a command says after it has waited for the proxies."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from ops.bpctl import connections
from ops.bpctl.mesh import commands, pilot


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Return how long each request may take; one proxy of the bank is not connected."""
    waits_s: dict[str, float] = {}

    def answered(_: Path, __: str, target: str, ___: Any, **options: Any) -> Any:
        waits_s[target] = options["waits_s"]
        if target.startswith("/v1/synced"):
            return {"waiting": [], "not_connected": ["payments-0"]}
        return {"revision": {"number": 7}, "changed": True}

    monkeypatch.setattr(connections, "call_socket", answered)
    monkeypatch.setattr(pilot, "socket_path", Path)
    return waits_s


def _rolled_back(*options: str) -> str:
    app = typer.Typer()
    commands.register(app)
    done = CliRunner().invoke(app, ["mesh", "rollback", "--to", "3", *options])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_request_takes_as_long_as_the_command_waits(asked: dict[str, float]) -> None:
    """--timeout may be longer than other requests may take."""
    _rolled_back("--timeout", "600")
    assert asked == {"/v1/rollback": 0.0, "/v1/synced?timeout_s=600.0": 600.0}


@pytest.mark.usefixtures("asked")
def test_a_proxy_without_a_stream_is_named() -> None:
    """It has not acknowledged anything, so the command does not say that it has."""
    said = _rolled_back()
    assert "Every connected proxy has acknowledged it; not connected: payments-0." in said
