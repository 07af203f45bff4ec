"""A proxy that reads files gets clusters before it uses them, and keeps them while it may."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest
from bp.customers.v1 import customers_service_pb2 as customers
from bp.customers.v1 import customers_service_pb2_grpc as customers_grpc

from mesh import ctl
from mesh.controlplane.deliver import files
from ops.waiting import until
from tests.rigs.mesh.proxies import Rig
from tests.rigs.mesh.upstream import Customers, Seen, serve

SERVICE = Path("services/customers.yaml")
HOST = "host: customers.bp.svc.cluster.local"
WHOLE, SUBSET = f"{{{HOST}}}", f"{{{HOST}, subset: one}}"
RULE = f"  {HOST}\n  trafficPolicy:"
SUBSETS = f"  {HOST}\n  subsets: [{{name: one, labels: {{version: '1'}}}}]\n  trafficPolicy:"
LISTENERS = "listener_manager.lds.update_success"
REMOVED = "cluster_manager.cluster_removed"
CALLS = 30
SIDECARS, SMS = Path("sidecars.yaml"), Path("partners/sms.yaml")
CUSTOMERS = "        - ./customers.bp.svc.cluster.local\n        - ./ach-network.example\n"


@dataclass
class Calls:
    """Calls of payments to customers, one after the other on one connection."""

    channel: grpc.aio.Channel
    codes: list[grpc.StatusCode] = field(default_factory=list[grpc.StatusCode])

    async def run(self) -> None:
        """Call until cancelled."""
        stub: Any = customers_grpc.CustomersServiceStub(self.channel)
        while True:
            try:
                await stub.CheckDebit(customers.CheckDebitRequest())
            except grpc.aio.AioRpcError as error:
                self.codes.append(error.code())
            else:
                self.codes.append(grpc.StatusCode.OK)
            await asyncio.sleep(0.01)

    async def more(self) -> None:
        """Wait until some more calls have ended, and none has failed."""
        enough = len(self.codes) + CALLS

        async def ended() -> bool:
            return len(self.codes) >= enough

        await until(ended, what="calls end")
        assert set(self.codes) == {grpc.StatusCode.OK}


@dataclass
class Filed:
    """Two proxies that read files, and the configuration of the mesh."""

    rig: Rig
    config: Path

    def edit(self, file: Path, old: str, new: str) -> None:
        """Change a file of the configuration."""
        path = self.config / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    async def render(self) -> None:
        """Write the files of the configuration, and wait until payments has read its listeners."""
        before = await self.counted(LISTENERS)
        await asyncio.to_thread(self.rig.render, self.config)

        async def read() -> bool:
            return await self.counted(LISTENERS) > before

        await until(read, what="payments reads its listeners")

    async def status(self, host: str) -> int:
        """Return the status of a call of payments to a partner."""
        connector = aiohttp.UnixConnector(str(self.rig.socket_out("payments")))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(f"http://{host}/x", data=b"{}") as response,
        ):
            return response.status

    async def counted(self, counter: str) -> int:
        """Return a counter of the proxy of payments."""
        return (await self.rig.stats("payments", counter)).get(counter, 0)


@pytest.fixture
async def filed() -> AsyncIterator[Filed]:
    """Return the running proxies; the only instance of customers has version 1."""
    rig, seen = Rig(), Seen()
    config = rig.home / "config"
    shutil.copytree(ctl.CONFIG, config)
    services: Any = rig.places["services"]
    place = services["customers"]
    place["instances"] = [{"address": place.pop("mtls"), "version": "1"}]
    server = await serve(rig.socket_in("customers"), Customers(seen))
    try:
        rig.render(config)
        await rig.start(["payments", "customers"])
        yield Filed(rig, config)
    finally:
        await rig.close()
        await server.stop(None)


@contextlib.asynccontextmanager
async def _calls(filed: Filed) -> AsyncGenerator[Calls]:
    # As a service's own channel: gRPC repeats what a closing connection has not taken.
    options = [("grpc.default_authority", "customers")]
    target = f"unix:{filed.rig.socket_out('payments')}"
    async with grpc.aio.insecure_channel(target, options) as channel:
        calls = Calls(channel)
        task = asyncio.create_task(calls.run())
        try:
            await calls.more()
            yield calls
        finally:
            task.cancel()


async def test_a_cluster_comes_before_its_routes_and_goes_after_their_last_call(
    filed: Filed,
) -> None:
    """The calls stay on one connection: after an edit, the replaced listener still has it."""
    async with _calls(filed) as first:
        filed.edit(SERVICE, RULE, SUBSETS)
        filed.edit(SERVICE, WHOLE, SUBSET)
        await filed.render()
        await first.more()
        # The calls of a new connection take the new route.
        async with _calls(filed) as second:
            filed.edit(SERVICE, SUBSET, WHOLE)
            filed.edit(SERVICE, SUBSETS, RULE)
            await filed.render()
            await second.more()
        await first.more()
        assert await filed.counted(REMOVED) == 0
    # Earlier than in the bank, where the drain time has ended the old connections by now.
    assert files.clear(filed.rig.rendered(filed.config).values(), filed.rig.home / "envoy")

    async def removed() -> bool:
        return await filed.counted(REMOVED) == 1

    await until(removed, what="the cluster is removed")
    async with _calls(filed) as third:
        await third.more()


async def test_a_partner_whose_secret_a_running_proxy_lacks_blocks_no_other_edit(
    filed: Filed,
) -> None:
    """A proxy reads secrets of partners at its start only, so it refuses the new cluster."""
    async with _calls(filed) as calls:
        filed.edit(SIDECARS, CUSTOMERS, f"{CUSTOMERS}        - ./sms-gateway.example\n")
        filed.edit(SERVICE, "timeout: 6s", "timeout: 6.5s")
        filed.edit(SMS, "  workloadSelector: {matchLabels: {app: auth}}\n", "")
        assert await filed.status("sms-gateway.example") == 403
        await filed.render()

        async def known() -> bool:
            return await filed.status("sms-gateway.example") == 503

        await until(known, what="the route to the new partner is there")
        await calls.more()
    async with _calls(filed) as calls:
        await calls.more()
