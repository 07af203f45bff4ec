"""The worker that asks the clearing house about a transfer has the transfer's lease."""

import asyncio
import uuid
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from services.kernel.clock import utc_now
from services.kernel.ids import new_id
from services.payments import mapping
from services.payments.driver import LEASE_S, Driver
from services.payments.partners.ach import AchClient
from services.payments.rows import plain_step
from services.payments.saga import Answer, Outcome
from services.payments.state import Event, State
from services.payments.store import Store
from services.payments.transfer import Fact, Requester, Transfer, after
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.stores import PostgresStore

LEASE = "SELECT lease_owner, lease_until FROM payments.interbank_transfer WHERE transfer_id = $1"
CLAIM = """
UPDATE payments.interbank_transfer SET lease_owner = $2, lease_until = $3 WHERE transfer_id = $1
"""


class _House:
    """A clearing house that does not know the transfer, and recalls it."""

    def __init__(self, bank: LedgerBank) -> None:
        self._bank = bank
        self.asked: list[str] = []
        self.leases: list[tuple[str, datetime]] = []
        """The transfer's lease at each question."""
        self.claimed: tuple[str, datetime] | None = None
        """The lease of a worker that claims the transfer while the query has no answer."""

    async def _note(self, question: str, transfer: Transfer) -> None:
        self.asked.append(question)
        self.leases.append(await lease_of(self._bank, transfer))

    async def query(self, transfer: Transfer) -> Answer:
        """Answer that the transfer is unknown, so that the worker recalls it."""
        await self._note("query", transfer)
        if self.claimed is not None:
            write = await self._bank.superuser("bp_write")
            await write.execute(CLAIM, transfer.transfer_id, *self.claimed)
        return Answer(Outcome.NOT_FOUND)

    async def recall(self, transfer: Transfer) -> Answer:
        """Confirm the recall."""
        await self._note("recall", transfer)
        return Answer(Outcome.RECALLED)

    submit = None


class _Slow(_House):
    """A clearing house that answers the first query only when it is told to."""

    def __init__(self, bank: LedgerBank, answer: Answer) -> None:
        super().__init__(bank)
        self._answer = answer
        self.is_asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def query(self, transfer: Transfer) -> Answer:
        """Give the answer of the test."""
        await self._note("query", transfer)
        self.is_asked.set()
        await self.may_answer.wait()
        return self._answer


async def lease_of(bank: LedgerBank, transfer: Transfer) -> tuple[str, datetime]:
    write = await bank.superuser("bp_write")
    row: Any = await write.fetchrow(LEASE, transfer.transfer_id)
    return row["lease_owner"], row["lease_until"]


@pytest.fixture
def slot() -> str:
    """A slot that no other test uses."""
    return f"test/{uuid.uuid4().hex}"


def driver_of(store: Store, house: _House, slot: str) -> Driver:
    return Driver(store, cast("AchClient", house), slot)


async def debited(store: Store, bank: LedgerBank, driver: Driver) -> Transfer:
    transfer, _ = await debit(store, order_of(await bank.open_holder(5_00)), driver.lease())
    return transfer


@pytest.mark.parametrize("requester", Requester)
async def test_the_worker_that_cancels_a_transfer_has_its_lease(
    store: Store, bank: LedgerBank, slot: str, requester: Requester
) -> None:
    """Previously the lease kept its owner. After a kill of the worker that cancelled, its next
    process did not continue the transfer, which waited until the lease expired."""
    house = _House(bank)
    first, other = (driver_of(store, house, f"{slot}/{name}") for name in ("first", "other"))
    made = await debited(store, bank, first)
    cancelling, _ = await other.save(made, Fact(Event.CANCEL_ASKED, requester=requester))
    assert cancelling.state is State.CANCELLING
    owner, until = await lease_of(bank, made)
    assert owner == f"{slot}/other"
    # The next process of a slot ends the leases of the previous one.
    await store.release_leases(f"{slot}/first", utc_now())
    assert await lease_of(bank, made) == (owner, until)
    now = utc_now()
    await store.release_leases(f"{slot}/other", now)
    assert await lease_of(bank, made) == (owner, now)


async def test_a_worker_renews_its_lease_for_each_further_question(
    store: Store, bank: LedgerBank, slot: str
) -> None:
    """Previously one lease covered up to four questions, which can take longer than the lease."""
    house = _House(bank)
    driver = driver_of(store, house, slot)
    unknown, _ = await driver.save(await debited(store, bank, driver), Fact(Event.TIMED_OUT))
    driven = await driver.start(unknown)
    assert driven.transfer.state is State.FAILED
    assert house.asked == ["query", "recall"]
    assert [owner for owner, _ in house.leases] == [slot, slot]
    assert house.leases[1][1] > house.leases[0][1]
    # Nothing remains to be asked, so the transfer has no lease.
    assert (await lease_of(bank, unknown))[0] == ""


async def test_a_worker_that_lost_its_lease_asks_no_further_question(
    store: Store, bank: LedgerBank, slot: str
) -> None:
    house = _House(bank)
    driver = driver_of(store, house, slot)
    unknown, _ = await driver.save(await debited(store, bank, driver), Fact(Event.TIMED_OUT))
    house.claimed = (f"{slot}/other", utc_now() + timedelta(seconds=LEASE_S))
    driven = await driver.start(unknown)
    assert driven.transfer == unknown
    assert house.asked == ["query"]
    # The other worker keeps its lease.
    assert await lease_of(bank, unknown) == house.claimed


BATCH = "SELECT event_id IS NOT NULL FROM payments.advance_group($1::payments.plain_step[])"
ALONE = """
SELECT advanced FROM payments.advance($1, $2, $3, $4, $5, $6, $7, $8, NULL, $9, $9, $10, $11, false,
    $12, NULL)
"""


@pytest.mark.parametrize("sql", [BATCH, ALONE], ids=["batch", "alone"])
async def test_a_step_of_the_previous_version_keeps_the_owner_of_the_lease(
    postgres: PostgresStore, store: Store, bank: LedgerBank, slot: str, sql: str
) -> None:
    """During a release, its processes call the functions with fewer arguments."""
    driver = driver_of(store, _House(bank), slot)
    made = await debited(store, bank, driver)
    moved, transition = after(made, Fact(Event.TIMED_OUT), utc_now())
    event = mapping.event_out(moved, transition.event_type, new_id())
    step, _ = plain_step(moved, event, driver.lease(), None)
    pool = await postgres.pool("bp_payments", 1)
    args = [[step]] if sql is BATCH else step
    assert await pool.fetchval(sql, *args)
    await pool.close()
    assert await lease_of(bank, made) == (slot, step.lease_until)


@pytest.mark.parametrize("outcome", [Outcome.NOT_FOUND, Outcome.NO_ANSWER])
async def test_a_worker_that_asks_about_a_transfer_continues_with_its_cancellation(
    store: Store, bank: LedgerBank, slot: str, outcome: Outcome
) -> None:
    """Previously its task ended after the question, and the transfer waited for the lease."""
    house = _Slow(bank, Answer(outcome))
    driver = driver_of(store, house, slot)
    unknown, _ = await driver.save(await debited(store, bank, driver), Fact(Event.TIMED_OUT))
    driver.start(unknown)
    await house.is_asked.wait()
    asked = Fact(Event.CANCEL_ASKED, requester=Requester.CUSTOMER)
    cancelling, _ = await driver.save(unknown, asked)
    running = driver.start(cancelling)
    house.may_answer.set()
    assert (await running).transfer.state is State.CANCELLED
    assert house.asked == ["query", "recall"]
