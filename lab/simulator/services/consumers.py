"""The services that read events: the router, which uses transactions, and all consumers.

Kafka's client is not simulated, but its guarantees are: a transaction and its offsets commit
together or not at all, and a record whose offset was not committed is read again.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, cast

from bp.payments.v1.payments_events_pb2 import PaymentEvent
from bp.transfers.v1.transfers_events_pb2 import TransferEvent

from lab.simulator.checker import Checker
from lab.simulator.context import Context
from lab.simulator.machine import Method
from lab.simulator.ports.broker import PARTITIONS, Broker
from lab.simulator.ports.connections import Pool
from lab.simulator.processes import Process
from lab.simulator.randomness import Point
from lab.simulator.stores.schema import Schema
from services.chassis.kafka import Record
from services.chassis.unreachable import UNREACHABLE
from services.contracts.topics import DEAD_LETTER_SUFFIX, topic_of
from services.customers.events_in import Projection
from services.customers.store import Store as CustomersStore
from services.router.mapping import fan_out
from services.router.settings import AUDIT_LOGS, NOTIFICATIONS

_ORDER, _PAUSE = 81, 82
ROWS_MAX = 200
SOURCES = (topic_of(PaymentEvent).name, topic_of(TransferEvent).name)


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group and the topics that it reads."""

    context: Context
    broker: Broker
    name: str
    topics: tuple[str, ...]

    async def batches(self, process: Process) -> AsyncGenerator[list[Record]]:
        """Yield batches of unread records, partition by partition in no particular order."""
        arrived = asyncio.Event()
        broker, randomness, group = self.broker, self.context.randomness, self.name
        broker.arrivals.append(arrived)
        places = [(topic, partition) for topic in self.topics for partition in range(PARTITIONS)]
        while True:
            await process.gate()
            first = int(randomness.between(0, len(places), _ORDER, process.entity))
            for topic, partition in (*places[first:], *places[:first]):
                if broker.is_behind(group, topic, partition):
                    yield broker.unread(group, topic, partition, ROWS_MAX)
            if not any(broker.is_behind(group, topic, place) for topic, place in places):
                arrived.clear()
                await arrived.wait()
                await asyncio.sleep(randomness.between(0.05, 2.0, _PAUSE, process.entity))

    def commit(self, process: Process, records: list[Record]) -> None:
        """Commit the offsets after these records, unless a fault causes a second delivery."""
        if not self.context.randomness.injects(Point.CONSUMER_AGAIN, process.entity):
            self.broker.commit(self.name, records)


class Router:
    """Reads each source topic and writes the messages that production's `fan_out` returns."""

    def __init__(self, context: Context, broker: Broker) -> None:
        self._context = context
        self._broker = broker
        self._group = Group(context, broker, "router", SOURCES)

    def start(self, process: Process, _number: int) -> dict[str, Method]:
        """Run a worker."""
        self._context.watch(process, self._route(process))
        return {}

    async def _route(self, process: Process) -> None:
        async for records in self._group.batches(process):
            written = [out for record in records for out in fan_out(record)]
            if self._context.randomness.injects(Point.ROUTER_ABORT, process.entity):
                # The transaction is aborted: nothing was written, and all records are read again.
                await asyncio.sleep(0.2)
                continue
            for out in written:
                if out.topic.endswith(DEAD_LETTER_SUFFIX):
                    self._context.fail("every event can be routed", out.topic, out.headers)
                headers = cast("list[tuple[str, bytes]]", out.headers)
                self._broker.append(out.topic, out.key, out.value, headers)
            self._broker.commit("router", records)


class Sinks:
    """Audit and notifications: an effect and its event's id commit together."""

    def __init__(self, context: Context, broker: Broker, checker: Checker) -> None:
        self._context = context
        self._checker = checker
        self._group = Group(context, broker, "sinks", (AUDIT_LOGS, NOTIFICATIONS))

    def start(self, process: Process, _number: int) -> dict[str, Method]:
        """Run a worker."""
        self._context.watch(process, self._record(process))
        return {}

    async def _record(self, process: Process) -> None:
        async for records in self._group.batches(process):
            for one in records:
                self._take(one)
            self._group.commit(process, records)

    def _take(self, one: Record) -> None:
        if one.topic == AUDIT_LOGS:
            self._checker.audit(one)
        else:
            self._checker.notified[one.header("ce_id")] = True


class Balances:
    """Production's projection of balances, on a separate store."""

    def __init__(self, context: Context, broker: Broker, schema: Schema) -> None:
        self._context = context
        self._schema = schema
        self._group = Group(context, broker, "customers", SOURCES)

    def start(self, process: Process, _number: int) -> dict[str, Method]:
        """Run a worker."""
        self._context.watch(process, self._project(process))
        return {}

    async def _project(self, process: Process) -> None:
        pool = cast(Any, Pool(self._context, self._schema, process))
        projection = Projection(CustomersStore(pool))
        async for records in self._group.batches(process):
            try:
                await projection(records)
            except UNREACHABLE:
                await asyncio.sleep(1)
                continue
            self._group.commit(process, records)
