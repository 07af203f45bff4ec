"""Notices whose id was used for another notice, and notices of a type that the bank does not know.

No notice is lost: each is kept for an operator, and the clearing house gets an acknowledgement.
"""

import asyncio
import uuid
from typing import Any, cast

import orjson
import pytest
from structlog.testing import capture_logs

from ops.waiting import until
from services.payments import notices
from services.payments.dependencies import Dependencies
from services.payments.driver import Driver
from services.payments.rows import notice_values
from services.payments.state import Event, State
from services.payments.store import Store
from services.payments.transfer import Fact, Notice, Transfer
from services.payments.webhook import read_notice
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.stores import PostgresStore

WAITS = """
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND query LIKE '%payments.keep_notice%'
"""


class _Deps:
    """The dependencies that notices need: the store, and a driver that only saves."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.driver = Driver(store, cast("Any", _NoHouse()), "test/0")


class _NoHouse:
    """A clearing house that no test calls."""

    submit = query = recall = None


@pytest.fixture
def deps(store: Store) -> Dependencies:
    return cast("Any", _Deps(store))


async def submitted(deps: Dependencies, bank: LedgerBank) -> Transfer:
    holder = await bank.open_holder(5_00)
    transfer, _ = await debit(deps.store, order_of(holder), deps.driver.lease())
    trace = str(transfer.transfer_id.int)[-15:]
    moved, _ = await deps.driver.save(transfer, Fact(Event.ACCEPTED, trace_number=trace))
    return moved


async def state_of(deps: Dependencies, transfer: Transfer) -> State:
    stored = await deps.store.transfer(transfer.transfer_id)
    assert stored is not None
    return stored.transfer.state


async def kept_about(bank: LedgerBank, transfer: Transfer) -> list[Any]:
    write = await bank.superuser("bp_write")
    sql = """SELECT notice_id, type, return_code, state FROM payments.ach_notice
        WHERE transfer_id = $1 ORDER BY receive_time"""
    return await write.fetch(sql, transfer.transfer_id)


def completion(transfer: Transfer, notice_id: str) -> Notice:
    return Notice(notice_id, "transfer.completed", transfer.trace_number, transfer.transfer_id, "")


def return_of(transfer: Transfer, notice_id: str) -> Notice:
    kind, trace = "transfer.returned", transfer.trace_number
    return Notice(notice_id, kind, trace, transfer.transfer_id, "R03")


@pytest.mark.parametrize("other", [False, True], ids=["the same transfer", "another transfer"])
async def test_another_notice_under_a_used_id_is_a_conflict_for_a_person(
    deps: Dependencies, bank: LedgerBank, *, other: bool
) -> None:
    first, notice_id = await submitted(deps, bank), str(uuid.uuid4())
    second = await submitted(deps, bank) if other else first
    await notices.take_in_notice(deps, completion(first, notice_id))
    with capture_logs() as logs:
        for _ in range(2):
            await notices.take_in_notice(deps, return_of(second, notice_id))
    told = [one for one in logs if one["event"] == "webhook.notice_id_reused"]
    assert [one["notice_id"] for one in told] == [notice_id] * 2
    rows = await kept_about(bank, second)
    assert [(row["return_code"], row["state"]) for row in rows][-1] == ("R03", "CONFLICT")
    assert len(rows) == (1 if other else 2)
    assert await state_of(deps, first) is State.COMPLETED


async def test_a_repeated_notice_is_no_conflict(deps: Dependencies, bank: LedgerBank) -> None:
    transfer = await submitted(deps, bank)
    notice = completion(transfer, str(uuid.uuid4()))
    with capture_logs() as logs:
        for _ in range(3):
            await notices.take_in_notice(deps, notice)
    assert [one for one in logs if one["log_level"] == "error"] == []
    assert [row["state"] for row in await kept_about(bank, transfer)] == ["APPLIED"]


async def test_a_notice_of_an_unknown_type_is_kept_with_its_content_for_a_person(
    deps: Dependencies, bank: LedgerBank
) -> None:
    transfer = await submitted(deps, bank)
    notice_id, data = str(uuid.uuid4()), {"idempotencyKey": str(transfer.transfer_id)}
    corrected = {"changeCode": "C01", "correctedData": "123457"}
    body = orjson.dumps({"id": notice_id, "type": "transfer.noc", "data": data | corrected})
    with capture_logs() as logs:
        await notices.take_in_notice(deps, read_notice(body))
    assert [(one["event"], one["type"]) for one in logs if "webhook" in one["event"]] == [
        ("webhook.unknown_type", "transfer.noc")
    ]
    write = await bank.superuser("bp_write")
    sql = "SELECT state, content FROM payments.ach_notice WHERE notice_id = $1"
    row: Any = await write.fetchrow(sql, notice_id)
    assert (row["state"], bytes(row["content"])) == ("KEPT", body)
    assert await state_of(deps, transfer) is State.SUBMITTED


async def test_other_content_of_an_unknown_type_under_a_used_id_is_kept_too(
    deps: Dependencies, bank: LedgerBank
) -> None:
    notice_id = str(uuid.uuid4())
    for digit in (1, 2, 2):
        body = orjson.dumps({"id": notice_id, "type": "network.status", "data": {"n": digit}})
        await notices.take_in_notice(deps, read_notice(body))
    write = await bank.superuser("bp_write")
    sql = "SELECT state FROM payments.ach_notice WHERE notice_id LIKE $1 ORDER BY receive_time"
    rows: Any = await write.fetch(sql, f"{notice_id}%")
    assert [row["state"] for row in rows] == ["KEPT", "CONFLICT"]


async def test_another_notice_that_arrives_at_the_same_time_under_the_id_is_a_conflict(
    deps: Dependencies, bank: LedgerBank, postgres: PostgresStore
) -> None:
    """The statement that waited for the first notice does not see it, and it was applied."""
    transfer, notice_id = await submitted(deps, bank), str(uuid.uuid4())
    write = await bank.superuser("bp_write")
    other = await postgres.session("bp_payments")

    async def waits() -> bool:
        return await write.fetchval(WAITS) == 1

    async with other.transaction():
        completed = notice_values(completion(transfer, notice_id))
        await other.execute("SELECT payments.keep_notice($1, $2, $3, $4, $5, $6)", *completed)
        late = asyncio.create_task(notices.take_in_notice(deps, return_of(transfer, notice_id)))
        await until(waits, 20, "the second notice waits for the first one")
    await other.close()
    await late
    assert await state_of(deps, transfer) is State.SUBMITTED
    rows = await kept_about(bank, transfer)
    assert [(row["type"], row["state"]) for row in rows] == [
        ("transfer.completed", "KEPT"),
        ("transfer.returned", "CONFLICT"),
    ]
