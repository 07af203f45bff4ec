"""The gateway's way to a service without its sidecar: straight to the service's socket, no mTLS.

Only the cluster's address changes, and the edge writes the header that the sidecar would have
derived from its certificate. The files are those that the mesh has rendered; a start of the stack
in between renders them anew, since its stamp is gone meanwhile.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sandbox.bench.stand import Stand
from sandbox.bench.straight import identity_of
from sandbox.stack.probes import http_json
from sandbox.waiting import until

TAKEN_WITHIN_S = 15.0
EDGE = "gateway"
_FILES = {"cds.json": "cluster_manager.cds", "lds.json": "listener_manager.lds"}
"""Each file and the statistics of who watches it."""


@asynccontextmanager
async def edge_straight_to(stand: Stand, service: str) -> AsyncGenerator[None]:
    """Lead the gateway straight to a service."""
    home = stand.stack.home
    folder, stamp = home.envoy / EDGE, home.mesh_endpoints.with_name("rendered.sha256")
    rendered = {name: (folder / name).read_text() for name in _FILES}
    kept = stamp.read_text()
    stamp.unlink()
    clusters, listeners = (json.loads(rendered[name]) for name in _FILES)
    straighten(clusters, service, str(home.run / service / "in-0.sock"))
    name_the_edge(listeners)
    try:
        changed = {"cds.json": json.dumps(clusters), "lds.json": json.dumps(listeners)}
        await _deliver(stand, folder, changed)
        yield
    finally:
        await _deliver(stand, folder, rendered)
        stamp.write_text(kept)


def straighten(clusters: dict[str, Any], service: str, socket: str) -> None:
    """Give a service's cluster the service's own socket for its address, and clear text."""
    cluster = next(one for one in clusters["resources"] if one["name"] == f"service/{service}")
    del cluster["transport_socket"]
    endpoint = {"address": {"pipe": {"path": socket}}}
    cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": [{"endpoint": endpoint}]}]
    clusters["version_info"] += "-straight"


def name_the_edge(listeners: dict[str, Any]) -> None:
    """Have every route say that the edge calls."""
    header = {"key": "x-forwarded-client-cert", "value": identity_of(EDGE)}
    named = 0
    for routes in _route_configurations(listeners):
        routes.setdefault("request_headers_to_add", []).append(
            {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        )
        named += 1
    if not named:
        raise ValueError("the edge's listeners hold no routes")
    listeners["version_info"] += "-straight"


def _route_configurations(part: Any) -> list[dict[str, Any]]:
    if isinstance(part, list):
        return [found for one in part for found in _route_configurations(one)]
    if not isinstance(part, dict):
        return []
    own = [part["route_config"]] if "route_config" in part else []
    return own + [found for one in part.values() for found in _route_configurations(one)]


async def _deliver(stand: Stand, folder: Path, contents: dict[str, str]) -> None:
    """Replace the files and wait until the gateway has taken each."""
    before = await _taken(stand)
    for name, content in contents.items():
        _replace(folder / name, content)

    async def all_taken() -> bool:
        return _all_taken(before, await _taken(stand))

    await until(all_taken, TAKEN_WITHIN_S, "the gateway takes its configuration")


def _all_taken(before: dict[str, int], after: dict[str, int]) -> bool:
    if any(after[f"{who}.update_rejected"] > before[f"{who}.update_rejected"] for who in _WHO):
        raise RuntimeError("the gateway refused the changed configuration; see its log")
    return all(after[f"{who}.update_success"] > before[f"{who}.update_success"] for who in _WHO)


_WHO = tuple(_FILES.values())


async def _taken(stand: Stand) -> dict[str, int]:
    base = f"http://{stand.where['BP_GATEWAY_ADMIN']}"
    answer: Any = await http_json(f"{base}/stats?filter=ds.update_&format=json")
    return {one["name"]: one["value"] for one in answer["stats"] if "value" in one}


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
    draft.rename(path)
