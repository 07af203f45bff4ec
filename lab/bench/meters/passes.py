"""How many requests passed through the sidecars between services, as the sidecars count them.

The count proves whether calls used a sidecar. It does not depend on the speed of the machine.
"""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from lab.bench.test_bench import TestBench

COUNTERS = (
    ("payments", "http.inbound.downstream_rq_total"),
    ("payments", "cluster.service/customers.upstream_rq_total"),
)
"""Service and counter of its sidecar: into payments, from payments to customers.

The sidecar of customers also counts calls from notifications. A call from payments reaches it only
through the sidecar of payments, so the second counter represents both sidecars.
"""


async def count(test_bench: TestBench) -> dict[str, int]:
    """Return the number of requests since each sidecar's start, by sidecar and counter."""
    return {
        f"{service}-sidecar {counter}": await _counter(test_bench, service, counter)
        for service, counter in COUNTERS
    }


def between(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return the number of requests between two counts."""
    return {name: after[name] - before[name] for name in after}


async def _counter(test_bench: TestBench, service: str, counter: str) -> int:
    socket = test_bench.stack.home.run / service / "admin.sock"
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session,
        session.get("http://envoy/stats", params={"filter": f"^{counter}$"}) as answer,
    ):
        text = await answer.text()
    name, _, value = text.strip().rpartition(": ")
    if name != counter:
        raise ValueError(f"the sidecar of {service} has no counter {counter}: {text!r}")
    return int(value)
