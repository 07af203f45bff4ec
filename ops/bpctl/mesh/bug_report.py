"""`bpctl mesh bug-report`: one archive with what explains the state of the mesh.

Only named parts get into it, and every text is redacted: no private key, token or personal data.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from mesh.pilot.places import NAME as CONTROL_PLANE
from mesh.pilot.places import folder_name
from ops.bpctl import connections
from ops.bpctl.connections import fail
from ops.bpctl.mesh import in_force, pilot, proxy_admin
from ops.bpctl.mesh.options import Json
from ops.bpctl.mesh.redaction import recent, redacted
from ops.display import visible

LOG_MINUTES = 10
LOG_BYTES_MAX = 4 * 1024 * 1024
"""Read from the end of each log."""
ASKED = {
    "state": "/v1/state",
    "proxy-status": "/v1/proxies",
    "history": "/v1/history",
    "edges": "/v1/edges",
    "expiring": "/v1/expiring",
    "traffic": "/v1/traffic?by=method",
}
"""File -> what the control plane is asked."""
DUMPED = {
    "config_dump": "/config_dump?include_eds",
    "clusters": "/clusters?format=json",
    "listeners": "/listeners?format=json",
    "stats": "/stats",
    "certs": "/certs",
    "server_info": "/server_info",
}
"""File -> what each proxy is asked."""
KEPT = ("endpoints.json", "drained.json", "expiring.json")
Part = tuple[str, str]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Default: mesh-bug-report-TIME.tar.gz here.")
]


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("bug-report")(bug_report)


def bug_report(output: Output = None, as_json: Json = False) -> None:
    """Collect state, history, configuration, Envoy's view and recent logs into one archive.

    Private keys, tokens and personal data are not in it. The archive has mode 0600.

    Example: bpctl mesh bug-report -o report.tar.gz
    """
    now = datetime.now(UTC)
    path = output or Path(f"mesh-bug-report-{now:%Y%m%dT%H%M%SZ}.tar.gz")
    if path.exists():
        fail(f"{path} exists already; choose another name.")
    names = written(path, _parts(now))
    if as_json:
        pilot.say_json({"file": str(path), "parts": names})
    else:
        size_kib = path.stat().st_size // 1024
        typer.echo(
            visible(f"{path}: {len(names)} files, {size_kib} KiB. Look at it before you send it.")
        )


def written(path: Path, parts: Iterator[Part]) -> list[str]:
    """Write the redacted parts into an archive that only this user can read; return their names."""
    names: list[str] = []
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with (
        os.fdopen(os.open(path, flags, 0o600), "wb") as file,
        tarfile.open(fileobj=file, mode="w:gz") as archive,
    ):
        for name, text in parts:
            body = redacted(text).encode()
            info = tarfile.TarInfo(f"mesh-bug-report/{name}")
            info.size, info.mode, info.mtime = len(body), 0o600, int(time.time())
            archive.addfile(info, io.BytesIO(body))
            names.append(name)
    return names


def _parts(now: datetime) -> Iterator[Part]:
    for name, target in ASKED.items():
        yield f"{name}.json", _json(pilot.get(target))
    mine = in_force.current()
    for file, text in mine.files.items():
        yield f"config/{file}", text
    home = connections.home()
    for name in KEPT:
        if (path := home / "mesh" / name).exists():
            yield name, path.read_text()
    for node in proxy_admin.nodes():
        for name, target in DUMPED.items():
            text = proxy_admin.read(node, target)
            yield f"proxies/{node}/{name}", text if text is not None else "no answer\n"
    yield from _logs(home / "logs", now - timedelta(minutes=LOG_MINUTES))


def _logs(folder: Path, since: datetime) -> Iterator[Part]:
    """Yield the recent lines of the proxies, the services behind them and the control plane."""
    nodes = [folder_name(each) for each in proxy_admin.nodes()]
    names = [CONTROL_PLANE, *nodes, *(f"{each}-sidecar" for each in nodes)]
    for name in names:
        path = folder / f"{name}.log"
        if path.exists():
            yield f"logs/{name}.log", recent(_end(path), since)


def _end(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - LOG_BYTES_MAX))
        return file.read().decode(errors="replace")


def _json(value: object) -> str:
    return json.dumps(value, indent=1) + "\n"
