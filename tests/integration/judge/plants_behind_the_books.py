"""Differences planted downstream of the outbox: Kafka, audit, notifications, pushes, projection.

A plant returns the ids that the judge must report for it.
"""

from dataclasses import astuple, fields, replace
from typing import Any

import aiohttp
from bp.audit.v1.audit_events_pb2 import AuditEvent
from bp.notifications.v1.notifications_events_pb2 import NotificationEvent
from confluent_kafka import KafkaError, Producer

from ops.judge.findings import Kind
from ops.waiting import scaled_s
from services.audit.chain import AuditRow, Entry, Head, link
from services.audit.settings import CHAINS
from services.audit.store import COLUMNS
from services.kernel.clock import utc_now
from services.kernel.ids import new_id
from services.notifications.state import Outcome, Push
from services.payments import mapping
from services.payments.state import State
from tests.integration.judge.plants_of_books import Ids
from tests.integration.judge.world import World, device_of
from tests.rigs import sample_events


def _send(world: World, topic: str, value: bytes, key: str = "planted") -> None:
    producer = Producer({"bootstrap.servers": world.broker.bootstrap, "partitioner": "murmur2"})
    errors: list[KafkaError] = []
    producer.produce(
        topic,
        value=value,
        key=key.encode(),
        on_delivery=lambda error, _: errors.append(error) if error else None,
    )
    assert producer.flush(scaled_s(20)) == 0
    assert not errors


async def _fetch(world: World, database: str, sql: str, *values: Any) -> Any:
    connection = await world.owner(database, lawless=True)
    return await connection.fetchval(sql, *values)


async def unreadable(world: World) -> Ids:
    _send(world, "payments", b"\xff no event")
    return {"topic": "payments"}


async def router_not_drained(_: World) -> Ids:
    """The router is stopped, so it never reads the events of the other plants."""
    return {"what": "group router"}


def _tell(world: World, *, further: int, state: State) -> tuple[str, str]:
    """Write an event of a transfer to its topic, bypassing the outbox."""
    transfer = world.victims.submitted.pop()
    told = replace(transfer, version=transfer.version + further, state=state)
    event_id = new_id()
    payload = mapping.event_out(told, "TransferSubmitted", event_id).payload
    _send(world, "payments", payload, str(transfer.account_id))
    return str(transfer.transfer_id), str(event_id)


async def version_skipped(world: World) -> Ids:
    transfer_id, _ = _tell(world, further=2, state=State.SUBMITTED)
    return {"transfer_id": transfer_id}


async def illegal_step(world: World) -> Ids:
    transfer_id, _ = _tell(world, further=1, state=State.DEBITED)
    return {"transfer_id": transfer_id}


async def not_routed(world: World) -> Ids:
    _, event_id = _tell(world, further=1, state=State.CANCELLING)
    return {"event_id": event_id}


async def login_never_sent(world: World) -> Ids:
    """The outbox says that it is published, but the topic does not have it."""
    return {"event_id": await world.login_stored(sample_events.login("device_added"))}


async def login_never_stored(world: World) -> Ids:
    return {"event_id": await world.login_sent(sample_events.login("device_added"))}


async def login_waiting(world: World) -> Ids:
    event = sample_events.login("login_failed")
    return {"event_id": await world.login_stored(event, waits=True)}


async def login_parked(world: World) -> Ids:
    ids = {"event_id": await world.login_stored(sample_events.login("login_failed"), waits=True)}
    park = "UPDATE auth.event SET park_reason = 'MSG_SIZE_TOO_LARGE' WHERE event_id::text = $1"
    await _fetch(world, "bp_auth", park, ids["event_id"])
    return ids


async def auth_not_drained(_: World) -> Ids:
    """The event of `login_waiting` is never published."""
    return {"what": "outbox of auth"}


async def revision_never_sent(world: World) -> Ids:
    """The history says that it is published, but the topic does not have it."""
    return {"event_id": world.revision_kept(5).metadata.event_id}


async def revision_never_made(world: World) -> Ids:
    """Another process wrote an event to the topic."""
    return {"event_id": await world.revision_sent(sample_events.revision(99))}


async def revision_waiting(world: World) -> Ids:
    event = world.revision_kept(6, published=False)
    return {"event_id": event.metadata.event_id, "revision": "6"}


async def mesh_not_drained(_: World) -> Ids:
    """The event of `revision_waiting` is never published."""
    return {"what": "revisions of the mesh"}


async def audit_log_of_nothing(world: World) -> Ids:
    event_id = str(new_id())
    _send(world, "audit-logs", AuditEvent(event_id=event_id).SerializeToString())
    return {"event_id": event_id}


_FIRST_RECORD = "event_id = (SELECT min(event_id::text)::uuid FROM audit.record WHERE subject = $1)"


async def _record(world: World, sql: str) -> Ids:
    subject = str(world.victims.submitted.pop().transfer_id)
    return {"event_id": str(await _fetch(world, "bp_audit", sql, subject))}


async def record_gone(world: World) -> Ids:
    return await _record(
        world, f"DELETE FROM audit.record WHERE {_FIRST_RECORD} RETURNING event_id"
    )


async def record_changed(world: World) -> Ids:
    return await _record(
        world,
        f"UPDATE audit.record SET payload = 'forged' WHERE {_FIRST_RECORD} RETURNING event_id",
    )


async def record_of_another_type(world: World) -> Ids:
    return await _record(
        world,
        "UPDATE audit.record SET event_type = 'bp.payments.v1.TransferReturned'"
        f" WHERE {_FIRST_RECORD} RETURNING event_id",
    )


_COPIED = """
INSERT INTO audit.record
SELECT chain, sequence + 1000, {event_id}, event_type, source_topic, source_partition,
    source_offset, subject, occur_time, log_offset, record_time, hash_version, previous_hash, hash,
    payload
FROM audit.record WHERE {which}
RETURNING event_id
"""


async def record_doubled(world: World) -> Ids:
    drop = "ALTER TABLE audit.record DROP CONSTRAINT record_pkey"
    await _fetch(world, "bp_audit", drop)
    return await _record(world, _COPIED.format(event_id="event_id", which=_FIRST_RECORD))


async def record_of_nothing(world: World) -> Ids:
    return await _record(world, _COPIED.format(event_id=f"'{new_id()}'", which=_FIRST_RECORD))


async def record_outside_the_chains(world: World) -> Ids:
    """A record of an earlier version, which accepted every chain, and no other of its event."""
    drop = "ALTER TABLE audit.record DROP CONSTRAINT IF EXISTS record_chain_exists"
    await _fetch(world, "bp_audit", drop)
    return await _record(
        world,
        f"UPDATE audit.record SET chain = {CHAINS} WHERE {_FIRST_RECORD} RETURNING event_id",
    )


async def record_of_an_old_offset(world: World) -> Ids:
    """A record of nothing that correctly continues its chain, as the service's login can write."""
    audit = await world.owner("bp_audit", lawless=True)
    last = "SELECT * FROM audit.record WHERE chain < $1 ORDER BY sequence DESC LIMIT 1"
    (found,) = await audit.fetch(last, CHAINS)
    row = AuditRow(**found)
    shared: dict[str, Any] = {one.name: getattr(row, one.name) for one in fields(Entry)}
    entry = replace(Entry(**shared), event_id=new_id(), log_offset=0)
    head = Head(row.sequence, row.hash, row.record_time)
    (forged,) = link([entry], {row.chain: head}, utc_now())
    await audit.copy_records_to_table(
        "record", schema_name="audit", columns=COLUMNS, records=[astuple(forged)]
    )
    return {"event_id": str(entry.event_id)}


async def request_of_nothing(world: World) -> Ids:
    event = NotificationEvent()
    event.metadata.event_id = str(new_id())
    _send(world, "notifications", event.SerializeToString())
    return {"event_id": event.metadata.event_id}


async def _message(world: World, sql: str, *values: Any) -> Ids:
    transfer = str(world.victims.submitted.pop().transfer_id)
    event_id = await _fetch(world, "bp_notifications", sql, transfer, *values)
    return {"event_id": str(event_id)}


async def message_gone(world: World) -> Ids:
    return await _message(
        world, "DELETE FROM notif.notification WHERE transfer_id = $1 RETURNING event_id"
    )


async def message_doubled(world: World) -> Ids:
    return await _message(
        world,
        "INSERT INTO notif.notification SELECT $2, event_id, customer_id, template, title, body,"
        " transfer_id FROM notif.notification WHERE transfer_id = $1 RETURNING event_id",
        new_id(),
    )


async def message_of_nothing(world: World) -> Ids:
    event_id = new_id()
    await _fetch(
        world,
        "bp_notifications",
        "INSERT INTO notif.notification VALUES ($1, $2, $1, 'TRANSFER_FAILED', '', '', '')",
        event_id,
        str(event_id),
    )
    return {"event_id": str(event_id)}


async def delivery_overdue(world: World) -> Ids:
    return await _message(
        world,
        "UPDATE notif.delivery d SET state = 'PENDING', next_attempt_time = now() - interval '1 h'"
        " FROM notif.notification n WHERE n.notification_id = d.notification_id"
        " AND n.transfer_id = $1 RETURNING n.event_id",
    )


async def delivered_but_never_taken(world: World) -> Ids:
    ids = await _message(
        world,
        "WITH told AS (INSERT INTO notif.delivery"
        " SELECT notification_id, 'PUSH', 'never-reached', 'DELIVERED', 1, now(), now(), ''"
        " FROM notif.notification WHERE transfer_id = $1 RETURNING notification_id)"
        " SELECT n.event_id FROM told JOIN notif.notification n USING (notification_id)",
    )
    return ids | {"device": "never-reached"}


async def _push(world: World, device: str, event_id: str) -> Ids:
    now = utc_now()
    push = Push(new_id(), device, event_id, "TRANSFER_SUBMITTED", "t", "b", "", now, 0, now)
    connector = aiohttp.UnixConnector(str(world.push.socket))
    async with aiohttp.ClientSession(connector=connector) as session:
        attempt = await world.push.client(session).send(push)
    assert attempt.outcome is Outcome.TAKEN, attempt.detail
    return {"event_id": event_id, "device": device}


async def pushed_twice(world: World) -> Ids:
    transfer = world.victims.submitted.pop()
    event_id = await _fetch(
        world,
        "bp_notifications",
        "SELECT event_id FROM notif.notification WHERE transfer_id = $1",
        str(transfer.transfer_id),
    )
    return await _push(world, device_of(transfer.customer_id), event_id)


async def pushed_for_nothing(world: World) -> Ids:
    return await _push(world, "some-device", str(new_id()))


async def _balance(world: World, sql: str) -> Ids:
    account = world.victims.submitted.pop().account_id
    await _fetch(world, "bp_customers", sql, account)
    return {"account_id": str(account)}


async def projection_differs(world: World) -> Ids:
    return await _balance(
        world, "UPDATE customers.balance SET balance = balance + 1 WHERE account_id = $1"
    )


async def projection_gone(world: World) -> Ids:
    return await _balance(world, "DELETE FROM customers.balance WHERE account_id = $1")


async def projection_of_nothing(world: World) -> Ids:
    account = new_id()
    await _fetch(
        world, "bp_customers", "INSERT INTO customers.balance VALUES ($1, 'USD', 1, 1)", account
    )
    return {"account_id": str(account)}


async def account_not_open(world: World) -> Ids:
    customer = world.victims.submitted.pop().customer_id
    account = new_id(customer.bytes[15] & 63)
    await _fetch(
        world,
        "bp_customers",
        "INSERT INTO customers.account VALUES ($1, $2, 'CHECKING')",
        account,
        customer,
    )
    return {"account_id": str(account)}


async def account_of_nobody(world: World) -> Ids:
    account = new_id()
    await _fetch(world, "bp_write", "SELECT ledger.open_account($1, 'USD')", account)
    return {"account_id": str(account)}


PLANTS = (
    (Kind.EVENT_UNREADABLE, unreadable),
    (Kind.NOT_DRAINED, router_not_drained),
    (Kind.EVENT_VERSIONS, version_skipped),
    (Kind.EVENT_STATES, illegal_step),
    (Kind.EVENT_UNKNOWN, not_routed),
    (Kind.AUDIT_LOG_LOST, not_routed),
    (Kind.AUDIT_LOST, not_routed),
    (Kind.NOTICE_LOST, not_routed),
    (Kind.DELIVERY_LOST, not_routed),
    (Kind.EVENT_LOST, login_never_sent),
    (Kind.AUDIT_LOST, login_never_sent),
    (Kind.EVENT_UNKNOWN, login_never_stored),
    (Kind.AUDIT_LOST, login_never_stored),
    (Kind.NOTICE_LOST, login_never_stored),
    (Kind.DELIVERY_LOST, login_never_stored),
    (Kind.OUTBOX_WAITING, login_waiting),
    (Kind.NOT_DRAINED, auth_not_drained),
    (Kind.OUTBOX_PARKED, login_parked),
    (Kind.EVENT_LOST, revision_never_sent),
    (Kind.AUDIT_LOST, revision_never_sent),
    (Kind.EVENT_UNKNOWN, revision_never_made),
    (Kind.AUDIT_LOST, revision_never_made),
    (Kind.OUTBOX_WAITING, revision_waiting),
    (Kind.NOT_DRAINED, mesh_not_drained),
    (Kind.AUDIT_LOG_UNKNOWN, audit_log_of_nothing),
    (Kind.AUDIT_LOST, record_gone),
    (Kind.AUDIT_PAYLOAD, record_changed),
    (Kind.AUDIT_CHAIN, record_changed),
    (Kind.AUDIT_PAYLOAD, record_of_another_type),
    (Kind.AUDIT_DOUBLED, record_doubled),
    (Kind.AUDIT_UNKNOWN, record_of_nothing),
    (Kind.AUDIT_LOST, record_outside_the_chains),
    (Kind.AUDIT_CHAIN, record_outside_the_chains),
    (Kind.AUDIT_CHAIN, record_of_an_old_offset),
    (Kind.NOTICE_UNKNOWN, request_of_nothing),
    (Kind.DELIVERY_LOST, message_gone),
    (Kind.DELIVERY_DOUBLED, message_doubled),
    (Kind.DELIVERY_UNKNOWN, message_of_nothing),
    (Kind.DELIVERY_OVERDUE, delivery_overdue),
    (Kind.PUSH_LOST, delivered_but_never_taken),
    (Kind.PUSH_DOUBLED, pushed_twice),
    (Kind.PUSH_UNKNOWN, pushed_for_nothing),
    (Kind.PROJECTION, projection_differs),
    (Kind.PROJECTION_LOST, projection_gone),
    (Kind.PROJECTION_UNKNOWN, projection_of_nothing),
    (Kind.ACCOUNT_NOT_OPEN, account_not_open),
    (Kind.ACCOUNT_WITHOUT_CUSTOMER, account_of_nobody),
)
"""Each plant with a kind under which the judge must find it; a plant may have several kinds."""
