"""If another session holds a transfer's row, no other transfer waits and no process ends."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from datetime import timedelta

import asyncpg
import pytest
import pytest_asyncio

from ops.waiting import scaled_s, until
from services.chassis.batching import BatchLimits
from services.kernel.clock import utc_now
from services.kernel.errors import AccountBusy
from services.kernel.ids import new_id
from services.payments import mapping
from services.payments.driver import LEASE_S, Driver
from services.payments.partners.ach import AchClient
from services.payments.rows import Lease
from services.payments.state import Event, State
from services.payments.store import Store
from services.payments.transfer import Fact, Transfer, after
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.stores import PostgresStore


class _Noting(Store):
    """Notes the transfers with a step that was saved outside its batch."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool, BatchLimits(interval_s=0.05))
        self.alone: list[object] = []

    async def _advance_alone(self, *step: object) -> tuple[bool, bytes | None]:
        self.alone.append(step[0])
        return await super()._advance_alone(*step)


class _Held:
    """Some transfers of one worker; another session holds the row of the first."""

    def __init__(self, store: _Noting, slot: str, transfers: list[Transfer]) -> None:
        self.store, self.slot = store, slot
        self.all = transfers
        self.first = transfers[0]

    async def hold(self, locker: asyncpg.Connection) -> None:
        """Hold the row until `let_go`, or until the session ends."""
        self._transaction = locker.transaction()
        await self._transaction.start()
        sql = "SELECT FROM payments.interbank_transfer WHERE transfer_id = $1 FOR UPDATE"
        await locker.execute(sql, self.first.transfer_id)

    async def let_go(self) -> None:
        """End the transaction that holds the row."""
        await self._transaction.rollback()


@pytest_asyncio.fixture
async def held(postgres: PostgresStore, bank: LedgerBank) -> AsyncGenerator[_Held]:
    """Sessions that wait for a lock forever, except where a function limits the wait."""
    pool = await postgres.pool("bp_payments")
    sessions = [await pool.acquire() for _ in range(pool.get_size())]
    for session in sessions:
        await session.execute("SET lock_timeout = 0; SET statement_timeout = 0")
        await pool.release(session)
    store, slot = _Noting(pool), f"test/{uuid.uuid4().hex}"
    lease = Lease(slot, utc_now() + timedelta(seconds=LEASE_S))
    made = [await debit(store, order_of(await bank.open_holder(5_00)), lease) for _ in range(4)]
    held = _Held(store, slot, [transfer for transfer, _ in made])
    locker = await postgres.session("postgres")
    await held.hold(locker)
    yield held
    await locker.close()
    await pool.close()


async def _step(store: Store, transfer: Transfer) -> bool:
    trace = f"9912{transfer.transfer_id.int % 10**11:011d}"
    moved, transition = after(transfer, Fact(Event.ACCEPTED, trace_number=trace), utc_now())
    event = mapping.event_out(moved, transition.event_type, new_id())
    saved, _ = await store.advance(moved, transition, event, Lease("", utc_now()))
    return saved


async def test_only_the_step_of_a_held_transfer_leaves_its_batch(held: _Held) -> None:
    """Previously, the others waited for it for five seconds, and then each was saved alone."""
    steps = [asyncio.create_task(_step(held.store, one)) for one in held.all]
    saved = await asyncio.wait_for(asyncio.gather(*steps[1:]), scaled_s(20))
    assert saved == [True] * 3
    with pytest.raises(AccountBusy):
        await steps[0]
    assert held.store.alone == [held.first.transfer_id]


async def test_the_lease_of_a_held_transfer_keeps_no_other_lease(
    held: _Held, unreachable: AchClient
) -> None:
    driver = Driver(held.store, unreachable, held.slot)

    async def resumed(transfers: list[Transfer]) -> bool:
        # One call claims a limited number of transfers, and other tests may have left some behind.
        await asyncio.wait_for(driver.resume(), scaled_s(20))
        return all(driver.running(one.transfer_id) is not None for one in transfers)

    await until(lambda: resumed(held.all[1:]), 20, "the others continue")
    assert driver.running(held.first.transfer_id) is None
    await held.let_go()
    await until(lambda: resumed(held.all[:1]), 20, "a later attempt releases the lease")
    await driver.drain(scaled_s(20))


async def test_a_held_transfer_ends_no_lease_that_began_later(
    held: _Held, bank: LedgerBank, unreachable: AchClient
) -> None:
    """Previously, each round ended the leases of the transfers that the worker was running."""
    driver = Driver(held.store, unreachable, held.slot)
    made = await debit(held.store, order_of(await bank.open_holder(5_00)), driver.lease())
    await asyncio.wait_for(driver.resume(), scaled_s(20))
    assert driver.running(made[0].transfer_id) is None, "it keeps its lease"
    await held.let_go()
    await driver.drain(scaled_s(20))


async def test_a_lease_of_a_wrong_clock_ends_when_the_next_process_of_its_slot_starts(
    held: _Held, bank: LedgerBank, unreachable: AchClient
) -> None:
    """A held transfer does not keep the lease either."""
    far = Lease(held.slot, utc_now() + timedelta(minutes=5))
    made = await debit(held.store, order_of(await bank.open_holder(5_00)), far)
    driver = Driver(held.store, unreachable, held.slot)

    async def resumed() -> bool:
        await asyncio.wait_for(driver.resume(), scaled_s(20))
        return driver.running(made[0].transfer_id) is not None

    await until(resumed, 20, "the transfer continues")
    await held.let_go()
    await driver.drain(scaled_s(20))


async def test_a_held_transfer_is_postponed_by_its_lease(held: _Held) -> None:
    for one in held.all[:2]:
        postponed = held.store.postpone(one, utc_now() + timedelta(seconds=60), held.slot)
        await asyncio.wait_for(postponed, scaled_s(20))
    assert await held.store.release_leases(held.slot, utc_now()) == 1
    stored = await held.store.transfer(held.first.transfer_id)
    assert stored is not None
    assert stored.transfer.state is State.DEBITED
