"""A row that another session holds does not delay debits of other accounts."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from ops.waiting import until
from services.chassis.batching import BatchLimits
from services.kernel.clock import utc_now
from services.kernel.errors import AccountBusy
from services.kernel.ids import new_id, shard_of
from services.ledger import held_orders
from services.payments.attempt import Attempt
from services.payments.rows import Debit, DebitOrder, Lease
from services.payments.store import Store
from services.payments.transfer import InterbankTransferOrder
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import Holder, LedgerBank
from tests.rigs.stores import PostgresStore

ORDERS = 150
STATEMENTS_MAX = ORDERS // 5
"""Far fewer than one statement per order."""
LOCK_ACCOUNT = "SELECT FROM ledger.account WHERE account_id = $1 FOR UPDATE"
CANCEL_LOOK = """
SELECT pg_cancel_backend(pid)
FROM (
    SELECT pid FROM pg_stat_activity
    WHERE usename = 'bp_payments' AND wait_event_type = 'Lock'
      AND query LIKE '%holders_of_accounts%'
    OFFSET 0
) AS looking
"""
"""Cancels the statement as a timeout would."""
LOOKS = 3
TAKE_KEY = "INSERT INTO payments.idempotency_key VALUES ($1, $2, $3, $4, $5)"


class Noting(Store):
    """Counts its batches and notes the debits that ran alone."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool, BatchLimits(interval_s=0.05))
        self.batches = 0
        self.alone: list[DebitOrder] = []

    async def _debit_each(self, orders: Sequence[DebitOrder]) -> Any:
        self.batches += 1
        return await super()._debit_each(orders)

    async def _debit_alone(self, order: DebitOrder, attempt: Attempt) -> Debit:
        self.alone.append(order)
        return await super()._debit_alone(order, attempt)


@pytest_asyncio.fixture
async def noting(postgres: PostgresStore) -> AsyncGenerator[Noting]:
    """A store that notes its statements."""
    pool = await postgres.pool("bp_payments")
    yield Noting(pool)
    await pool.close()


@pytest_asyncio.fixture
async def locker(postgres: PostgresStore) -> AsyncGenerator[asyncpg.Connection]:
    """Another session."""
    locker = await postgres.session("postgres")
    yield locker
    await locker.close()


async def _outcome_of(
    store: Store, order: InterbankTransferOrder, attempt: Attempt | None = None
) -> str:
    _, made = await debit(store, order, Lease("test/0", utc_now()), attempt)
    return made.outcome


async def _outcome(store: Store, holder: Holder, attempt: Attempt | None = None) -> str:
    return await _outcome_of(store, order_of(holder), attempt)


async def _until_waiting(noting: Noting, orders: int) -> None:
    async def all_wait() -> bool:
        return noting._held.waiting == orders

    await until(all_wait, 20, "the orders wait for their account")


async def test_only_the_debits_of_a_held_account_leave_the_batch(
    noting: Noting, bank: LedgerBank, locker: asyncpg.Connection
) -> None:
    """One locked row made 109 of 118 debits of other accounts time out."""
    holder = await bank.open_holder(10_00)
    others = [await bank.open_holder(10_00) for _ in range(20)]
    async with locker.transaction():
        await locker.execute(LOCK_ACCOUNT, holder.account_id)
        held = [asyncio.create_task(_outcome(noting, holder)) for _ in range(3)]
        free = await asyncio.gather(*(_outcome(noting, other) for other in others))
        assert free == ["DEBITED"] * 20
        ends = await asyncio.gather(*held, return_exceptions=True)
        assert [type(end) for end in ends] == [AccountBusy] * 3
    assert noting.alone == []
    assert await _outcome(noting, holder) == "DEBITED"


async def test_only_the_debit_of_a_held_key_leaves_the_batch(
    noting: Noting, bank: LedgerBank, locker: asyncpg.Connection
) -> None:
    """Previously, every debit of the batch ran alone and waited for the debit with the key."""
    order = order_of(await bank.open_holder(10_00))
    others = [await bank.open_holder(10_00) for _ in range(20)]
    key = (shard_of(order.account_id), order.customer_id, order.idempotency_key)
    async with locker.transaction():
        await locker.execute(TAKE_KEY, *key, order.fingerprint, new_id())
        held = asyncio.create_task(_outcome_of(noting, order))
        free = await asyncio.gather(*(_outcome(noting, other) for other in others))
        assert free == ["DEBITED"] * 20
        with pytest.raises(AccountBusy):
            await held
        await locker.execute("DELETE FROM payments.idempotency_key WHERE customer_id = $1", key[1])
    assert noting.alone == []
    assert await _outcome_of(noting, order) == "DEBITED"


async def test_a_short_hold_of_an_account_refuses_nothing_and_costs_few_statements(
    noting: Noting,
    bank: LedgerBank,
    locker: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Previously, when the bank's own commit took 0.4 s, each debit of the account waited alone."""
    monkeypatch.setattr(held_orders, "PATIENCE_S", 60.0)
    holder = await bank.open_holder(ORDERS * 1_00)
    async with locker.transaction():
        await locker.execute(LOCK_ACCOUNT, holder.account_id)
        paid = [asyncio.create_task(_outcome(noting, holder)) for _ in range(ORDERS)]
        await _until_waiting(noting, ORDERS)
    assert await asyncio.gather(*paid) == ["DEBITED"] * ORDERS
    assert noting.alone == []
    assert noting.batches <= STATEMENTS_MAX
    assert await bank.held(holder.account_id) == (0, ORDERS + 1)


async def test_an_order_that_nobody_waits_for_is_not_debited_when_its_account_is_free(
    noting: Noting, bank: LedgerBank, locker: asyncpg.Connection
) -> None:
    holder = await bank.open_holder(2_00)
    async with locker.transaction():
        await locker.execute(LOCK_ACCOUNT, holder.account_id)
        paid = [asyncio.create_task(_outcome(noting, holder)) for _ in range(2)]
        await _until_waiting(noting, len(paid))
        paid[0].cancel()
        await asyncio.gather(paid[0], return_exceptions=True)
    assert await paid[1] == "DEBITED"
    await noting.settle()
    assert await bank.held(holder.account_id) == (1_00, 2)


@pytest.mark.parametrize(
    "look", ["ledger.holders_of_accounts('{}')", "payments.held_keys('{}', '{}')"]
)
async def test_a_look_for_held_rows_waits_for_no_disk_and_no_standby(
    locker: asyncpg.Connection, look: str
) -> None:
    """Otherwise it would wait like slow commits, and hold rows while it waits."""
    async with locker.transaction():
        await locker.execute(f"SELECT {look}")
        assert await locker.fetchval("SHOW synchronous_commit") == "off"
    assert await locker.fetchval("SHOW synchronous_commit") == "on"


async def test_orders_wait_together_while_the_database_cannot_say_which_rows_are_held(
    noting: Noting,
    bank: LedgerBank,
    locker: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Previously, if a stall ended the lookup, each waiting order ran in a separate statement."""
    monkeypatch.setattr(held_orders, "PATIENCE_S", 60.0)
    holder = await bank.open_holder(ORDERS * 1_00)
    operator = await bank.superuser("bp_write")
    async with locker.transaction():
        await locker.execute("LOCK TABLE ledger.account IN ACCESS EXCLUSIVE MODE")
        paid = [asyncio.create_task(_outcome(noting, holder)) for _ in range(ORDERS)]
        await _until_waiting(noting, ORDERS)

        async def look_is_cancelled() -> bool:
            return bool(await operator.fetch(CANCEL_LOOK))

        for _ in range(LOOKS):
            await until(look_is_cancelled, 20, "a lookup waits for the table")
    assert await asyncio.gather(*paid) == ["DEBITED"] * ORDERS
    assert noting.alone == []


async def test_orders_whose_lock_no_look_finds_are_refused_when_their_patience_ends(
    noting: Noting, bank: LedgerBank, locker: asyncpg.Connection
) -> None:
    """Previously, a round finished its batches first, and orders were refused after three seconds.

    Each failed batch waits a quarter of a second, so few fit into the time that an order waits.
    """
    holders = [await bank.open_holder(10_00) for _ in range(12)]
    async with locker.transaction():
        await locker.execute("LOCK TABLE payments.interbank_transfer IN ACCESS EXCLUSIVE MODE")
        debits = (_outcome(noting, holder) for holder in holders)
        ends = await asyncio.gather(*debits, return_exceptions=True)
    assert [type(end) for end in ends] == [AccountBusy] * 12
    assert noting.batches <= 1 + held_orders.PATIENCE_S / 0.25 + 1


async def test_orders_that_only_wait_for_their_turn_are_not_busy(
    noting: Noting, bank: LedgerBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a slow database, most orders were refused although no session held their rows."""
    monkeypatch.setattr(held_orders, "PATIENCE_S", 0.0)
    monkeypatch.setattr(held_orders, "ROUND_S_MAX", 0.0)
    monkeypatch.setattr(noting._held, "remembers", lambda _: True)
    monkeypatch.setattr(noting._held, "_items_max", 2)
    holder = await bank.open_holder(8_00)
    paid = [asyncio.create_task(_outcome(noting, holder)) for _ in range(8)]
    await asyncio.sleep(0)
    assert noting._held.waiting == len(paid)
    paid[-1].cancel()
    ends = await asyncio.gather(*paid, return_exceptions=True)
    assert ends[:-1] == ["DEBITED"] * 7
    assert isinstance(ends[-1], asyncio.CancelledError)
    assert noting.batches == 4
    assert noting._held.waiting == 0
    assert noting.alone == []
    assert await bank.held(holder.account_id) == (1_00, 8)


async def test_an_order_whose_caller_gives_up_before_its_turn_leaves_the_queue(
    noting: Noting, bank: LedgerBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its caller's deadline bounds its wait, so nothing of it may stay in memory."""
    monkeypatch.setattr(held_orders, "ROUND_S_MAX", 0.0)
    monkeypatch.setattr(noting._held, "_items_max", 1)
    monkeypatch.setattr(noting._held, "remembers", lambda _: True)
    holder = await bank.open_holder(3_00)
    attempts = [Attempt() for _ in range(3)]
    paid = [asyncio.create_task(_outcome(noting, holder, attempt)) for attempt in attempts]
    await asyncio.sleep(0)
    assert noting._held.waiting == len(paid)
    assert attempts[-1].abandon()
    ends = await asyncio.gather(*paid, return_exceptions=True)
    assert ends[:-1] == ["DEBITED"] * 2
    assert isinstance(ends[-1], asyncio.CancelledError)
    assert noting._held.waiting == 0
    assert await bank.held(holder.account_id) == (1_00, 3)
