"""Two processes of a service behind one sidecar share its calls, and one that stops loses none."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest
from bp.customers.v1 import customers_service_pb2 as customers
from bp.customers.v1 import customers_service_pb2_grpc as customers_grpc

from ops.waiting import until
from tests.rigs.mesh.proxies import Rig
from tests.rigs.mesh.upstream import Customers, Seen, serve

CALLERS = 4
GRACE_S = 10


class _Slow(Customers):
    """Takes a moment for each call, so that some are in flight at any time."""

    async def CheckDebit(self, request: Any, context: Any) -> Any:
        await asyncio.sleep(0.02)
        return await super().CheckDebit(request, context)


@dataclass
class Load:
    """What the calls have answered so far."""

    codes: list[grpc.StatusCode] = field(default_factory=list[grpc.StatusCode])

    async def run(self, channel: grpc.aio.Channel, stop: asyncio.Event) -> None:
        """Call until stopped; no call is cut off."""
        stub: Any = customers_grpc.CustomersServiceStub(channel)
        while not stop.is_set():
            try:
                await stub.CheckDebit(customers.CheckDebitRequest())
            except grpc.aio.AioRpcError as error:
                self.codes.append(error.code())
            else:
                self.codes.append(grpc.StatusCode.OK)

    async def more(self, count: int = 100) -> None:
        """Wait until some more calls have ended."""
        enough = len(self.codes) + count

        async def ended() -> bool:
            return len(self.codes) >= enough

        await until(ended, what="calls end")


@contextlib.asynccontextmanager
async def _load(rig: Rig) -> AsyncGenerator[Load]:
    options = [("grpc.default_authority", "customers"), ("grpc.enable_retries", 0)]
    load, stop = Load(), asyncio.Event()
    async with grpc.aio.insecure_channel(f"unix:{rig.socket_out('payments')}", options) as channel:
        tasks = [asyncio.create_task(load.run(channel, stop)) for _ in range(CALLERS)]
        try:
            await load.more()
            yield load
        finally:
            stop.set()
            await asyncio.gather(*tasks)


async def _gets_calls(*some: Seen) -> None:
    before = [each.calls for each in some]

    async def more() -> bool:
        return all(each.calls > old for each, old in zip(some, before, strict=True))

    await until(more, what="each process gets calls")


@pytest.mark.timeout(240)
async def test_two_processes_share_the_calls_and_a_stopping_one_loses_none() -> None:
    """The second process comes later, stops as each service does, and comes back."""
    rig = Rig()
    paths = [rig.home / "run" / "customers" / f"in-{slot}.sock" for slot in (0, 1)]
    services: Any = rig.places["services"]
    services["customers"]["app_sockets"] = [str(each) for each in paths]
    first, second = Seen(), Seen()
    servers = [await serve(paths[0], _Slow(first))]
    try:
        rig.render()
        await rig.start(["payments", "customers"])
        async with _load(rig) as load:
            for _ in range(2):
                servers.append(await serve(paths[1], _Slow(second)))
                await _gets_calls(first, second)
                # No more than their share: the calls of a second are about equal.
                shared = first.calls, second.calls
                await load.more()
                gained = first.calls - shared[0], second.calls - shared[1]
                assert min(gained) > 0.3 * sum(gained), gained
                await servers.pop().stop(GRACE_S)
                await load.more()
    finally:
        await rig.close()
        await asyncio.gather(*(each.stop(None) for each in servers))
    assert set(load.codes) == {grpc.StatusCode.OK}
