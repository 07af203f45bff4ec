"""Reads one transfer in every store, found by key, id or trace number."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
from confluent_kafka import KafkaException
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from ops.judge.stores import (
    AUDIT_DATABASE,
    CUSTOMERS_DATABASE,
    NOTIFICATIONS_DATABASE,
    UNREADABLE,
    WRITE_DATABASE,
    Stores,
    partner_api,
    queries,
)
from ops.judge.topics import Topics
from services.kernel.ids import order_id_of
from services.notifications.state import notification_id
from services.router import routes
from services.router.mapping import ENVELOPES

Row = dict[str, Any]
DEVICE_MESSAGES_MAX = 10_000


async def find(stores: Stores, name: str) -> list[tuple[uuid.UUID, str]]:
    """Return the transfers with a key, id or trace number, and their kinds: interbank or book."""
    rows = await _fetch(stores, WRITE_DATABASE, "find", _uuid(name), name)
    return [(row["transfer_id"], row["kind"]) for row in rows]


async def trail(stores: Stores, transfer_id: uuid.UUID, kind: str) -> Row:
    """Return each layer's data; the error's text replaces the data of an unreadable layer."""
    text = str(transfer_id)
    (transfer,) = await _fetch(stores, WRITE_DATABASE, kind, transfer_id)
    outbox = await _fetch(stores, WRITE_DATABASE, "outbox", transfer_id)
    trace = transfer.get("trace_number")
    event_ids = [row["event_id"] for row in outbox]
    return {
        "transfer": {"transfer_id": text, "kind": kind, **transfer, **_fraud_transaction(transfer)},
        "customer": await _readable(_user_name(stores, transfer["customer_id"])),
        "steps": await _readable(_steps(stores, outbox)),
        "entries": await _readable(_fetch(stores, WRITE_DATABASE, "entries", transfer_id)),
        "outbox": outbox,
        "audit": await _readable(_fetch(stores, AUDIT_DATABASE, "audit", text)),
        "clearing_house": await _readable(_clearing_house(stores, text, kind)),
        "notices": await _readable(_fetch(stores, WRITE_DATABASE, "notices", text, trace)),
        "messages": await _readable(_messages(stores, event_ids)),
    }


def _fraud_transaction(transfer: Row) -> Row:
    """Return the fraud service's id of the order; it is known only while the key is in use."""
    fingerprint = transfer.get("fingerprint")
    if not fingerprint or "beneficiary_name" not in transfer:
        return {}
    key, digest = transfer["idempotency_key"], bytes.fromhex(fingerprint)
    return {"fraud_transaction_id": str(order_id_of(transfer["customer_id"], key, digest))}


async def newest(stores: Stores, customer_id: uuid.UUID, rows: int) -> list[Row]:
    """Return a customer's transfers, newest first."""
    accounts = await _fetch(stores, CUSTOMERS_DATABASE, "accounts_of", customer_id)
    ids = [row["account_id"] for row in accounts]
    return await _fetch(stores, WRITE_DATABASE, "list", ids, rows)


async def _readable(reading: Any) -> Any:
    try:
        return await reading
    except (*UNREADABLE, KafkaException) as error:
        return f"unreadable: {type(error).__name__}: {error}"


async def _fetch(stores: Stores, database: str, query: str, *values: Any) -> list[Row]:
    connection: asyncpg.Connection = await stores.connect(database)
    try:
        rows = await connection.fetch(getattr(queries("trail"), query), *values)
    finally:
        await connection.close()
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _uuid(name: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(name)
    except ValueError:
        return None


async def _user_name(stores: Stores, customer_id: str) -> str:
    rows = await _fetch(stores, CUSTOMERS_DATABASE, "user_name", customer_id)
    return rows[0]["user_name"] if rows else ""


async def _steps(stores: Stores, outbox: Sequence[Row]) -> list[Row]:
    """Read a transfer's events from Kafka."""
    published = [row for row in outbox if row["offset"] is not None]
    places = [((row["topic"], row["partition"]), row["offset"]) for row in published]
    records = await asyncio.to_thread(Topics(stores.kafka_bootstrap).fetch, places)
    return sorted(
        (_step(row, record) for row, record in zip(published, records, strict=True)),
        key=lambda step: step.get("version", 0),
    )


def _step(row: Row, record: Any) -> Row:
    place = f"{row['topic']}/{row['partition']}@{row['offset']}"
    step: Row = {"event_id": row["event_id"], "place": place}
    if record is None:
        return step | {"type": "deleted from Kafka"}
    try:
        event = ENVELOPES[record.topic].FromString(record.value)
    except DecodeError:
        return step | {"type": "unreadable"}
    fact: Any = routes.fact_of(event)
    told = MessageToDict(event)
    return step | {
        "version": event.metadata.aggregate_version,
        "type": fact.DESCRIPTOR.name if fact is not None else "unknown",
        "occur_time": told["metadata"].get("occurTime", ""),
        "correlation_id": event.metadata.correlation_id,
        "traceparent": record.header("traceparent"),
        "positions": told.get("accountPositions", []),
    }


async def _clearing_house(stores: Stores, transfer_id: str, kind: str) -> Row | None:
    if kind != "interbank":
        return None
    async with partner_api(stores.ach_control) as get:
        try:
            found = await get(f"/control/transfers/{transfer_id}")
        except FileNotFoundError:
            return None
    found.pop("account", None)
    return found


async def _messages(stores: Stores, event_ids: Sequence[str]) -> list[Row]:
    """Return the messages about the events, with their deliveries and accepted pushes."""
    wanted = [*event_ids, *(event_id + routes.RECEIVED_SUFFIX for event_id in event_ids)]
    ids = [notification_id(event_id) for event_id in wanted]
    messages = await _fetch(stores, NOTIFICATIONS_DATABASE, "messages", ids)
    deliveries = await _fetch(stores, NOTIFICATIONS_DATABASE, "deliveries", ids)
    pushes = await _pushes(stores, {row["device"] for row in deliveries})
    for delivery in deliveries:
        told = next(m for m in messages if m["notification_id"] == delivery["notification_id"])
        delivery["taken"] = pushes.get((delivery["device"], told["event_id"]), [])
    for message in messages:
        own = message.pop("notification_id")
        message["deliveries"] = [
            {name: value for name, value in d.items() if name != "notification_id"}
            for d in deliveries
            if d["notification_id"] == own
        ]
    return messages


async def _pushes(stores: Stores, devices: set[str]) -> Mapping[tuple[str, str], list[str]]:
    """Return the push service's message ids by device and tag."""
    found: dict[tuple[str, str], list[str]] = {}
    async with partner_api(stores.fcm_control) as get:
        for device in devices:
            path = f"/control/messages?device={device}&limit={DEVICE_MESSAGES_MAX}"
            answer = await get(path)
            for one in answer["delivered"]:
                tag = one["message"].get("android", {}).get("notification", {}).get("tag", "")
                found.setdefault((device, tag), []).append(one["id"])
    return found
