"""What a command sends, says and returns when it changes the mesh and waits for the proxies."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from ops.bpctl import connections
from ops.bpctl.mesh import commands, pilot

CONFLICT = {
    "reason": "REVISION_CHANGED",
    "message": "revision 8 is in force, by bo",
    "findings": [],
}


@dataclass
class Plane:
    """The answers of a control plane, and what it was asked."""

    away: list[str] = field(default_factory=list[str])
    conflict: bool = False
    pinned_since_s: float | None = None
    findings: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    reports: list[str] = field(default_factory=list[str])
    ends: list[str] = field(default_factory=list[str])
    waits_s: dict[str, float] = field(default_factory=dict[str, float])
    bodies: dict[str, Any] = field(default_factory=dict[str, Any])

    def answer(self, _: Path, __: str, target: str, body: Any, **options: Any) -> Any:
        """Answer one request."""
        self.waits_s[target], self.bodies[target] = options["waits_s"], body
        if self.conflict and body is not None:
            options["refused"](409, json.dumps({"error": CONFLICT}))
        if target.startswith("/v1/synced"):
            return {"waiting": [], "not_connected": self.away}
        if target == "/v1/proxies":
            state = "SYNCED" if self.pinned_since_s is None else "PINNED"
            kind = {"state": "SYNCED"}
            proxy = {"node": "payments-0", "state": state, "streams": 1, "kinds": {"SECRET": kind}}
            proxy["kinds"] = dict.fromkeys(_KINDS, kind)
            return {"proxies": [{**proxy, "pinned_since_s": self.pinned_since_s}]}
        state = {"findings": self.findings, "reports": self.reports, "events": None}
        return {
            "revision": {"number": 7},
            "changed": True,
            "revisions": [],
            "instance": "",
            **state,
        }


_KINDS = ("SECRET", "CLUSTER", "ENDPOINTS", "LISTENER", "ROUTES", "EXTENSION")


@pytest.fixture
def plane(monkeypatch: pytest.MonkeyPatch) -> Plane:
    """Return the control plane that commands ask."""
    made = Plane()
    monkeypatch.setattr(connections, "call_socket", made.answer)
    monkeypatch.setattr(pilot, "socket_path", Path)
    return made


def mesh(*arguments: str) -> Result:
    """Run a command of `bpctl mesh`."""
    app = typer.Typer()
    commands.register(app)
    return CliRunner().invoke(app, ["mesh", *arguments])


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Return a folder with a configuration."""
    (tmp_path / "mesh.yaml").write_text("kind: x\n")
    return str(tmp_path)


def test_a_request_takes_as_long_as_the_command_waits(plane: Plane) -> None:
    """--timeout may be longer than other requests may take."""
    assert mesh("rollback", "--to", "3", "--timeout", "600").exit_code == 0
    waits = {target: each for target, each in plane.waits_s.items() if each}
    assert waits == {"/v1/synced?timeout_s=600.0&connects_s=10.0": 610.0}


@pytest.mark.parametrize("command", ["apply", "rollback"])
def test_a_proxy_that_is_not_connected_is_named_with_exit_code_4(
    plane: Plane, folder: str, command: str
) -> None:
    """It has not acknowledged anything, so the change is not everywhere."""
    plane.away = ["payments-0"]
    given = ("apply", folder) if command == "apply" else ("rollback", "--to", "3")
    done = mesh(*given)
    assert done.exit_code == 4
    assert "Every connected proxy has acknowledged it." in done.output
    assert "not connected: payments-0" in done.output
    assert mesh(*given, "--no-wait").exit_code == 0
    done = mesh(*given, "--json")
    assert done.exit_code == 4
    assert json.loads(done.stdout)["not_connected"] == ["payments-0"]


def test_a_drain_that_a_proxy_does_not_know_has_exit_code_4(plane: Plane) -> None:
    plane.away = ["payments-0"]
    done = mesh("inject", "stop", "customers")
    assert done.exit_code == 4
    assert "not connected: payments-0" in done.output


def test_a_change_names_the_revision_for_which_it_was_made(plane: Plane, folder: str) -> None:
    """The one in force when the command starts, or the one that the SRE has compared with."""
    mesh("apply", folder)
    assert plane.bodies["/v1/apply"]["parent"] == 7
    mesh("apply", folder, "--parent", "5", "--force")
    assert (plane.bodies["/v1/apply"]["parent"], plane.bodies["/v1/apply"]["force"]) == (5, True)
    mesh("rollback", "--to", "3")
    assert plane.bodies["/v1/rollback"] == {"to": 3, "why": "", "force": False, "parent": 7}
    mesh("rollback", "--to", "3", "--parent", "6", "--force")
    assert plane.bodies["/v1/rollback"] == {"to": 3, "why": "", "force": True, "parent": 6}


@pytest.mark.parametrize("command", ["apply", "rollback"])
def test_a_conflict_has_its_own_exit_code_and_says_who_was_faster(
    plane: Plane, folder: str, command: str
) -> None:
    plane.conflict = True
    done = mesh("apply", folder) if command == "apply" else mesh("rollback", "--to", "3")
    assert done.exit_code == 6
    assert "revision 8 is in force, by bo" in done.output


def test_a_pinned_proxy_is_shown_with_the_time(plane: Plane) -> None:
    """It was once a proxy that is not connected, and nobody knew that it gets no updates."""
    plane.pinned_since_s = 1_700_000_000.0
    done = mesh("proxy-status")
    assert "PINNED to another bootstrap since 2023-11-14 22:13:20Z" in done.output


@pytest.mark.parametrize("command", ["proxy-status", "history"])
def test_what_is_not_in_force_is_shown_with_its_reason(plane: Plane, command: str) -> None:
    plane.findings = [{"file": "mesh.yaml", "line": 3, "problem": "5 live calls would be denied"}]
    plane.reports = ["drained.json was damaged"]
    done = mesh(command)
    assert "Not in force: mesh.yaml:3: 5 live calls would be denied" in done.output
    assert "Damaged: drained.json was damaged" in done.output
    assert done.exit_code == (1 if command == "proxy-status" else 0)
    assert json.loads(mesh(command, "--json").stdout)["reports"] == plane.reports


@pytest.mark.parametrize(
    "command", ["apply", "rollback", "inject", "canary start", "canary promote", "canary rollback"]
)
def test_each_command_that_the_guard_can_refuse_has_force(command: str) -> None:
    """The refusal says so."""
    assert "--force" in mesh(*command.split(), "--help").output
