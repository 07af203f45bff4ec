"""Makes the gateway call a service without its sidecar: on the service's socket, without mTLS.

Only two things change in a copy of the gateway's configuration, from which it starts. The cluster
gets another address, and the gateway writes the header that the sidecar derives from the gateway's
certificate.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from lab.bench.test_bench import TestBench
from lab.bench.variants.no_sidecar_service import identity_of
from sandbox.stack import pinning

GATEWAY = "gateway"


@asynccontextmanager
async def gateway_direct_to(test_bench: TestBench, service: str) -> AsyncGenerator[None]:
    """Connect the gateway to a service's own socket; restore its configuration at the end."""
    stack = test_bench.stack
    socket = str(stack.home.run / service / "in-0.sock")

    def clusters(content: dict[str, Any]) -> dict[str, Any]:
        bypass_sidecar(content, service, socket)
        return content

    def listeners(content: dict[str, Any]) -> dict[str, Any]:
        name_the_gateway(content)
        return content

    try:
        await asyncio.to_thread(pinning.pin, stack.home, GATEWAY, listeners, clusters)
        await asyncio.to_thread(stack.restart, GATEWAY)
        yield
    finally:
        await asyncio.to_thread(pinning.unpin, stack.home, GATEWAY)
        await asyncio.to_thread(stack.restart, GATEWAY)


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
