"""Concurrent drivers, and a clearing house that contradicts itself: nothing is lost."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import cast

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from ops.waiting import scaled_s
from services.kernel.clock import utc_now
from services.payments.driver import STEPS_MAX, Driver
from services.payments.partners.ach import AchClient
from services.payments.saga import Answer, Outcome
from services.payments.state import Event, State
from services.payments.store import Store
from services.payments.transfer import Fact, Transfer
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import Holder, LedgerBank
from tests.rigs.stores import PostgresStore

TRACE = "991000010000001"


class _House:
    """A clearing house that receives the submission between a query and the recall."""

    def __init__(self) -> None:
        self.recalled = asyncio.Event()
        self.answers = asyncio.Event()

    async def submit(self, _transfer: Transfer) -> Answer:
        """Fail: the transfer must not be submitted again."""
        raise AssertionError

    async def query(self, _transfer: Transfer) -> Answer:
        """Answer NOT_FOUND: the submission has not arrived yet."""
        return Answer(Outcome.NOT_FOUND)

    async def recall(self, _transfer: Transfer) -> Answer:
        """Cancel the transfer, but answer only when the test allows it."""
        self.recalled.set()
        await self.answers.wait()
        return Answer(Outcome.RECALLED)


@pytest_asyncio.fixture
async def store(postgres: PostgresStore) -> AsyncGenerator[Store]:
    pool = await postgres.pool("bp_payments")
    yield Store(pool)
    await pool.close()


@pytest_asyncio.fixture
async def bank(postgres: PostgresStore) -> AsyncGenerator[LedgerBank]:
    bank = LedgerBank(postgres)
    yield bank
    await bank.close()


async def _debited(store: Store, driver: Driver, holder: Holder) -> Transfer:
    transfer, _ = await debit(store, order_of(holder), driver.lease())
    return transfer


async def test_a_confirmed_recall_that_comes_after_another_worker_saw_it_accepted_is_not_lost(
    store: Store, bank: LedgerBank
) -> None:
    holder, house = await bank.open_holder(5_00), _House()
    slow, quick = (Driver(store, cast("AchClient", house), f"test/{n}") for n in range(2))
    made = await _debited(store, slow, holder)
    unknown, _ = await slow.save(made, Fact(Event.TIMED_OUT))
    task = slow.start(unknown)
    await asyncio.wait_for(house.recalled.wait(), scaled_s(20))
    # Its lease has expired, and the other worker learns that the clearing house has the transfer.
    submitted, _ = await quick.save(unknown, Fact(Event.ACCEPTED, trace_number=TRACE))
    assert submitted.state is State.SUBMITTED
    house.answers.set()
    driven = await asyncio.wait_for(task, scaled_s(20))
    assert driven.transfer.state is State.FAILED
    assert await bank.held(holder.account_id) == (5_00, 3)


async def _lease_until(bank: LedgerBank, transfer: Transfer) -> datetime:
    write = await bank.superuser("bp_write")
    until: datetime | None = await write.fetchval(
        "SELECT lease_until FROM payments.interbank_transfer WHERE transfer_id = $1",
        transfer.transfer_id,
    )
    assert until is not None
    return until


class _Inconsistent:
    """A clearing house whose answers disagree: only the recall says that the transfer was sent."""

    def __init__(self, to_query: Answer) -> None:
        self.to_query = to_query
        self.asked = 0

    async def submit(self, _transfer: Transfer) -> Answer:
        """Fail: the transfer must not be submitted again."""
        raise AssertionError

    async def query(self, _transfer: Transfer) -> Answer:
        """Contradict the recall."""
        self.asked += 1
        return self.to_query

    async def recall(self, _transfer: Transfer) -> Answer:
        """Refuse: the transfer has been sent."""
        self.asked += 1
        return Answer(Outcome.TOO_LATE, TRACE)


CONTRADICTIONS = [
    Answer(Outcome.NOT_FOUND),
    Answer(Outcome.REFUSED, reason="INVALID_ACCOUNT"),
    Answer(Outcome.ACCEPTED, trace_number="991000010000002"),
    Answer(Outcome.SETTLED, trace_number="991000010000002"),
]


@pytest.mark.parametrize("to_query", CONTRADICTIONS, ids=lambda answer: answer.outcome.name)
async def test_a_clearing_house_that_contradicts_itself_is_logged_posts_nothing_and_is_asked_later(
    store: Store, bank: LedgerBank, to_query: Answer
) -> None:
    holder, house = await bank.open_holder(5_00), _Inconsistent(to_query)
    driver = Driver(store, cast("AchClient", house), "test/0")
    made = await _debited(store, driver, holder)
    submitted, _ = await driver.save(made, Fact(Event.ACCEPTED, trace_number=TRACE))
    cancelling, _ = await driver.save(submitted, Fact(Event.CANCEL_ASKED))
    begin_time = utc_now()
    with capture_logs() as logs:
        driven = await asyncio.wait_for(driver.start(cancelling), scaled_s(20))
    end_time = utc_now()
    assert driven.transfer == cancelling
    assert house.asked <= STEPS_MAX
    errors = [entry["event"] for entry in logs if entry["log_level"] == "error"]
    assert errors == ["saga.contradiction"]
    assert await bank.held(holder.account_id) == (4_00, 2)
    asked_again = await _lease_until(bank, made)
    assert begin_time < asked_again <= end_time + timedelta(seconds=60)


class _Silent:
    """A clearing house that never answers."""

    async def submit(self, _transfer: Transfer) -> Answer:
        """Give no answer."""
        return Answer(Outcome.NO_ANSWER)

    query = recall = submit


async def test_a_transfer_that_has_to_wait_is_not_asked_about_earlier_after_an_outage(
    store: Store, bank: LedgerBank
) -> None:
    """The worker released all leases of its slot, and with them each back-off."""
    holder = await bank.open_holder(5_00)
    driver = Driver(store, cast("AchClient", _Silent()), "test/waiting")
    driven = await driver.start(await _debited(store, driver, holder))
    assert driven.transfer.state is State.OUTCOME_UNKNOWN
    until = await _lease_until(bank, driven.transfer)
    await store.release_leases("test/waiting", utc_now())
    assert await _lease_until(bank, driven.transfer) == until > utc_now() - timedelta(seconds=1)
