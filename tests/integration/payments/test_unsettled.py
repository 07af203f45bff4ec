"""A worker queries a submitted transfer only when it is overdue; the others cost nothing."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta

import aiohttp
import pytest_asyncio

from services.kernel.clock import utc_now
from services.payments.driver import Driver
from services.payments.partners.ach import AchClient
from services.payments.rows import Lease
from services.payments.state import Event, State
from services.payments.store import Store
from services.payments.transfer import Fact, Notice, Transfer
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import Holder, LedgerBank

WAIT_S = 1000.0
ROWS_MAX = 3


@pytest_asyncio.fixture(scope="module")
async def driver(store: Store) -> AsyncGenerator[Driver]:
    """A driver that only saves steps."""
    async with aiohttp.ClientSession() as session:
        yield Driver(store, AchClient(session, session, "key"), "test/0", WAIT_S)


async def _submitted(store: Store, driver: Driver, holder: Holder) -> Transfer:
    transfer, _ = await debit(store, order_of(holder), driver.lease())
    trace = str(transfer.transfer_id.int)[-15:]
    submitted, _ = await driver.save(transfer, Fact(Event.ACCEPTED, trace_number=trace))
    return submitted


async def _look_again(bank: LedgerBank, transfer: Transfer) -> datetime:
    write = await bank.superuser("bp_write")
    sql = "SELECT lease_until FROM payments.interbank_transfer WHERE transfer_id = $1"
    lease_until: datetime | None = await write.fetchval(sql, transfer.transfer_id)
    assert lease_until is not None
    return lease_until


async def test_a_submitted_transfer_is_due_when_the_wait_for_its_notice_is_over(
    store: Store, driver: Driver, bank: LedgerBank
) -> None:
    begin_time, wait = utc_now(), timedelta(seconds=WAIT_S)
    transfer = await _submitted(store, driver, await bank.open_holder(5_00))
    due = await _look_again(bank, transfer)
    assert begin_time + wait <= due <= utc_now() + wait
    early = await store.claim_unsettled(driver.lease(), due - timedelta(seconds=1), 1000)
    assert transfer.transfer_id not in {one.transfer_id for one in early}
    claimed = await store.claim_unsettled(driver.lease(), due + timedelta(seconds=1), 1000)
    assert {one.attempts for one in claimed if one.transfer_id == transfer.transfer_id} == {1}


async def test_concurrent_workers_share_due_transfers_and_claim_no_more_than_the_limit(
    store: Store, driver: Driver, bank: LedgerBank
) -> None:
    holder = await bank.open_holder(50_00)
    made = [await _submitted(store, driver, holder) for _ in range(2 * ROWS_MAX + 1)]
    later = utc_now() + timedelta(seconds=WAIT_S + 60)
    until = later + timedelta(seconds=45)
    claims = await asyncio.gather(
        *(store.claim_unsettled(Lease(f"test/{n}", until), later, ROWS_MAX) for n in range(2))
    )
    ids = [one.transfer_id for claim in claims for one in claim]
    assert [len(claim) for claim in claims] == [ROWS_MAX, ROWS_MAX]
    assert len(ids) == len(set(ids))
    assert len({one.transfer_id for one in made} - set(ids)) >= 1


async def test_a_conflict_ends_the_queries_unless_the_transfer_has_moved_on(
    store: Store, driver: Driver, bank: LedgerBank
) -> None:
    transfer = await _submitted(store, driver, await bank.open_holder(5_00))
    notice = Notice(str(uuid.uuid4()), "transfer.not_found", "", transfer.transfer_id, "")
    assert await store.put_aside(transfer, notice)
    assert await store.put_aside(transfer, notice)
    at_the_end = utc_now() + timedelta(days=36_500)
    claimed = await store.claim_unsettled(driver.lease(), at_the_end, 1000)
    assert transfer.transfer_id not in {one.transfer_id for one in claimed}
    moved, _ = await driver.save(transfer, Fact(Event.COMPLETED))
    assert moved.state is State.COMPLETED
    other = Notice(str(uuid.uuid4()), "transfer.not_found", "", transfer.transfer_id, "")
    assert not await store.put_aside(transfer, other)


async def test_the_search_for_due_transfers_reads_an_index_of_submitted_transfers_only(
    bank: LedgerBank,
) -> None:
    write = await bank.superuser("bp_write")
    await write.execute("SET enable_seqscan = off")  # else the planner scans this small table
    plan = await write.fetch(
        "EXPLAIN SELECT transfer_id FROM payments.interbank_transfer"
        " WHERE state = 'SUBMITTED' AND lease_until < now() ORDER BY lease_until LIMIT 16"
    )
    await write.execute("RESET enable_seqscan")
    text = "\n".join(row[0] for row in plan)
    assert "Index Scan using interbank_transfer_" in text
    assert "Filter" not in text, text
