"""Drivers beside each other, and one whose clearing house contradicts itself: nothing is lost."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from ops.waiting import scaled_s
from services.chassis.postgres import load_queries
from services.kernel.clock import utc_now
from services.kernel.ids import new_id, shard_of
from services.payments import mapping
from services.payments.driver import STEPS_MAX, Driver
from services.payments.partners.ach import AchClient
from services.payments.saga import Answer, Outcome
from services.payments.state import Event, State
from services.payments.store import Store
from services.payments.transfer import Fact, Transfer, debited
from tests.integration.payments.orders import order_of
from tests.rigs.ledger_bank import Holder, LedgerBank
from tests.rigs.stores import PostgresStore

QUERIES = Path(mapping.__file__).parent / "sql" / "queries.sql"
TRACE = "991000010000001"


class _House:
    """A clearing house that got the submission after all, between a query and the recall."""

    def __init__(self) -> None:
        self.recalled = asyncio.Event()
        self.answers = asyncio.Event()

    async def submit(self, _transfer: Transfer) -> Answer:
        """Nobody hands it over again."""
        raise AssertionError

    async def query(self, _transfer: Transfer) -> Answer:
        """It has not arrived yet."""
        return Answer(Outcome.NOT_FOUND)

    async def recall(self, _transfer: Transfer) -> Answer:
        """Cancel it; the first answer is long on its way."""
        self.recalled.set()
        await self.answers.wait()
        return Answer(Outcome.RECALLED)


@pytest_asyncio.fixture
async def store(postgres: PostgresStore) -> AsyncGenerator[Store]:
    pool = await postgres.pool("bp_payments")
    yield Store(pool, load_queries(QUERIES))
    await pool.close()


@pytest_asyncio.fixture
async def bank(postgres: PostgresStore) -> AsyncGenerator[LedgerBank]:
    bank = LedgerBank(postgres)
    yield bank
    await bank.close()


async def _debited(store: Store, driver: Driver, holder: Holder) -> Transfer:
    order = order_of(holder)
    transfer_id = new_id(shard_of(order.account_id))
    made = debited(order, transfer_id, fraud_review=False, now=utc_now())
    await store.debit(order, made, driver.lease())
    return made


async def test_a_confirmed_recall_that_comes_after_another_worker_saw_it_accepted_is_not_lost(
    store: Store, bank: LedgerBank
) -> None:
    holder, house = await bank.open_holder(5_00), _House()
    slow, quick = (Driver(store, cast("AchClient", house), f"test/{n}") for n in range(2))
    made = await _debited(store, slow, holder)
    unknown, _ = await slow.save(made, Fact(Event.TIMED_OUT))
    task = slow.start(unknown)
    await asyncio.wait_for(house.recalled.wait(), scaled_s(20))
    # Its lease is over; the other worker hears that the clearing house has it.
    submitted, _ = await quick.save(unknown, Fact(Event.ACCEPTED, trace_number=TRACE))
    assert submitted.state is State.SUBMITTED
    house.answers.set()
    driven = await asyncio.wait_for(task, scaled_s(20))
    assert driven.transfer.state is State.CANCELLED
    assert await bank.held(holder.account_id) == (5_00, 3)


class _TwoMinds:
    """A clearing house that sent what it was asked to recall, and says otherwise when asked."""

    def __init__(self, told: Answer) -> None:
        self.told = told
        self.asked = 0

    async def submit(self, _transfer: Transfer) -> Answer:
        """Nobody hands it over again."""
        raise AssertionError

    async def query(self, _transfer: Transfer) -> Answer:
        """Say what cannot be."""
        self.asked += 1
        return self.told

    async def recall(self, _transfer: Transfer) -> Answer:
        """It has gone."""
        self.asked += 1
        return Answer(Outcome.TOO_LATE, TRACE)


CONTRADICTIONS = [
    Answer(Outcome.NOT_FOUND),
    Answer(Outcome.REFUSED, reason="INVALID_ACCOUNT"),
    Answer(Outcome.ACCEPTED, trace_number="991000010000002"),
    Answer(Outcome.SETTLED, trace_number="991000010000002"),
]


@pytest.mark.parametrize("told", CONTRADICTIONS, ids=lambda told: told.outcome.name)
async def test_a_clearing_house_that_contradicts_itself_is_told_posts_nothing_and_is_asked_later(
    store: Store, bank: LedgerBank, told: Answer
) -> None:
    holder, house = await bank.open_holder(5_00), _TwoMinds(told)
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
    errors = [one["event"] for one in logs if one["log_level"] == "error"]
    assert errors == ["saga.contradiction"]
    assert await bank.held(holder.account_id) == (4_00, 2)
    write = await bank.superuser("bp_write")
    asked_again: datetime | None = await write.fetchval(
        "SELECT lease_until FROM payments.interbank_transfer WHERE transfer_id = $1",
        made.transfer_id,
    )
    assert asked_again is not None
    assert begin_time < asked_again <= end_time + timedelta(seconds=60)
