"""Compares customer messages: the events that request them, topic, deliveries, push service."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bp.notifications.v1.notifications_events_pb2 import NotificationEvent
from google.protobuf.message import DecodeError

from ops.judge.books import Place, overdue_s
from ops.judge.events import Tale
from ops.judge.findings import SAMPLES_MAX, Findings, Kind
from ops.judge.stores import NOTIFICATIONS_DATABASE, Stores, pages, partner_api, queries
from ops.judge.topics import Part, Seen, Span, is_whole
from services.contracts.topics import topic_of

TOPIC = topic_of(NotificationEvent).name
DEVICE_MESSAGES_MAX = 10_000
"""How many messages of a device the push service's sandbox remembers."""
CALLS_MAX = 8

Push = tuple[str, str]
"""Device and tag; the tag is the event's id."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery of one message to one device."""

    state: str
    attempts: int
    """The maximum number of times it was sent; above 1 only after a crash or a refusal."""


@dataclass(slots=True)
class Requests:
    """The contents of the topic notifications: how often each message is requested."""

    asked: Counter[str] = field(default_factory=Counter[str])
    unreadable: list[Place] = field(default_factory=list[Place])

    def take(self, record: Seen) -> None:
        """Take the next message."""
        try:
            self.asked[NotificationEvent.FromString(record.value).metadata.event_id] += 1
        except DecodeError:
            self.unreadable.append(Place(record.topic, record.partition, record.offset))


def compare_requests(
    tale: Tale, requests: Requests, spans: Mapping[Part, Span], whole: bool, findings: Findings
) -> None:
    """Check that the topic notifications holds each message that an event requests and no other.

    `whole` means that Kafka still holds every source event, so that any additional message is a
    difference.
    """
    findings.checked["notification_events"] += len(requests.asked)
    findings.checked["notification_repeated"] += requests.asked.total() - len(requests.asked)
    if not is_whole(spans):
        return
    for event_id in tale.asked.keys() - requests.asked.keys():
        findings.add(Kind.NOTICE_LOST, "once", "never", event_id=event_id)
    for event_id in requests.asked.keys() - tale.asked.keys() if whole else ():
        findings.add(Kind.NOTICE_UNKNOWN, "an event that asks", "none", event_id=event_id)
    for place in requests.unreadable:
        at = f"{place.topic}/{place.partition}@{place.offset}"
        findings.add(Kind.EVENT_UNREADABLE, "a message", at, topic=place.topic)


async def compare_messages(
    stores: Stores, tale: Tale, whole: bool, findings: Findings
) -> dict[Push, Delivery]:
    """Check that each requested message was written once; return the deliveries.

    `whole` means that Kafka still holds every event, so that an unknown message is a difference.
    """
    sql = queries("notifications")
    written: Counter[str] = Counter()
    deliveries: dict[Push, Delivery] = {}
    async with stores.snapshot(NOTIFICATIONS_DATABASE) as connection:
        async for page in pages(connection, sql.messages):
            for event_id, customer_id in page:
                written[event_id] += 1
                asked_for = tale.asked.get(event_id)
                if asked_for != customer_id and (asked_for or whole):
                    findings.add(Kind.DELIVERY_UNKNOWN, asked_for, customer_id, event_id=event_id)
        async for page in pages(connection, sql.deliveries):
            for row in page:
                delivery = Delivery(row["state"], row["attempts"])
                deliveries[row["device"], row["event_id"]] = delivery
        overdue = await connection.fetch(sql.overdue, SAMPLES_MAX, overdue_s())
    findings.add_rows(Kind.DELIVERY_OVERDUE, overdue)
    findings.checked["messages"] += written.total()
    findings.checked["deliveries"] += len(deliveries)
    for event_id in tale.asked.keys() - written.keys():
        findings.add(Kind.DELIVERY_LOST, "written", "not written", event_id=event_id)
    for event_id, count in written.items():
        if count > 1:
            findings.add(Kind.DELIVERY_DOUBLED, 1, count, event_id=event_id)
    return deliveries


async def compare_pushes(
    stores: Stores, deliveries: Mapping[Push, Delivery], findings: Findings
) -> None:
    """Check that the push service accepted each delivered message, at most once per attempt.

    A call counts once, whatever the sidecar's retries. A device shows one message for a tag, so the
    customer sees a repeated message once.
    """
    taken, full = await _taken(stores.fcm_control)
    findings.checked["pushes"] += taken.total()
    for (device, event_id), delivery in deliveries.items():
        if delivery.state == "DELIVERED" and device not in full and not taken[device, event_id]:
            findings.add(Kind.PUSH_LOST, 1, 0, event_id=event_id, device=device)
    for (device, event_id), count in taken.items():
        known = deliveries.get((device, event_id))
        attempts = known.attempts if known else 1
        if count > attempts:
            findings.add(Kind.PUSH_DOUBLED, attempts, count, event_id=event_id, device=device)
        if count and known is None:
            findings.add(Kind.PUSH_UNKNOWN, 0, count, event_id=event_id, device=device)


async def _taken(control: Path) -> tuple[Counter[Push], set[str]]:
    """Return how often each tag reached each device, and the devices whose list is truncated."""
    taken: Counter[Push] = Counter()
    full: set[str] = set()
    async with partner_api(control) as get:
        devices = [one["token"] for one in (await get("/control/devices"))["devices"]]

        async def read(device: str) -> None:
            found = await get(f"/control/messages?device={device}&limit={DEVICE_MESSAGES_MAX}")
            taken.update(calls(device, found["delivered"]))
            if found["count"] >= DEVICE_MESSAGES_MAX:
                full.add(device)

        for start in range(0, len(devices), CALLS_MAX):
            await asyncio.gather(*map(read, devices[start : start + CALLS_MAX]))
    return taken, full


def calls(device: str, delivered: Iterable[Mapping[str, Any]]) -> list[Push]:
    """Return one push for each call that delivered a message to the device."""
    found = {one.get("callId") or one["id"]: (device, _tag(one["message"])) for one in delivered}
    return list(found.values())


def _tag(message: Mapping[str, Any]) -> str:
    return str(message.get("android", {}).get("notification", {}).get("tag", ""))
