"""Calls the admin API of the running control plane, over its Unix socket."""

from __future__ import annotations

import json
import socket
import urllib.parse
from pathlib import Path
from typing import Any, NoReturn

import typer

from mesh.pilot.places import NAME
from ops.bpctl import connections
from ops.bpctl.connections import AWAY, fail
from ops.display import visible

CONFLICT = 6
"""Exit code: another revision came into force meanwhile, and nothing has changed."""
CONNECTS_WITHIN_S = 10.0
"""Proxies connect again in this time after a restart of the control plane."""
START = "The control plane does not run. The proxies keep what they have. Check with `make status`."


def socket_path() -> Path:
    """Return the socket of the admin API; exit with code 3 if the control plane does not run."""
    path = Path(connections.addresses()["BP_RUN"]) / NAME / "admin.sock"
    connections.require_running()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(str(path))
        except OSError:
            fail(START, AWAY)
    return path


def get(target: str, **query: object) -> Any:
    """Return the answer to a GET."""
    text = urllib.parse.urlencode({key: value for key, value in query.items() if value is not None})
    return _call("GET", f"{target}?{text}" if text else target)


def synced(timeout_s: float, connects_s: float = 0.0) -> dict[str, list[str]]:
    """Wait until every connected proxy has acknowledged what is in force.

    A proxy without its stream gets `connects_s` to connect. `waiting` has the names of those that
    have not acknowledged in time, `not_connected` the other proxies.
    """
    target = f"/v1/synced?timeout_s={timeout_s}&connects_s={min(connects_s, timeout_s)}"
    return _call("GET", target, waits_s=timeout_s + connects_s)


def post(target: str, body: dict[str, Any]) -> Any:
    """Return the answer to a POST."""
    return _call("POST", target, body)


def _call(method: str, target: str, body: Any = None, waits_s: float = 0.0) -> Any:
    return connections.call_socket(
        socket_path(), method, target, body, refused=_refused, waits_s=waits_s
    )


def _refused(status: int, said: str) -> NoReturn:
    """Print each finding, or the message of a refusal; exit with code 1, or 6 for a conflict."""
    try:
        error = json.loads(said)["error"]
    except (ValueError, KeyError, TypeError):
        fail(f"The control plane answered {status}: {said}", AWAY)
    lines = [finding(each) for each in error["findings"]] or [visible(error["message"])]
    fail("\n".join(lines), CONFLICT if error["reason"] == "REVISION_CHANGED" else 1)


def finding(found: dict[str, Any]) -> str:
    """Return an error of a configuration as compilers print it: file, line, problem."""
    place = f"{found['file']}:{found['line']}: " if found["file"] else ""
    return visible(place + found["problem"])


def say_notes(state: dict[str, Any]) -> None:
    """Print why files of the active folder are not in force, and which files are damaged."""
    for each in state["findings"]:
        typer.echo(f"Not in force: {finding(each)}")
    for each in state["reports"]:
        typer.echo(visible(f"Damaged: {each}"))


def content(folder: Path) -> dict[str, str]:
    """Return the files of a configuration; exit with code 1 if the folder cannot be one."""
    from mesh.pilot import config_folder

    try:
        found = config_folder.read(folder)
    except (config_folder.FolderRefused, OSError) as error:
        fail(f"{folder}: {error}")
    try:
        return {name: body.decode() for name, body in found.items()}
    except UnicodeDecodeError:
        broken = [name for name, body in found.items() if not _is_utf8(body)]
        fail(f"{', '.join(broken)}: the text is not UTF-8; save it as UTF-8")


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def say_json(value: Any) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, indent=1))
