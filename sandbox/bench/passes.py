"""Passes of a transfer through the sidecars between services, as the sidecars count them.

A count proves that calls went through or did not, however fast or slow the machine is.
"""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from sandbox.bench.stand import Stand

COUNTERS = (
    ("payments", "http.inbound.downstream_rq_total"),
    ("payments", "cluster.service/customers.upstream_rq_total"),
    ("customers", "http.inbound.downstream_rq_total"),
)
"""Whose sidecar, and which of its counters: into payments, out of payments to customers, into
customers."""


async def count(stand: Stand) -> dict[str, int]:
    """Return the requests since each sidecar started, by sidecar and counter."""
    return {
        f"{service}-sidecar {counter}": await _counter(stand, service, counter)
        for service, counter in COUNTERS
    }


def between(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return the requests between two counts."""
    return {name: after[name] - before[name] for name in after}


async def _counter(stand: Stand, service: str, counter: str) -> int:
    socket = stand.stack.home.run / service / "admin.sock"
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session,
        session.get("http://envoy/stats", params={"filter": f"^{counter}$"}) as answer,
    ):
        text = await answer.text()
    name, _, value = text.strip().rpartition(": ")
    if name != counter:
        raise ValueError(f"the sidecar of {service} has no counter {counter}: {text!r}")
    return int(value)
