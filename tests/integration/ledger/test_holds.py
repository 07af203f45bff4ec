"""The holder of a busy account changes; a held account keeps the same holder."""

from collections.abc import Awaitable, Callable, Collection
from uuid import UUID

import asyncpg

from services.ledger.holds import Holds, Key, Locks
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.stores import PostgresStore

LOCK = "SELECT FROM ledger.account WHERE account_id = $1 FOR NO KEY UPDATE"
HELD_KEYS = "SELECT payments.held_keys($1::uuid[], $2::text[])"


class _Interrupted(Holds):
    """Does something after it next checks the accounts."""

    then: Callable[[], Awaitable[None]] | None = None

    async def _holders_among(self, account_ids: Collection[UUID]) -> dict[UUID, int]:
        found = await super()._holders_among(account_ids)
        then, self.then = self.then, None
        if then is not None:
            await then()
        return found


async def test_an_account_whose_holder_changes_is_busy_and_not_held(
    postgres: PostgresStore,
) -> None:
    bank, pool = LedgerBank(postgres), await postgres.pool("bp_payments")
    holds = _Interrupted(pool, HELD_KEYS)
    holder, free = await bank.open_holder(), await bank.open_holder()
    accounts = [holder.account_id, free.account_id]
    locks = Locks((holder.account_id,), Key(holder.customer_id, "key"))
    first: asyncpg.Connection = await postgres.session("postgres")
    second: asyncpg.Connection = await postgres.session("postgres")
    transaction = first.transaction()
    await transaction.start()
    await first.execute(LOCK, holder.account_id)
    async with second.transaction():

        async def change_hands() -> None:
            await transaction.rollback()
            await second.execute(LOCK, holder.account_id)

        holds.then = change_hands
        assert await holds.accounts_among(accounts) == frozenset()
        assert not holds.remembers(locks)
        assert await holds.accounts_among(accounts) == {holder.account_id}
        assert holds.remembers(locks)
    assert await holds.accounts_among(accounts) == frozenset()
    assert not holds.remembers(locks), "an account that is free again is forgotten immediately"
    for session in (first, second):
        await session.close()
    await bank.close()
    await pool.close()
