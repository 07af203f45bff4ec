"""The relay, wired as in `services/relay/bootstrap.py`."""

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Any, cast

from lab.simulator.context import Context
from lab.simulator.machine import Method
from lab.simulator.ports.broker import Broker, Producer
from lab.simulator.ports.relay_leader import RelayConnection, RelayLeader
from lab.simulator.processes import Process
from lab.simulator.services.places import NOWHERE
from lab.simulator.stores.schema import Schema
from services.chassis.kafka import Record
from services.relay.metrics import Metrics
from services.relay.relay import Relay
from services.relay.settings import RelaySettings

PACE: dict[str, Any] = {
    "relay_gather_ms": 800,
    "relay_poll_ms": 400,
    "relay_asleep_after_ms": 300,
    "relay_poll_asleep_ms": 6 * 3_600_000,
    "relay_lead_poll_ms": 6 * 3_600_000,
}
"""Fewer polls than in production, because an idle day must not cost a million polls."""


@cache
def _settings() -> RelaySettings:
    return RelaySettings(service="relay", **NOWHERE, **PACE)


class Relays:
    """Starts relays; one of them is the leader."""

    def __init__(
        self,
        context: Context,
        schema: Schema,
        leader: RelayLeader,
        broker: Broker,
        published: Callable[[Record], None],
    ) -> None:
        """`published` is called with each record that arrives at the broker."""
        self._context = context
        self._schema = schema
        self._leader = leader
        self._broker = broker
        self._published = published

    def start(self, process: Process, _number: int) -> dict[str, Method]:
        """Run a relay."""
        context = self._context
        noticed = asyncio.Event()

        async def connect() -> Any:
            if not process.runs():
                await process.gate()
            return RelayConnection(context, self._schema, process, self._leader, noticed)

        async def pause(seconds: float) -> None:
            try:
                async with asyncio.timeout(seconds):
                    await noticed.wait()
            except TimeoutError:
                return
            finally:
                noticed.clear()

        producer = cast(Any, Producer(context, self._broker, self._published, process))
        relay = Relay(_settings(), connect, producer, Metrics(), pause)
        context.watch(process, relay.run())
        return {}
