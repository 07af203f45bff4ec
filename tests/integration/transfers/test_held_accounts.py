"""An account that another session holds delays no transfer of other accounts."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from services.kernel.errors import AccountBusy
from services.transfers.store import Request, Store
from tests.integration.transfers.test_batches import TOGETHER, burst, order_of, pool, transfer
from tests.rigs.ledger_bank import Holder, LedgerBank

__all__ = ["pool"]


class Noting(Store):
    """Notes the requests that left their batch."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool, TOGETHER)
        self.alone: list[Request] = []

    async def _post_alone(self, request: Request) -> Any:
        self.alone.append(request)
        return await super()._post_alone(request)


@asynccontextmanager
async def _held(bank: LedgerBank, holder: Holder) -> AsyncGenerator[None]:
    locker = await bank.postgres.session("postgres")
    try:
        async with locker.transaction():
            sql = "SELECT FROM ledger.account WHERE account_id = $1 FOR UPDATE"
            await locker.execute(sql, holder.account_id)
            yield
    finally:
        await locker.close()


@pytest.mark.parametrize("side", ["payer", "payee"])
async def test_only_the_transfers_of_a_held_account_leave_the_batch(
    pool: asyncpg.Pool, bank: LedgerBank, side: str
) -> None:
    """Every transfer of the batch was retried alone, for up to five seconds each."""
    store, holder, other = Noting(pool), await bank.open_holder(10_00), await bank.open_holder()
    pair = (holder, other) if side == "payer" else (await bank.open_holder(10_00), holder)
    held = [transfer(*pair, 10) for _ in range(3)]
    free = [transfer(await bank.open_holder(10_00), other, 20) for _ in range(20)]
    async with _held(bank, holder):
        answers = await burst(store, bank, [(one, order_of(one)) for one in (*held, *free)])
        assert [type(one) for one in answers[:3]] == [AccountBusy] * 3
        assert answers[3:] == [one.transfer_id.bytes for one in free]
        assert {one.transfer_id for one in store.alone} == {one.transfer_id for one in held}
    (posted,) = await burst(store, bank, [(held[0], order_of(held[0]))])
    assert posted == held[0].transfer_id.bytes
