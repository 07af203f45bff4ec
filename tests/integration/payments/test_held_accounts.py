"""An account that another session holds delays no debit of other accounts."""

import asyncio
import uuid

import asyncpg

from services.chassis.batching import BatchLimits
from services.kernel.clock import utc_now
from services.kernel.errors import AccountBusy
from services.payments.attempt import Attempt
from services.payments.rows import Debit, DebitOrder, Lease
from services.payments.store import Store
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import Holder, LedgerBank
from tests.rigs.stores import PostgresStore


class Noting(Store):
    """Notes the accounts of the debits that left their batch."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool, BatchLimits(interval_s=0.05))
        self.alone: list[uuid.UUID] = []

    async def _debit_alone(self, order: DebitOrder, attempt: Attempt) -> Debit:
        self.alone.append(order.account_id)
        return await super()._debit_alone(order, attempt)


async def _outcome(store: Store, holder: Holder) -> str:
    _, made = await debit(store, order_of(holder), Lease("test/0", utc_now()))
    return made.outcome


async def test_only_the_debits_of_a_held_account_leave_the_batch(
    postgres: PostgresStore, bank: LedgerBank
) -> None:
    """One locked row made 109 of 118 debits of other accounts time out."""
    pool = await postgres.pool("bp_payments")
    store = Noting(pool)
    holder = await bank.open_holder(10_00)
    others = [await bank.open_holder(10_00) for _ in range(20)]
    locker = await postgres.session("postgres")
    async with locker.transaction():
        sql = "SELECT FROM ledger.account WHERE account_id = $1 FOR UPDATE"
        await locker.execute(sql, holder.account_id)
        held = [asyncio.create_task(_outcome(store, holder)) for _ in range(3)]
        free = await asyncio.gather(*(_outcome(store, other) for other in others))
        assert free == ["DEBITED"] * 20
        ends = await asyncio.gather(*held, return_exceptions=True)
        assert [type(end) for end in ends] == [AccountBusy] * 3
    assert set(store.alone) == {holder.account_id}
    assert await _outcome(store, holder) == "DEBITED"
    await locker.close()
    await pool.close()
