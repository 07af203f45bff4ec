"""Concurrent transfers share a commit; each is posted, replayed or refused independently."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import asyncpg
import pytest
import pytest_asyncio

from ops.waiting import scaled_s
from services.chassis.batching import BatchLimits
from services.kernel.clock import utc_now
from services.kernel.errors import IdempotencyKeyReused
from services.kernel.ids import new_id, shard_of
from services.kernel.money import Money
from services.transfers.errors import InsufficientFunds
from services.transfers.state import BookTransfer, BookTransferOrder, EventOut
from services.transfers.store import Store
from tests.rigs.ledger_bank import Holder, LedgerBank

TOGETHER = BatchLimits(interval_s=0.05)
"""Long enough that the concurrent calls of a test share one batch after a first lone call."""


@pytest_asyncio.fixture(scope="module")
async def pool(bank: LedgerBank) -> AsyncIterator[asyncpg.Pool]:
    """Connections of the role bp_transfers."""
    pool = await bank.postgres.pool("bp_transfers")
    yield pool
    await pool.close()


@pytest.fixture
def store(pool: asyncpg.Pool) -> Store:
    """A store whose batches hold all concurrent calls of a test."""
    return Store(pool, TOGETHER)


def transfer(payer: Holder, payee: Holder, cents: int) -> BookTransfer:
    """A transfer that may be posted."""
    return BookTransfer(
        transfer_id=new_id(shard_of(payer.account_id)),
        customer_id=payer.customer_id,
        account_id=payer.account_id,
        destination_customer_id=payee.customer_id,
        destination_account_id=payee.account_id,
        amount=Money(cents, "USD"),
        memo="rent",
        create_time=utc_now(),
    )


def order_of(made: BookTransfer, key: str = "") -> BookTransferOrder:
    """The order of a transfer, under a fresh key unless one is given."""
    return BookTransferOrder(
        customer_id=made.customer_id,
        account_id=made.account_id,
        destination_account_id=made.destination_account_id,
        amount=made.amount,
        memo=made.memo,
        idempotency_key=key or uuid.uuid4().hex,
        fingerprint=made.memo.encode().ljust(32),
        correlation_id="request-1",
        traceparent="",
        admit_time=made.create_time,
    )


async def post(store: Store, made: BookTransfer, order: BookTransferOrder) -> bytes:
    """Post a transfer; its answer and its event have its id as their bytes."""
    event = EventOut(new_id(), made.transfer_id.bytes)
    return (await store.post(order, made, made.transfer_id.bytes, event)).response


async def burst(
    store: Store, bank: LedgerBank, calls: Sequence[tuple[BookTransfer, BookTransferOrder]]
) -> list[bytes | BaseException]:
    """Send the first call, then all others at once while the first batch is in flight."""
    first = transfer(await bank.open_holder(1), await bank.open_holder(), 1)
    lone = asyncio.create_task(post(store, first, order_of(first)))
    await asyncio.sleep(0)
    answers = await asyncio.gather(
        *(post(store, made, order) for made, order in calls), return_exceptions=True
    )
    await lone
    return answers


async def _events(bank: LedgerBank, made: BookTransfer) -> int:
    write = await bank.superuser("bp_write")
    sql = "SELECT count(*) FROM outbox.event WHERE subject = $1"
    count: int | None = await write.fetchval(sql, made.transfer_id)
    assert count is not None
    return count


async def test_transfers_of_a_batch_share_a_commit_and_each_has_its_own_event(
    store: Store, bank: LedgerBank
) -> None:
    payers = [await bank.open_holder(1_000) for _ in range(6)]
    payee = await bank.open_holder()
    made = [transfer(payer, payee, 10 + n) for n, payer in enumerate(payers)]
    answers = await burst(store, bank, [(one, order_of(one)) for one in made])
    assert answers == [one.transfer_id.bytes for one in made]
    assert await bank.held(payee.account_id) == (sum(10 + n for n in range(6)), 6)
    assert [await _events(bank, one) for one in made] == [1] * 6
    assert [await store.transfer(one.transfer_id) for one in made] == made
    write = await bank.superuser("bp_write")
    commits = await write.fetchval(
        "SELECT count(DISTINCT xmin::text) FROM transfers.book_transfer"
        " WHERE transfer_id = ANY ($1)",
        [one.transfer_id for one in made],
    )
    assert commits == 1


async def test_a_refused_transfer_leaves_nothing_and_the_others_go(
    store: Store, bank: LedgerBank
) -> None:
    rich, poor = await bank.open_holder(1_000), await bank.open_holder(5)
    good, bad = transfer(rich, poor, 100), transfer(poor, rich, 106)
    key = order_of(bad)
    refused, answered = await burst(store, bank, [(bad, key), (good, order_of(good))])
    assert isinstance(refused, InsufficientFunds)
    assert answered == good.transfer_id.bytes
    assert await store.replay(key) is None
    assert await store.transfer(bad.transfer_id) is None
    assert await _events(bank, bad) == 0
    assert await bank.held(poor.account_id) == (105, 2)


async def test_one_key_in_one_batch_is_one_transfer_and_another_payload_is_refused(
    store: Store, bank: LedgerBank
) -> None:
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    made = [transfer(payer, payee, 300) for _ in range(4)]
    other = replace(transfer(payer, payee, 300), memo="other")
    calls = [(one, order_of(one, "one-key")) for one in (*made, other)]
    *answers, reused = await burst(store, bank, calls)
    assert answers == [made[0].transfer_id.bytes] * 4
    assert isinstance(reused, IdempotencyKeyReused)
    assert await bank.held(payer.account_id) == (700, 2)


async def test_a_key_whose_first_use_in_the_batch_is_refused_is_free_for_the_second(
    store: Store, bank: LedgerBank
) -> None:
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    too_much, enough = transfer(payer, payee, 1_001), transfer(payer, payee, 400)
    calls = [(one, order_of(one, "tried-twice")) for one in (too_much, enough)]
    refused, answered = await burst(store, bank, calls)
    assert isinstance(refused, InsufficientFunds)
    assert answered == enough.transfer_id.bytes
    assert await bank.held(payer.account_id) == (600, 2)


async def test_money_received_in_a_batch_can_be_spent_in_the_same_batch(
    store: Store, bank: LedgerBank
) -> None:
    first, second, third = [await bank.open_holder(cents) for cents in (500, 0, 0)]
    made = [transfer(first, second, 500), transfer(second, third, 500)]
    assert await burst(store, bank, [(one, order_of(one)) for one in made]) == [
        one.transfer_id.bytes for one in made
    ]
    assert await bank.held(third.account_id) == (500, 1)


async def test_an_account_that_somebody_holds_holds_up_only_its_own_transfer(
    store: Store, bank: LedgerBank
) -> None:
    held, free, payee, other = [await bank.open_holder(1_000) for _ in range(4)]
    blocker = await bank.postgres.session("postgres")
    async with blocker.transaction():
        await blocker.execute(
            "SELECT FROM ledger.account WHERE account_id = $1 FOR UPDATE", held.account_id
        )
        stuck, loose = transfer(held, other, 10), transfer(free, payee, 10)
        blocked = asyncio.create_task(post(store, stuck, order_of(stuck)))
        await asyncio.wait_for(post(store, loose, order_of(loose)), scaled_s(20))
        assert not blocked.done()
    await blocked
    await blocker.close()
    assert await bank.held(payee.account_id) == (1_010, 2)
    assert await bank.held(other.account_id) == (1_010, 2)
