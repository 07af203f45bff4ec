"""Makes the gateway call a service without its sidecar: on the service's socket, without mTLS.

Only two things change in the files that the mesh rendered. The cluster gets another address, and
the gateway writes the header that the sidecar derives from the gateway's certificate. The rendered
files' stamp is removed for this time, so a restart of the stack renders them again.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lab.bench.test_bench import TestBench
from lab.bench.variants.no_sidecar_service import identity_of
from ops.waiting import until
from sandbox.stack.supervisor.probes import http_json

TAKEN_WITHIN_S = 15.0
GATEWAY = "gateway"
_FILES = {"cds.json": "cluster_manager.cds", "lds.json": "listener_manager.lds"}
"""Each rendered file and the prefix of its Envoy statistics."""


@asynccontextmanager
async def gateway_direct_to(test_bench: TestBench, service: str) -> AsyncGenerator[None]:
    """Connect the gateway to a service's own socket; restore its configuration at the end."""
    home = test_bench.stack.home
    folder, stamp = home.envoy / GATEWAY, home.mesh_endpoints.with_name("rendered.sha256")
    rendered = {name: (folder / name).read_text() for name in _FILES}
    kept = stamp.read_text()
    stamp.unlink()
    clusters, listeners = (json.loads(rendered[name]) for name in _FILES)
    bypass_sidecar(clusters, service, str(home.run / service / "in-0.sock"))
    name_the_gateway(listeners)
    try:
        changed = {"cds.json": json.dumps(clusters), "lds.json": json.dumps(listeners)}
        await _deliver(test_bench, folder, changed)
        yield
    finally:
        await _deliver(test_bench, folder, rendered)
        stamp.write_text(kept)


def bypass_sidecar(clusters: dict[str, Any], service: str, socket: str) -> None:
    """Point the cluster of a service to the service's own socket, in plaintext."""
    cluster = next(one for one in clusters["resources"] if one["name"] == f"service/{service}")
    del cluster["transport_socket"]
    endpoint = {"address": {"pipe": {"path": socket}}}
    cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": [{"endpoint": endpoint}]}]
    clusters["version_info"] += "-no-sidecar"


def name_the_gateway(listeners: dict[str, Any]) -> None:
    """Make every route send the identity of the gateway."""
    header = {"key": "x-forwarded-client-cert", "value": identity_of(GATEWAY)}
    named = 0
    for routes in _route_configurations(listeners):
        routes.setdefault("request_headers_to_add", []).append(
            {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        )
        named += 1
    if not named:
        raise ValueError("the gateway's listeners have no routes")
    listeners["version_info"] += "-no-sidecar"


def _route_configurations(part: Any) -> list[dict[str, Any]]:
    if isinstance(part, list):
        return [found for one in part for found in _route_configurations(one)]
    if not isinstance(part, dict):
        return []
    own = [part["route_config"]] if "route_config" in part else []
    return own + [found for one in part.values() for found in _route_configurations(one)]


async def _deliver(test_bench: TestBench, folder: Path, contents: dict[str, str]) -> None:
    """Replace the files and wait until the gateway has loaded each of them."""
    before = await _taken(test_bench)
    for name, content in contents.items():
        _replace(folder / name, content)

    async def all_taken() -> bool:
        return _all_taken(before, await _taken(test_bench))

    await until(all_taken, TAKEN_WITHIN_S, "the gateway loads its configuration")


def _all_taken(before: dict[str, int], after: dict[str, int]) -> bool:
    if any(after[f"{who}.update_rejected"] > before[f"{who}.update_rejected"] for who in _WHO):
        raise RuntimeError("the gateway rejected the changed configuration; see its log")
    return all(after[f"{who}.update_success"] > before[f"{who}.update_success"] for who in _WHO)


_WHO = tuple(_FILES.values())


async def _taken(test_bench: TestBench) -> dict[str, int]:
    socket = test_bench.where["BP_GATEWAY_ADMIN_SOCKET"]
    answer: Any = await http_json("http://envoy/stats?filter=ds.update_&format=json", socket)
    return {one["name"]: one["value"] for one in answer["stats"] if "value" in one}


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
    draft.rename(path)
