"""A row that another session holds does not delay transfers of other accounts."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from ops.waiting import until
from services.kernel.errors import AccountBusy
from services.kernel.ids import new_id, shard_of
from services.ledger import held_orders
from services.transfers.store import Request, Store
from tests.integration.transfers.test_batches import (
    TOGETHER,
    burst,
    order_of,
    pool,
    post,
    transfer,
)
from tests.rigs.ledger_bank import Holder, LedgerBank

__all__ = ["pool"]

ORDERS = 150
STATEMENTS_MAX = ORDERS // 5
"""Far fewer than one statement per order."""
LOCK_ACCOUNT = "SELECT FROM ledger.account WHERE account_id = $1 FOR UPDATE"
TAKE_KEY = "INSERT INTO payments.idempotency_key VALUES ($1, $2, $3, $4, $5)"


class Noting(Store):
    """Counts its batches and notes the requests that were posted alone."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool, TOGETHER)
        self.batches = 0
        self.alone: list[Request] = []

    async def _post_each(self, requests: Sequence[Request]) -> list[Any]:
        self.batches += 1
        return await super()._post_each(requests)

    async def _post_alone(self, request: Request) -> Any:
        self.alone.append(request)
        return await super()._post_alone(request)


@asynccontextmanager
async def _held(bank: LedgerBank, sql: str, *values: object) -> AsyncGenerator[None]:
    """Let another session run a statement and keep its transaction open."""
    locker = await bank.postgres.session("postgres")
    try:
        transaction = locker.transaction()
        await transaction.start()
        await locker.execute(sql, *values)
        yield
        await transaction.rollback()
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
    async with _held(bank, LOCK_ACCOUNT, holder.account_id):
        answers = await burst(store, bank, [(one, order_of(one)) for one in (*held, *free)])
        assert [type(one) for one in answers[:3]] == [AccountBusy] * 3
        assert answers[3:] == [one.transfer_id.bytes for one in free]
        assert store.alone == []
    (posted,) = await burst(store, bank, [(held[0], order_of(held[0]))])
    assert posted == held[0].transfer_id.bytes


def _lock_order(holder: Holder) -> tuple[int, Any]:
    return shard_of(holder.account_id), holder.account_id


async def test_a_held_payer_locks_no_payee_for_other_payers(
    pool: asyncpg.Pool, bank: LedgerBank
) -> None:
    """Previously, a transfer of the held payer locked the payee and waited a second, repeatedly,
    so other payers of this payee were refused."""
    store, holders = Noting(pool), [await bank.open_holder(10_00) for _ in range(2)]
    payee, payer = sorted(holders, key=_lock_order)
    others = [await bank.open_holder(10_00) for _ in range(20)]
    async with _held(bank, LOCK_ACCOUNT, payer.account_id):
        waiting: list[asyncio.Task[bytes]] = []
        answers: list[bytes] = []
        while not waiting or not waiting[0].done():
            stuck = transfer(payer, payee, 10)
            waiting.append(asyncio.create_task(post(store, stuck, order_of(stuck))))
            made = [transfer(one, payee, 1) for one in others]
            answers += await asyncio.gather(*(post(store, one, order_of(one)) for one in made))
        ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(end) for end in ends} == {AccountBusy}
    assert store.alone == []
    assert await bank.held(payee.account_id) == (10_00 + len(answers), 1 + len(answers))


async def test_only_the_transfer_of_a_held_key_leaves_the_batch(
    pool: asyncpg.Pool, bank: LedgerBank
) -> None:
    """Previously, every transfer of the batch was posted alone, and some were refused."""
    store, payee, payer = Noting(pool), await bank.open_holder(), await bank.open_holder(10_00)
    made = transfer(payer, payee, 10)
    order = order_of(made)
    free = [transfer(await bank.open_holder(10_00), payee, 20) for _ in range(20)]
    calls = [(made, order), *((one, order_of(one)) for one in free)]
    key = (shard_of(payer.customer_id), payer.customer_id, order.idempotency_key)
    async with _held(bank, TAKE_KEY, *key, order.fingerprint, new_id()):
        refused, *answers = await burst(store, bank, calls)
        assert isinstance(refused, AccountBusy)
        assert answers == [one.transfer_id.bytes for one in free]
        assert store.alone == []
    assert await post(store, made, order) == made.transfer_id.bytes


async def test_a_short_hold_of_a_payee_refuses_nothing_and_costs_few_statements(
    pool: asyncpg.Pool, bank: LedgerBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Previously, when the bank's commit took 0.4 s, each transfer to the payee waited alone."""
    monkeypatch.setattr(held_orders, "PATIENCE_S", 60.0)
    store, payer, payee = Noting(pool), await bank.open_holder(10_00), await bank.open_holder()
    made = [transfer(payer, payee, 1) for _ in range(ORDERS)]
    async with _held(bank, LOCK_ACCOUNT, payee.account_id):
        posted = [asyncio.create_task(post(store, one, order_of(one))) for one in made]

        async def all_wait() -> bool:
            return store._held.waiting == ORDERS

        await until(all_wait, 20, "all transfers wait for the payee")
    assert await asyncio.gather(*posted) == [one.transfer_id.bytes for one in made]
    assert store.alone == []
    assert store.batches <= STATEMENTS_MAX
    assert await bank.held(payee.account_id) == (ORDERS, ORDERS)
