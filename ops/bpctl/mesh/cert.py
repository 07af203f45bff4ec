"""`bpctl mesh cert`: the certificates that proxies use, their lifetime, and their files."""

from __future__ import annotations

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

    A certificate that Envoy still keeps next to its successor is "older". Exit code 1 if one
    expires in less than ten minutes, has expired, or differs from its file; 3 if the proxy does not
    run.

    Example: bpctl mesh cert payments
    """
    nodes = proxy_admin.nodes()
    chosen = [each for each in nodes if proxy in ("", each, folder_name(each))]
    if not chosen:
        fail(visible(f"No proxy is called {proxy}; there are {', '.join(map(folder_name, nodes))}"))
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = []
    for node in chosen:
        text = proxy_admin.read(node, "/certs")
        if text is None:
            fail(f"The proxy {folder_name(node)} does not answer. {connections.CHECK}", AWAY)
        used = certificates.of_envoy(json.loads(text))
        rows += certificates.rows(folder_name(node), used, _files(node), now)
    if as_json:
        pilot.say_json({"certificates": rows})
    else:
        table("Certificates", rows, COLUMNS)
    raise typer.Exit(1 if any(certificates.is_alarming(row) for row in rows) else 0)


def _files(node: str) -> list[Certificate]:
    """Return the certificates of a proxy's own identity in BP_HOME/certs."""
    service = node.rpartition("-")[0]
    names = (GATEWAY, PUBLIC) if service == GATEWAY else (service,)
    return [certificates.of_file(_pem(connections.home() / "certs" / name)) for name in names]


def _pem(folder: Path) -> bytes:
    try:
        return (folder / "cert.pem").read_bytes()
    except FileNotFoundError:
        fail(f"{folder} has no certificate: OpenBao has not issued one. {connections.CHECK}", AWAY)
