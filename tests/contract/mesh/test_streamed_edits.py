"""Edits of mesh/config/ reach proxies by streams: no call fails, and no listener is replaced."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from mesh.controlplane.deliver.packed import Kind
from tests.rigs.mesh.edited import ACH, BALANCE, Edited, open_edited
from tests.rigs.mesh.streamed import Nodes, StreamedRig

PROXIES = ("payments", "customers", "auth", "gateway")
IN_FLIGHT_S = 1.0
"""How long slow calls remain in flight after an edit."""
MORE = "        - ./transfers.bp.svc.cluster.local\n"
Change = tuple[str, Kind, str]


@dataclass
class Streamed:
    """The running proxies, with the snapshots that they have now."""

    edited: Edited
    rig: StreamedRig
    now: Nodes

    async def nodes(self) -> Nodes:
        """Return the snapshots of the folder."""
        return await asyncio.to_thread(self.rig.nodes, self.edited.config)

    async def take(self, new: Nodes) -> set[Change]:
        """Publish snapshots and wait until every proxy has them; return what they change."""
        before, self.now = self.now, new
        self.rig.publish(new)
        await self.rig.synced(new)
        return {
            (node, kind, name)
            for node, each in new.items()
            for kind in Kind
            for name, resource in each.resources[kind].items()
            if before[node].resources[kind].get(name) is not resource
        }

    async def under_load(self, file: str, old: str, new: str) -> set[Change]:
        """Edit a file while calls are in flight; return what it changes."""
        self.edited.edit(file, old, new)
        resources = await self.nodes()
        return await self.edited.in_flight(lambda: self.take(resources), IN_FLIGHT_S)

    async def replaced(self) -> int:
        """Return how many listeners were replaced since the start."""
        found = 0
        for name in PROXIES:
            stats = await self.rig.stats(name, "listener_manager.listener_")
            found += stats["listener_manager.listener_modified"]
            found += stats["listener_manager.listener_in_place_updated"]
        return found


@pytest.fixture(scope="module")
async def streamed() -> AsyncIterator[Streamed]:
    """Return the running proxies."""
    async with open_edited(streamed=True) as made:
        rig = made.gateway.rig
        assert isinstance(rig, StreamedRig)
        yield Streamed(made, rig, rig.nodes(made.config))


EDGE, PAYMENTS = "gateway-0", "payments-0"
EDITS: list[tuple[str, str, str, str, set[Change]]] = [
    (
        "a partner's timeout",
        *("partners/ach-network.yaml", "timeout: 30s", "timeout: 29s"),
        {(PAYMENTS, Kind.ROUTES, "outbound")},
    ),
    (
        "a partner's circuit breaker",
        *("partners/ach-network.yaml", "consecutive5xxErrors: 5", "consecutive5xxErrors: 6"),
        {(PAYMENTS, Kind.CLUSTER, f"partner/{ACH}")},
    ),
    (
        "a pool between services",
        *("services/customers.yaml", "http2MaxRequests: 4096", "http2MaxRequests: 4095"),
        {(EDGE, Kind.CLUSTER, "service/customers"), (PAYMENTS, Kind.CLUSTER, "service/customers")},
    ),
    (
        "retries between services",
        *("services/customers.yaml", "attempts: 2", "attempts: 3"),
        {(EDGE, Kind.ROUTES, "edge"), (PAYMENTS, Kind.ROUTES, "outbound")},
    ),
    (
        "a token bucket",
        *("gateway.yaml", "perSecond: 2000", "perSecond: 2001"),
        {(EDGE, Kind.EXTENSION, "bp.filters.limit_address")},
    ),
    (
        "a bucket of customers",
        *("gateway.yaml", "READ: {perSecond: 100", "READ: {perSecond: 101"),
        {(EDGE, Kind.EXTENSION, "bp.filters.limit_class")},
    ),
    (
        "the largest body",
        *("gateway.yaml", "publicBodyBytes: 8192", "publicBodyBytes: 8191"),
        {(EDGE, Kind.ROUTES, "edge")},
    ),
    (
        "the memory of open bodies",
        *("gateway.yaml", "totalKiB: 262144", "totalKiB: 262143"),
        {(EDGE, Kind.EXTENSION, "bp.filters.open_bodies")},
    ),
    (
        "a partner's identity",
        *("gateway.yaml", "spiffe://sms-gateway", "spiffe://sms2-gateway"),
        {(EDGE, Kind.EXTENSION, "bp.filters.caller"), (EDGE, Kind.ROUTES, "edge")},
    ),
    (
        "the lifetime of tokens",
        *("gateway.yaml", "tokenLifetime: 10m", "tokenLifetime: 9m"),
        {
            (EDGE, Kind.EXTENSION, "envoy.filters.http.jwt_authn"),
            (EDGE, Kind.EXTENSION, "envoy.filters.http.lua"),
        },
    ),
    (
        "a service that a workload may call",
        *("sidecars.yaml", "./fraud.example\n", f"./fraud.example\n{MORE}"),
        {
            (PAYMENTS, Kind.ROUTES, "outbound"),
            (PAYMENTS, Kind.CLUSTER, "service/transfers"),
            (PAYMENTS, Kind.ENDPOINTS, "service/transfers"),
        },
    ),
]


@pytest.mark.parametrize(
    ("case", "file", "old", "new", "expected"), EDITS, ids=[each[0] for each in EDITS]
)
async def test_an_edit_fails_no_call_and_replaces_no_listener(
    streamed: Streamed, case: str, file: str, old: str, new: str, expected: set[Change]
) -> None:
    changed = await streamed.under_load(file, old, new)
    assert expected <= changed, case
    assert {(kind, name) for _, kind, name in changed} == {each[1:] for each in expected}
    assert await streamed.replaced() == 0


LISTENER_EDITS = [
    ("the access log", "mesh.yaml", "response.code >= 500", "response.code >= 501"),
    ("the origins of browsers", "gateway.yaml", "https://app.bp", "https://app2.bp"),
    ("the timeout of a request", "gateway.yaml", "requestTimeout: 15s", "requestTimeout: 14s"),
    ("the lowest version of TLS", "gateway.yaml", "TLSV1_2", "TLSV1_3"),
]


@pytest.mark.parametrize(
    ("case", "file", "old", "new"), LISTENER_EDITS, ids=[each[0] for each in LISTENER_EDITS]
)
async def test_an_edit_that_replaces_a_listener_fails_no_call(
    streamed: Streamed, case: str, file: str, old: str, new: str
) -> None:
    """Envoy keeps the old connections until their calls have ended."""
    before = await streamed.replaced()
    changed = await streamed.under_load(file, old, new)
    assert any(kind is Kind.LISTENER for _, kind, _ in changed), case
    assert await streamed.replaced() > before


async def test_an_edit_of_a_bucket_keeps_the_keys_of_the_token_issuer(
    streamed: Streamed,
) -> None:
    """The token filter is a resource of its own, so it keeps its keys."""
    gateway = streamed.edited.gateway
    await gateway.issuer.close()
    streamed.edited.edit("gateway.yaml", "burst: 4000", "burst: 3999")
    await streamed.take(await streamed.nodes())
    assert [(await gateway.call("GET", BALANCE)).status for _ in range(10)] == [200] * 10
