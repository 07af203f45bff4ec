"""What carries events on: the router's decisions in a transaction, and the consumers of T4 and T5.

Kafka's client is not simulated; its promises are: a transaction happens whole with its offsets or
not at all, and what a consumer did not commit comes again.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, cast

from sandbox.simulator.broker import PARTITIONS
from sandbox.simulator.chance import Point
from sandbox.simulator.connections import Pool
from sandbox.simulator.processes import Process
from services.chassis.kafka import DLQ_SUFFIX, Record
from services.chassis.outages import UNREACHABLE
from services.customers.events_in import Projection
from services.customers.store import Store as CustomersStore
from services.router.mapping import fan_out
from services.router.settings import AUDIT_LOGS, NOTIFICATIONS

if TYPE_CHECKING:
    from sandbox.simulator.world import World

_ORDER, _PAUSE = 81, 82
ROWS_MAX = 200
SOURCES = ("payments", "transfers")


async def _batches(
    world: "World", group: str, topics: tuple[str, ...], process: Process
) -> AsyncGenerator[list[Record]]:
    """Yield batches of unread records, partition by partition in no particular order."""
    arrived = asyncio.Event()
    world.broker.arrivals.append(arrived)
    places = [(topic, partition) for topic in topics for partition in range(PARTITIONS)]
    broker = world.broker
    while True:
        await process.gate()
        first = int(world.chance.between(0, len(places), _ORDER, process.entity))
        for topic, partition in (*places[first:], *places[:first]):
            if broker.is_behind(group, topic, partition):
                yield broker.unread(group, topic, partition, ROWS_MAX)
        if not any(broker.is_behind(group, topic, place) for topic, place in places):
            arrived.clear()
            await arrived.wait()
            await asyncio.sleep(world.chance.between(0.05, 2.0, _PAUSE, process.entity))


async def _route(world: "World", process: Process) -> None:
    """Be the router."""
    async for records in _batches(world, "router", SOURCES, process):
        written = [out for record in records for out in fan_out(record)]
        if world.chance.strikes(Point.ROUTER_ABORT, process.entity):
            # The transaction is aborted: nothing was written, all is read again.
            await asyncio.sleep(0.2)
            continue
        for out in written:
            if out.topic.endswith(DLQ_SUFFIX):
                world.checker.fail("every event can be routed", out.topic, out.headers)
            headers = cast("list[tuple[str, bytes]]", out.headers)
            world.broker.append(out.topic, out.key, out.value, headers)
        world.broker.commit("router", records)


async def _record(world: "World", process: Process) -> None:
    """Be audit and notifications: an effect and its event's id are one transaction."""
    async for records in _batches(world, "sinks", (AUDIT_LOGS, NOTIFICATIONS), process):
        for one in records:
            _take(world, one)
        if not world.chance.strikes(Point.CONSUMER_AGAIN, process.entity):
            world.broker.commit("sinks", records)


def _take(world: "World", one: Record) -> None:
    if one.topic == AUDIT_LOGS:
        world.checker.audit(one)
    else:
        world.checker.notified[one.header("ce_id")] = True


async def _project(world: "World", process: Process) -> None:
    """Be the projection of balances: production's, above its store."""
    pool = cast(Any, Pool(world, process, world.statements.customers))
    projection = Projection(CustomersStore(pool))
    async for records in _batches(world, "customers", SOURCES, process):
        try:
            await projection(records)
        except UNREACHABLE:
            await asyncio.sleep(1)
            continue
        if not world.chance.strikes(Point.CONSUMER_AGAIN, process.entity):
            world.broker.commit("customers", records)


def start_router(world: "World", process: Process, _number: int) -> dict[str, Any]:
    """Run the router."""
    world.watch(process, _route(world, process))
    return {}


def start_sinks(world: "World", process: Process, _number: int) -> dict[str, Any]:
    """Run audit and notifications."""
    world.watch(process, _record(world, process))
    return {}


def start_projection(world: "World", process: Process, _number: int) -> dict[str, Any]:
    """Run the projection of balances."""
    world.watch(process, _project(world, process))
    return {}
