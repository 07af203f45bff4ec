"""Reads the configuration in force, and puts an edited one in force, for commands that edit it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import typer

from ops.bpctl.connections import fail
from ops.bpctl.mesh import pilot
from ops.display import visible

NOT_SYNCED = 4
"""Exit code: in force, but a proxy has not acknowledged it in time."""


@dataclass(frozen=True, slots=True)
class InForce:
    """The newest revision with its files."""

    number: int
    files: dict[str, str]


def current() -> InForce:
    """Return what is in force; exit with code 1 if there is nothing."""
    revision = pilot.get("/v1/state")["revision"]
    if revision is None:
        fail("No configuration is in force yet. Run `bpctl mesh apply`.")
    return of(int(revision["number"]))


def of(number: int) -> InForce:
    """Return one revision."""
    return InForce(number, pilot.get(f"/v1/history/{number}")["files"])


def put(files: dict[str, str], why: str, parent: int, timeout_s: float) -> dict[str, Any]:
    """Put files in force unless another revision than `parent` is, and wait for all proxies.

    Exit code 1 if they are refused, 4 if a proxy does not acknowledge them in time.
    """
    body = {"files": files, "why": why, "parent": parent}
    revision = pilot.post("/v1/apply", body)["revision"]
    wait_synced(timeout_s)
    return revision


def wait_synced(timeout_s: float) -> None:
    """Wait until every connected proxy has acknowledged what is in force; exit code 4 if not."""
    found = pilot.synced(timeout_s)
    if away := found["not_connected"]:
        typer.echo(visible(f"Not connected: {', '.join(away)}"), err=True)
    if waiting := found["waiting"]:
        names = ", ".join(waiting)
        said = f"Not acknowledged within {timeout_s:g} s by {names}: bpctl mesh proxy-status"
        fail(said, NOT_SYNCED)
