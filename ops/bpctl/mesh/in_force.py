"""Reads the configuration in force, and puts an edited one in force, for commands that edit it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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


def number() -> int:
    """Return the number of the revision in force; 0 if there is none."""
    revision = pilot.get("/v1/state")["revision"]
    return int(revision["number"]) if revision else 0


def current() -> InForce:
    """Return what is in force; exit with code 1 if there is nothing."""
    found = number()
    if not found:
        fail("No configuration is in force yet. Run `bpctl mesh apply`.")
    return of(found)


def of(number: int) -> InForce:
    """Return one revision."""
    return InForce(number, pilot.get(f"/v1/history/{number}")["files"])


def put(
    files: dict[str, str], why: str, parent: int, timeout_s: float, *, force: bool
) -> dict[str, Any]:
    """Put files in force unless another revision than `parent` is, and wait for all proxies.

    Exit code 1 if they are refused, 6 if another revision is in force, 4 if a proxy does not
    acknowledge them in time. Without `force`, they must not deny live payments.
    """
    body = {"files": files, "why": why, "parent": parent, "force": force}
    revision = pilot.post("/v1/apply", body)["revision"]
    wait_synced(timeout_s)
    return revision


def wait_synced(timeout_s: float, connects_s: float = 0.0) -> list[str]:
    """Wait until every connected proxy has acknowledged what is in force; exit code 4 if not.

    Returns the proxies that are not connected, also after `connects_s`.
    """
    found = pilot.synced(timeout_s, connects_s)
    require_acknowledged(found["waiting"], timeout_s)
    return found["not_connected"]


def require_acknowledged(waiting: list[str], timeout_s: float) -> None:
    """Exit with code 4 if a connected proxy has not acknowledged what is in force."""
    if waiting:
        names = ", ".join(sorted(waiting))
        said = f"Not acknowledged within {timeout_s:g} s by {names}: bpctl mesh proxy-status"
        fail(visible(said), NOT_SYNCED)


def require_connected(away: list[str]) -> None:
    """Exit with code 4 if a proxy is not connected: nobody knows whether it has what is in force.

    Commands call this last, because the others have it, and a later step must not be left out.
    """
    if away:
        names = ", ".join(sorted(away))
        fail(
            visible(f"In force, but not connected: {names}. See bpctl mesh proxy-status"),
            NOT_SYNCED,
        )
