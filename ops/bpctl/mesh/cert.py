"""`bpctl mesh cert`: the certificates that proxies use, their lifetime, and their files."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from mesh.pilot.places import folder_name
from ops.bpctl import connections
from ops.bpctl.connections import AWAY, fail
from ops.bpctl.mesh import certificates, pilot, proxy_admin
from ops.bpctl.mesh.certificates import Certificate
from ops.bpctl.mesh.config_dump import held
from ops.bpctl.mesh.names import complete_proxies
from ops.bpctl.mesh.options import Json
from ops.bpctl.transfers import table
from ops.display import visible

GATEWAY, PUBLIC = "gateway", "edge"
"""The gateway has a second certificate, which customers see."""
COLUMNS = ("proxy", "certificate", "serial", "expires", "left", "state")
Proxy = Annotated[
    str,
    typer.Argument(help="One proxy; without it, all.", autocompletion=complete_proxies),
]


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command()(cert)


def cert(proxy: Proxy = "", as_json: Json = False) -> None:
    """Show the certificates that Envoy uses, and compare them with the files.

    A certificate that Envoy still keeps next to its successor is "older". A secret is "unreadable"
    if Envoy has read a damaged file: calls still work, but the next edit that needs it is refused.

    Exit code 1 if a certificate expires in less than ten minutes, has expired, differs from its
    file, or is unreadable; 3 if the proxy does not run.

    Example: bpctl mesh cert payments
    """
    nodes = proxy_admin.nodes()
    chosen = [each for each in nodes if proxy in ("", each, folder_name(each))]
    if not chosen:
        fail(visible(f"No proxy is called {proxy}; there are {', '.join(map(folder_name, nodes))}"))
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = []
    for node in chosen:
        used = certificates.of_envoy(_answer(node, "/certs"))
        secrets = _secrets(node)
        rows += certificates.rows(folder_name(node), used, _files(node), now, secrets)
        rows += certificates.unusable(folder_name(node), secrets, used)
    if as_json:
        pilot.say_json({"certificates": rows})
    else:
        table("Certificates", rows, COLUMNS)
    raise typer.Exit(1 if any(certificates.is_alarming(row) for row in rows) else 0)


def _answer(node: str, target: str) -> dict[str, Any]:
    text = proxy_admin.read(node, target)
    if text is None:
        fail(f"The proxy {folder_name(node)} does not answer. {connections.CHECK}", AWAY)
    return json.loads(text)


def _secrets(node: str) -> dict[str, int | None]:
    """Return the first serial number of each secret that Envoy has read; None if it has none."""
    return {
        each.name: certificates.first_serial(certificates.loaded(each.content))
        for each in held(_answer(node, "/config_dump"))
        if each.kind == "SECRET"
    }


def _files(node: str) -> list[Certificate]:
    """Return the readable certificates of a proxy's own identity in BP_HOME/certs."""
    service = node.rpartition("-")[0]
    names = (GATEWAY, PUBLIC) if service == GATEWAY else (service,)
    found: list[Certificate] = []
    for name in names:
        pem = _pem(connections.home() / "certs" / name)
        with contextlib.suppress(ValueError):
            found.append(certificates.of_file(pem))
    return found


def _pem(folder: Path) -> bytes:
    try:
        return (folder / "cert.pem").read_bytes()
    except FileNotFoundError:
        fail(f"{folder} has no certificate: OpenBao has not issued one. {connections.CHECK}", AWAY)
