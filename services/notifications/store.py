"""Messages, deliveries and devices in PostgreSQL; a batch is one statement."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from services.chassis.postgres import load_queries
from services.notifications.state import Device, Push, Request, Settled
from services.notifications.templates import Text

_QUERIES = Path(__file__).parent / "sql" / "queries.sql"

Written = tuple[Request, Text, Sequence[Device]]
"""A request, its text, and the devices that it goes to."""


class Store:
    """The tables of schema notif, as role bp_notifications."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._queries = load_queries(_QUERIES)

    async def devices_of(self, customers: Iterable[uuid.UUID]) -> dict[uuid.UUID, list[Device]]:
        """Return the customers' devices, the latest registered first."""
        found: dict[uuid.UUID, list[Device]] = {}
        for row in await self._pool.fetch(self._queries.devices_of, list(set(customers))):
            device = Device(row["customer_id"], row["token"], row["locale"])
            found.setdefault(device.customer_id, []).append(device)
        return found

    async def ask(self, written: Sequence[Written], lease_end: datetime) -> list[Push]:
        """Write what is new, leased until `lease_end`; return the deliveries to make."""
        by_id = {request.notification_id: (request, text) for request, text, _ in written}
        requests = [request for request, _ in by_id.values()]
        pairs = [(r.notification_id, d.token) for r, _, devices in written for d in devices]
        rows = await self._pool.fetch(
            self._queries.ask,
            [r.notification_id for r in requests],
            [r.event_id for r in requests],
            [r.customer_id for r in requests],
            [r.template for r in requests],
            [text.title for _, text in by_id.values()],
            [text.body for _, text in by_id.values()],
            [r.transfer_id for r in requests],
            [notification for notification, _ in dict.fromkeys(pairs)],
            [token for _, token in dict.fromkeys(pairs)],
            lease_end,
        )
        return [_push(row["device"], *by_id[row["notification_id"]], lease_end) for row in rows]

    async def claim(self, now: datetime, lease_end: datetime, rows: int) -> list[Push]:
        """Lease deliveries whose time has come."""
        found = await self._pool.fetch(self._queries.claim, now, lease_end, rows)
        return [Push(**dict(row), lease_end=lease_end) for row in found]

    async def settle(self, outcomes: Sequence[Settled]) -> None:
        """Write what became of attempts, and forget devices that are gone."""
        await self._pool.execute(
            self._queries.settle,
            [s.push.notification_id for s in outcomes],
            [s.push.device for s in outcomes],
            [s.state.value for s in outcomes],
            [s.next_attempt_time for s in outcomes],
            [s.deliver_time for s in outcomes],
            [s.detail for s in outcomes],
        )
        gone = [s.push.device for s in outcomes if s.device_gone]
        if gone:
            await self._pool.execute(self._queries.drop_devices, gone)

    async def list_of_customer(
        self, customer_id: uuid.UUID, cursor: uuid.UUID, rows: int
    ) -> list[Mapping[str, Any]]:
        """Return a customer's messages before an id, newest first."""
        return await self._pool.fetch(self._queries.list_of_customer, customer_id, cursor, rows)

    async def add_devices(self, devices: Sequence[Device]) -> None:
        """Register devices that are not known yet."""
        await self._pool.execute(
            self._queries.add_devices,
            [d.token for d in devices],
            [d.customer_id for d in devices],
            [d.locale for d in devices],
        )

    async def ensure_partitions(self, months_ahead: int) -> None:
        """Make the partitions of the coming months where they are missing."""
        await self._pool.execute(self._queries.ensure_partitions, months_ahead)


def _push(device: str, request: Request, text: Text, lease_end: datetime) -> Push:
    return Push(
        notification_id=request.notification_id,
        device=device,
        event_id=request.event_id,
        template=request.template,
        title=text.title,
        body=text.body,
        transfer_id=request.transfer_id,
        attempts=0,
        lease_end=lease_end,
    )
