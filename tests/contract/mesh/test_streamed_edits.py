"""Edits of mesh/config/ reach proxies by streams: no call fails, and no listener is replaced."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from mesh import ctl
from mesh.controlplane.deliver.packed import Kind
from ops.waiting import until
from tests.rigs.mesh.gateway import BODY, TRANSFER, Gateway, open_gateway
from tests.rigs.mesh.partner import HOLD, Partner
from tests.rigs.mesh.streamed import Nodes, StreamedRig

ACH = "ach-network.example"
PROXIES = ("payments", "customers", "auth", "gateway")
BALANCE = "/v1/balances/0190a8a0-0000-7000-8000-000000000007"
IN_FLIGHT_S = 1.0
"""How long slow calls remain in flight after an edit."""
MORE = "        - ./transfers.bp.svc.cluster.local\n"
Change = tuple[str, Kind, str]


@dataclass
class Edited:
    """A gateway, its sidecars and a partner, with a config folder that the tests edit."""

    gateway: Gateway
    rig: StreamedRig
    ach: Partner
    config: Path
    now: Nodes
    statuses: list[int] = field(default_factory=list[int])
    errors: list[str] = field(default_factory=list[str])

    async def edit(self, file: str, old: str, new: str) -> Nodes:
        """Change a file, and return the new snapshots."""
        path = self.config / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        return await asyncio.to_thread(self.rig.nodes, self.config)

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

    async def replaced(self) -> int:
        """Return how many listeners were replaced since the start."""
        found = 0
        for name in PROXIES:
            stats = await self.rig.stats(name, "listener_manager.listener_")
            found += stats["listener_manager.listener_modified"]
            found += stats["listener_manager.listener_in_place_updated"]
        return found

    async def order(self) -> int:
        """Order a transfer whose service waits until it is released; return the status."""
        body = BODY | {"memo": "held"}
        return (await self.gateway.call("POST", TRANSFER, json=body)).status

    async def submit(self) -> int:
        """Call a partner that waits until it is released; return the status."""
        connector = aiohttp.UnixConnector(str(self.rig.socket_out("payments")))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(f"http://{ACH}/x", data=b"{}") as response,
        ):
            return response.status

    async def load(self) -> None:
        """Read balances until cancelled, and note each status; a broken connection is 0."""
        while True:
            try:
                self.statuses.append((await self.gateway.call("GET", BALANCE)).status)
            except aiohttp.ClientError as error:
                self.statuses.append(0)
                self.errors.append(repr(error))
            # This makes fewer reads than a customer's bucket allows.
            await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
async def edited() -> AsyncIterator[Edited]:
    """Return the running proxies."""
    async with open_gateway(streamed=True) as gateway:
        rig, ach = gateway.rig, Partner()
        assert isinstance(rig, StreamedRig)
        config = rig.home / "config"
        shutil.copytree(ctl.CONFIG, config)
        await ach.start(rig.partner_port[ACH], rig.home / "partners" / ACH, rig.ach_members_ca.pem)
        try:
            yield Edited(gateway, rig, ach, config, rig.nodes(config))
        finally:
            await ach.close()


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
    edited: Edited, case: str, file: str, old: str, new: str, expected: set[Change]
) -> None:
    changed = await _under_load(edited, file, old, new)
    assert expected <= changed, case
    assert {(kind, name) for _, kind, name in changed} == {each[1:] for each in expected}
    assert await edited.replaced() == 0


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
    edited: Edited, case: str, file: str, old: str, new: str
) -> None:
    """Envoy keeps the old connections until their calls have ended."""
    before = await edited.replaced()
    changed = await _under_load(edited, file, old, new)
    assert any(kind is Kind.LISTENER for _, kind, _ in changed), case
    assert await edited.replaced() > before


async def test_an_edit_of_a_bucket_keeps_the_keys_of_the_token_issuer(edited: Edited) -> None:
    """The token filter is a resource of its own, so it keeps its keys."""
    await edited.gateway.issuer.close()
    new = await edited.edit("gateway.yaml", "burst: 4000", "burst: 3999")
    await edited.take(new)
    assert [(await edited.gateway.call("GET", BALANCE)).status for _ in range(10)] == [200] * 10


async def _under_load(edited: Edited, file: str, old: str, new: str) -> set[Change]:
    resources = await edited.edit(file, old, new)
    edited.ach.told(HOLD)
    seen = edited.gateway.seen
    calls = seen.calls
    slow = [asyncio.create_task(edited.order()), asyncio.create_task(edited.submit())]

    async def in_flight() -> bool:
        return seen.calls > calls and bool(edited.ach.keys)

    await until(in_flight, 10, "both slow calls have arrived")
    load = asyncio.create_task(edited.load())
    try:
        changed = await edited.take(resources)
        await asyncio.sleep(IN_FLIGHT_S)
        edited.ach.release.set()
        seen.release.set()
        assert await asyncio.gather(*slow) == [200, 200]
    finally:
        load.cancel()
        edited.ach.release.clear()
        seen.release.clear()
    assert set(edited.statuses) == {200}, edited.errors
    return changed
