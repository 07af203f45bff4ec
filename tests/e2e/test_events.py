"""Crashes of relay, router, readers or Kafka: each event is audited and shown exactly once."""

import asyncio
import uuid
from datetime import datetime, timedelta

import pytest

from ops.waiting import until
from services.notifications.settings import NotificationsSettings
from tests.rigs.running_bank import Bank, Customer

TRANSFERS = 30
LEASE_S: int = NotificationsSettings.model_fields["lease_s"].default


async def _pay_many(bank: Bank, ana: Customer, done: asyncio.Event) -> list[str]:
    """Request transfers one after the other; set `done` after a third of them."""
    paid: list[str] = []
    for number in range(TRANSFERS):
        answer = await bank.pay(ana, 1_00)
        assert answer.status == 200, answer.text
        paid.append(answer.body["transferId"])
        if number == TRANSFERS // 3:
            done.set()
    return paid


async def _audited(bank: Bank, paid: list[str]) -> dict[str, int]:
    sql = "SELECT subject, count(*) AS n FROM audit.record WHERE subject = ANY($1) GROUP BY 1"
    rows = await bank.rows("bp_audit", sql, paid)
    return {str(row["subject"]): row["n"] for row in rows}


async def _last_lease_end(bank: Bank) -> datetime:
    """Return when the leases of the sender that was just killed expire."""
    (row,) = await bank.rows("bp_notifications", "SELECT clock_timestamp() AS now")
    return row["now"] + timedelta(seconds=LEASE_S)


async def _end_leases(bank: Bank, leases_end: datetime) -> None:
    """End the leases of the killed sender now, as would happen after a minute.

    The leases of its successor expire later, so they are not changed.
    """
    sql = (
        "UPDATE notif.delivery SET next_attempt_time = now()"
        " WHERE state = 'PENDING' AND next_attempt_time <= $1"
    )
    await bank.rows("bp_notifications", sql, leases_end)


@pytest.mark.parametrize("victim", ["relay", "router", "audit", "notifications", "kafka"])
async def test_a_kill_under_load_loses_and_duplicates_no_event(bank: Bank, victim: str) -> None:
    ana = await bank.customer()
    third = asyncio.Event()
    paying = asyncio.create_task(_pay_many(bank, ana, third))
    await third.wait()
    killed = await asyncio.to_thread(bank.stack.kill, victim)
    leases_end = await _last_lease_end(bank) if victim == "notifications" else None
    paid = await paying
    await asyncio.to_thread(bank.stack.wait_ready, victim, not_pid=killed)
    if leases_end is not None:
        await _end_leases(bank, leases_end)

    async def whole() -> bool:
        return await _audited(bank, paid) == dict.fromkeys(paid, 2)

    await until(whole, 90, "two audit records of each transfer: debited and submitted")
    # A push in flight when its sender was killed is sent again after its lease.
    await bank.pushed(ana, TRANSFERS, within_s=90)
    shown = await bank.shown(ana)
    assert len(shown) == TRANSFERS


async def test_a_bad_message_goes_to_the_dead_letter_topic_and_the_group_continues(
    bank: Bank,
) -> None:
    ana = await bank.customer()
    for topic in ("payments", "notifications", "audit-logs"):
        await bank.produce(topic, str(uuid.uuid4()).encode(), b"\xff\xffnot a message")
    paid = await bank.pay(ana, 1_00)
    await bank.pushed(ana)
    transfer_id = paid.body["transferId"]

    async def audited() -> bool:
        return (await _audited(bank, [transfer_id])).get(transfer_id) == 2

    await until(audited, 45, "the transfer after the bad messages is audited")
