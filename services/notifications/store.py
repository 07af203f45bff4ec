"""Messages, deliveries and devices in PostgreSQL; one statement writes a batch."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import asyncpg

from services.chassis.postgres import load_queries
from services.kernel.clock import utc_now
from services.notifications.state import Device, Notification, Push, Request, Settled, State
from services.notifications.templates import Text

_QUERIES = Path(__file__).parent / "sql" / "queries.sql"

_NEWEST = uuid.UUID(int=2**128 - 1)
"""Above every id, so that a list starts with the newest message."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message to write: its request, its text, and the devices to which it goes."""

    request: Request
    text: Text
    devices: Sequence[Device]


class Store:
    """The tables of schema notif, accessed as role bp_notifications."""

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

    async def ask(self, messages: Sequence[Message], lease_end: datetime) -> list[Push]:
        """Write the messages that are new, leased until `lease_end`; return their deliveries."""
        by_id = {message.request.notification_id: message for message in messages}
        requests = [message.request for message in by_id.values()]
        pairs = dict.fromkeys(
            (message.request.notification_id, device.token)
            for message in messages
            for device in message.devices
        )
        rows = await self._pool.fetch(
            self._queries.ask,
            [r.notification_id for r in requests],
            [r.event_id for r in requests],
            [r.customer_id for r in requests],
            [r.template for r in requests],
            [message.text.title for message in by_id.values()],
            [message.text.body for message in by_id.values()],
            [r.transfer_id for r in requests],
            [notification_id for notification_id, _ in pairs],
            [token for _, token in pairs],
            lease_end,
        )
        return [_push(row["device"], by_id[row["notification_id"]], lease_end) for row in rows]

    async def claim(self, now: datetime, lease_end: datetime, rows: int) -> list[Push]:
        """Lease up to `rows` deliveries that are due, and return their pushes."""
        found = await self._pool.fetch(self._queries.claim, now, lease_end, rows)
        return [Push(**row, lease_end=lease_end) for row in found]

    async def settle(self, outcomes: Sequence[Settled]) -> None:
        """Write the outcomes of attempts, and delete devices that no longer exist."""
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
        self, customer_id: uuid.UUID, cursor: uuid.UUID | None, rows: int
    ) -> list[Notification]:
        """Return up to `rows` messages of a customer older than the id `cursor`, newest first."""
        found = await self._pool.fetch(
            self._queries.list_of_customer, customer_id, cursor or _NEWEST, rows
        )
        return [_notification(row) for row in found]

    async def ensure_partitions(self, months_ahead: int) -> None:
        """Create the missing partitions of the coming months."""
        await self._pool.execute(self._queries.ensure_partitions, months_ahead)


def _push(device: str, message: Message, lease_end: datetime) -> Push:
    return Push(
        notification_id=message.request.notification_id,
        device=device,
        event_id=message.request.event_id,
        template=message.request.template,
        title=message.text.title,
        body=message.text.body,
        transfer_id=message.request.transfer_id,
        create_time=utc_now(),
        attempts=0,
        lease_end=lease_end,
    )


def _notification(row: asyncpg.Record) -> Notification:
    return Notification(
        notification_id=row["notification_id"],
        event_id=row["event_id"],
        template=row["template"],
        title=row["title"],
        body=row["body"],
        transfer_id=row["transfer_id"],
        create_time=row["create_time"],
        state=State(row["state"]),
        deliver_time=row["deliver_time"],
    )
