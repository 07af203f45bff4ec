"""An account that another transaction holds delays only its own steps and stops no process."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from lab.simulator.services.places import NOWHERE
from ops.waiting import scaled_s
from services.kernel.errors import AccountBusy
from services.payments import notice_store, notices, reconciliation, reviews
from services.payments import store as store_module
from services.payments.dependencies import Dependencies
from services.payments.driver import Driver
from services.payments.saga import Answer, Outcome
from services.payments.settings import PaymentsSettings
from services.payments.state import Event, State
from services.payments.store import Store
from services.payments.transfer import Fact, Notice, Transfer
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import Holder, LedgerBank
from tests.rigs.stores import PostgresStore

SETTINGS = PaymentsSettings(service="payments", **NOWHERE)


class _House:
    """A clearing house that refuses each submission and has returned every transfer."""

    async def submit(self, _transfer: Transfer) -> Answer:
        """Refuse it."""
        return Answer(Outcome.REFUSED, reason="INVALID_BENEFICIARY_ACCOUNT")

    async def recall(self, _transfer: Transfer) -> Answer:
        """Cancel it."""
        return Answer(Outcome.RECALLED)

    async def query(self, transfer: Transfer) -> Answer:
        """Say that it was returned."""
        return Answer(Outcome.RETURNED, transfer.trace_number, return_code="R10")


class _Bank:
    """Two customers; another transaction holds the account of the first one."""

    def __init__(self, store: Store, bank: LedgerBank, locker: asyncpg.Connection) -> None:
        self.store, self.bank, self._locker = store, bank, locker
        driver = Driver(store, cast("Any", _House()), "test/0")
        self.driver = driver
        self.deps = cast(
            "Dependencies",
            SimpleNamespace(store=store, driver=driver, ach=_House(), settings=SETTINGS),
        )

    async def open(self) -> None:
        """Open both accounts."""
        self.held = await self.bank.open_holder(5_00)
        self.free = await self.bank.open_holder(5_00)

    async def both(self, *facts: Event) -> tuple[Transfer, Transfer]:
        """Return a transfer of each customer after some events."""
        return await self.moved(self.held, facts), await self.moved(self.free, facts)

    async def moved(self, holder: Holder, facts: tuple[Event, ...]) -> Transfer:
        """Return a customer's transfer after some events."""
        transfer, _ = await debit(self.store, order_of(holder), self.driver.lease())
        trace = str(transfer.transfer_id.int)[-15:]
        for event in facts:
            transfer, _ = await self.driver.save(transfer, Fact(event, trace_number=trace))
        return transfer

    async def while_held(self, work: Callable[[], Awaitable[object]]) -> None:
        """Run some work while another transaction holds the first account."""
        async with self._locker.transaction():
            sql = "SELECT FROM ledger.account WHERE account_id = $1 FOR UPDATE"
            await self._locker.execute(sql, self.held.account_id)
            await work()

    async def while_held_row(
        self, transfer: Transfer, work: Callable[[], Awaitable[object]]
    ) -> None:
        """Run some work while another transaction holds the row of a transfer."""
        async with self._locker.transaction():
            await self._locker.execute(LOCK_TRANSFER, transfer.transfer_id)
            await work()

    async def due(self, sql: str, transfers: tuple[Transfer, ...]) -> None:
        """Run a statement on the ids of the transfers."""
        write = await self.bank.superuser("bp_write")
        await write.execute(sql, [one.transfer_id for one in transfers])

    async def states(self, transfers: tuple[Transfer, ...]) -> list[State]:
        """Return the stored states."""
        found = [await self.store.transfer(one.transfer_id) for one in transfers]
        return [one.transfer.state for one in found if one is not None]


@pytest_asyncio.fixture
async def payments(
    postgres: PostgresStore, store: Store, bank: LedgerBank
) -> AsyncGenerator[_Bank]:
    locker = await postgres.session("postgres")
    payments = _Bank(store, bank, locker)
    await payments.open()
    yield payments
    await locker.close()


def _returned(transfer: Transfer) -> Notice:
    return Notice(
        notice_id=uuid.uuid4().hex,
        type="transfer.returned",
        trace_number=transfer.trace_number,
        transfer_id=transfer.transfer_id,
        return_code="R10",
    )


async def test_a_kept_notice_of_a_held_account_blocks_no_other_notice(payments: _Bank) -> None:
    transfers = await payments.both(Event.ACCEPTED)
    for transfer in transfers:
        await payments.store.notices.keep(_returned(transfer))

    async def match() -> None:
        await notices.match_kept_notices(payments.deps)

    await payments.while_held(match)
    assert await payments.states(transfers) == [State.SUBMITTED, State.RETURNED]
    await match()
    assert await payments.states(transfers) == [State.RETURNED, State.RETURNED]


async def test_younger_notices_are_reached_after_a_page_of_held_ones(
    payments: _Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run read only the oldest notices, so the others waited until the account was free."""
    monkeypatch.setattr(notice_store, "ROWS_MAX", 1)
    transfers = await payments.both(Event.ACCEPTED)
    for transfer in (transfers[0], *transfers):
        await payments.store.notices.keep(_returned(transfer))
    await payments.while_held(lambda: notices.match_kept_notices(payments.deps))
    assert await payments.states(transfers) == [State.SUBMITTED, State.RETURNED]


async def test_a_young_notice_is_reached_after_more_held_ones_than_a_run_reads(
    payments: _Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run began with the oldest notices, and waited a second for each held one."""
    await notices.match_kept_notices(payments.deps)
    monkeypatch.setattr(notice_store, "ROWS_MAX", 2)
    monkeypatch.setattr(notice_store, "PAGES_MAX", 1)
    transfers = await payments.both(Event.ACCEPTED)
    for transfer in (*[transfers[0]] * 3, transfers[1]):
        await payments.store.notices.keep(_returned(transfer))

    async def match_twice() -> None:
        for _ in range(2):
            await notices.match_kept_notices(payments.deps)

    with capture_logs() as logs:
        await payments.while_held(match_twice)
    assert await payments.states(transfers) == [State.SUBMITTED, State.RETURNED]
    # In each run, only the first notice of the held account waited for it.
    assert [one["event"] for one in logs].count("webhook.account_busy") == 2
    await match_twice()
    assert await payments.states(transfers) == [State.RETURNED, State.RETURNED]


async def test_decisions_are_reached_after_a_page_of_held_ones(
    payments: _Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "DUE_ROWS_MAX", 1)
    made = await payments.both(Event.ACCEPTED)
    if made[0].transfer_id > made[1].transfer_id:
        made = (made[1], made[0])
    await payments.due(IN_REVIEW, made)
    await payments.while_held_row(made[0], lambda: reviews.take_up_decisions(payments.deps))
    write = await payments.bank.superuser("bp_write")
    sql = "SELECT event_id IS NULL FROM payments.review_decision WHERE transfer_id = $1"
    assert [await write.fetchval(sql, one.transfer_id) for one in made] == [True, False]
    await reviews.take_up_decisions(payments.deps)
    await payments.driver.drain(scaled_s(20))
    assert await payments.states(made) == [State.CANCELLED, State.CANCELLED]


async def test_a_notice_of_a_held_account_is_refused_as_busy_and_kept(payments: _Bank) -> None:
    """The clearing house repeats a notice that is not acknowledged."""
    transfers = await payments.both(Event.ACCEPTED)
    notice = _returned(transfers[0])

    async def receive() -> None:
        with pytest.raises(AccountBusy):
            await notices.take_in_notice(payments.deps, notice)

    await payments.while_held(receive)
    assert (await payments.states(transfers))[0] is State.SUBMITTED
    await notices.take_in_notice(payments.deps, notice)
    assert (await payments.states(transfers))[0] is State.RETURNED


async def test_many_notices_of_a_held_account_wait_on_one_connection(payments: _Bank) -> None:
    """Previously each waited on a connection of its own, and orders of others had none."""
    made = [await payments.moved(payments.held, (Event.ACCEPTED,)) for _ in range(4)]
    watching = await payments.bank.superuser("bp_write")
    waiting: list[int] = []

    async def receive() -> None:
        received = asyncio.gather(
            *(notices.take_in_notice(payments.deps, _returned(one)) for one in made * 2),
            return_exceptions=True,
        )
        while not received.done():
            waiting.append(await watching.fetchval(WAITING) or 0)
            await asyncio.sleep(0.01)
        assert [type(error) for error in await received] == [AccountBusy] * 8

    await payments.while_held(receive)
    assert max(waiting) == 1


WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
OVERDUE = """UPDATE payments.interbank_transfer SET lease_until = now() - interval '1 s'
    WHERE transfer_id = ANY ($1)"""
IN_REVIEW = """WITH flagged AS (
        UPDATE payments.interbank_transfer SET fraud_review = true WHERE transfer_id = ANY ($1)
        RETURNING transfer_id)
    INSERT INTO payments.review_decision (transfer_id, decision, reviewer, note, effect)
    SELECT transfer_id, 'REFUSED', 'eva', 'called the customer', 'REQUESTED' FROM flagged"""
WINDOW_ENDED = """UPDATE payments.late_return_check
    SET due_time = now() - interval '1 s' WHERE transfer_id = ANY ($1)"""


JOBS = pytest.mark.parametrize(
    ("facts", "due", "job"),
    [
        ((Event.ACCEPTED,), OVERDUE, reconciliation.ask_for_unsettled),
        ((Event.ACCEPTED, Event.COMPLETED), WINDOW_ENDED, reconciliation.ask_for_late_returns),
    ],
)


@JOBS
async def test_an_answer_about_a_held_account_blocks_no_other_answer(
    payments: _Bank,
    facts: tuple[Event, ...],
    due: str,
    job: Callable[[Dependencies], Awaitable[None]],
) -> None:
    transfers = await payments.both(*facts)
    await payments.due(due, transfers)
    await payments.while_held(lambda: job(payments.deps))
    assert await payments.states(transfers) == [transfers[0].state, State.RETURNED]
    await payments.due(due, transfers)
    await job(payments.deps)
    assert await payments.states(transfers) == [State.RETURNED, State.RETURNED]


class _Interrupted(_House):
    """A clearing house that answers slowly; one query fails at once."""

    def __init__(self, failing: uuid.UUID) -> None:
        self._failing = failing

    async def query(self, transfer: Transfer) -> Answer:
        """Fail, or say later that it was returned."""
        if transfer.transfer_id == self._failing:
            raise ConnectionResetError
        await asyncio.sleep(0.05)
        return await super().query(transfer)


@JOBS
async def test_after_an_error_no_query_of_the_batch_continues_alone(
    payments: _Bank,
    facts: tuple[Event, ...],
    due: str,
    job: Callable[[Dependencies], Awaitable[None]],
) -> None:
    transfers = await payments.both(*facts)
    await payments.due(due, transfers)
    cast("Any", payments.deps).ach = _Interrupted(transfers[0].transfer_id)
    with pytest.raises(ConnectionResetError):
        await job(payments.deps)
    assert await payments.states(transfers) == [transfers[0].state, State.RETURNED]


async def test_a_refund_to_a_held_account_is_made_later(payments: _Bank) -> None:
    transfers = await payments.both()

    async def drive() -> None:
        tasks = [payments.driver.start(one) for one in transfers]
        done = await asyncio.wait_for(asyncio.gather(*tasks), scaled_s(20))
        assert [one.transfer.state for one in done] == [State.DEBITED, State.FAILED]

    await payments.while_held(drive)
    await payments.due(OVERDUE, transfers)
    await payments.driver.resume()
    task = payments.driver.running(transfers[0].transfer_id)
    assert task is not None
    await asyncio.wait_for(task, scaled_s(20))
    assert await payments.states(transfers) == [State.FAILED, State.FAILED]
    assert await payments.bank.held(payments.held.account_id) == (5_00, 3)


async def _wait_briefly_for_locks(pool: asyncpg.Pool) -> None:
    """Limit the lock waits of each session of a pool to less than the statement timeout."""
    sessions = [await pool.acquire() for _ in range(pool.get_size())]
    for session in sessions:
        await session.execute("SET lock_timeout = '300ms'")
        await pool.release(session)


LOCK_TRANSFER = "SELECT FROM payments.interbank_transfer WHERE transfer_id = $1 FOR UPDATE"
LOCK_DECISION = "SELECT FROM payments.review_decision WHERE transfer_id = $1 FOR UPDATE"
LOCK_NOTICE = "SELECT FROM payments.ach_notice WHERE transfer_id = $1 FOR UPDATE"


@pytest.mark.parametrize("lock", [LOCK_TRANSFER, LOCK_DECISION])
async def test_a_refused_review_of_a_held_row_blocks_no_other_refusal(
    postgres: PostgresStore, bank: LedgerBank, lock: str
) -> None:
    pool = await postgres.pool("bp_payments")
    await _wait_briefly_for_locks(pool)
    locker = await postgres.session("postgres")
    payments = _Bank(store := Store(pool), bank, locker)
    await payments.open()
    transfers = await payments.both(Event.ACCEPTED)
    await payments.due(IN_REVIEW, transfers)
    held = min(one.transfer_id for one in transfers)
    async with locker.transaction():
        await locker.execute(lock, held)
        await reviews.take_up_decisions(payments.deps)
    assert [one.transfer_id async for one in store.unreported_reviews()] == [held]
    await reviews.take_up_decisions(payments.deps)
    assert [one async for one in store.unreported_reviews()] == []
    await payments.driver.drain(scaled_s(20))
    assert await payments.states(transfers) == [State.CANCELLED, State.CANCELLED]
    await locker.close()
    await pool.close()


async def _matching(store: Store, types: list[str]) -> list[Notice]:
    return [one async for one in store.notices.matching(types)]


async def test_a_kept_notice_whose_row_is_held_blocks_no_other_notice(
    postgres: PostgresStore, bank: LedgerBank
) -> None:
    pool = await postgres.pool("bp_payments")
    await _wait_briefly_for_locks(pool)
    locker = await postgres.session("postgres")
    payments = _Bank(store := Store(pool), bank, locker)
    await payments.open()
    transfers = await payments.both(Event.ACCEPTED, Event.COMPLETED)
    stale = [replace(_returned(one), type="transfer.completed") for one in transfers]
    for notice in stale:
        await store.notices.keep(notice)
    types = [one.type for one in stale]
    first = (await _matching(store, types))[0]
    async with locker.transaction():
        await locker.execute(LOCK_NOTICE, first.transfer_id)
        await notices.match_kept_notices(payments.deps)
    assert await _matching(store, types) == [first]
    await notices.match_kept_notices(payments.deps)
    assert await _matching(store, types) == []
    await locker.close()
    await pool.close()
