"""Keys that an earlier version accepted at both services: one transfer keeps the key, the judge
accepts the other transfer, and no transfer pays twice."""

import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from ops.judge.findings import SAMPLES_MAX
from ops.judge.stores import queries
from ops.provision.migrations import SERVICES
from services.kernel.clock import utc_now
from services.kernel.ids import new_id, shard_of
from services.payments import mapping
from services.payments.saga import UNAVAILABLE
from services.payments.state import Event
from services.payments.store import Store as PaymentsStore
from services.payments.transfer import Fact, InterbankTransferOrder, Transfer, after
from services.transfers.state import BookTransfer, EventOut
from services.transfers.store import Store, _request
from tests.integration.payments.orders import debit, order_of
from tests.integration.transfers.test_batches import order_of as book_order
from tests.integration.transfers.test_batches import post, transfer
from tests.integration.transfers.test_one_key import _lease
from tests.rigs.ledger_bank import Holder, LedgerBank

PAYMENTS_0033 = "payments/sql/migrations/0033_transfers_without_a_key.sql"
TRANSFERS_0011 = "transfers/sql/migrations/0011_one_key_for_both_services.sql"
TRANSFERS_0012 = "transfers/sql/migrations/0012_book_transfers_without_a_key.sql"
AT_ONCE = (PAYMENTS_0033, TRANSFERS_0011, TRANSFERS_0012)
"""The order in a database that runs all three migrations in one update."""
IN_TWO_UPDATES = (TRANSFERS_0011, PAYMENTS_0033, TRANSFERS_0012)
"""The order in a database that already ran the first migration with its last version."""
ACCEPTED_AT_BOTH = """
UPDATE transfers.idempotency_key SET idempotency_key = $2 WHERE transfer_id = $1
"""
ANSWERED = "UPDATE payments.interbank_transfer SET accepted_response = $2 WHERE transfer_id = $1"
KEY = "SELECT transfer_id FROM payments.idempotency_key WHERE customer_id = $1"
LOSE = "DELETE FROM payments.idempotency_key WHERE transfer_id = $1"
RECALL = """
SELECT advanced FROM payments.advance($1, 1, 'FAILED', NULL, $2, NULL, now(), now(),
    'REFUND_FROM_CLEARING', $3, $4, 'bp.payments.v1.TransferFailed', $5, true, NULL, NULL)
"""


class _TakeBack(Exception):
    """Rolls a transaction back."""


@pytest_asyncio.fixture(scope="module")
async def book(bank: LedgerBank) -> AsyncIterator[Store]:
    """The store of book transfers."""
    pool = await bank.postgres.pool("bp_transfers", 2)
    yield Store(pool)
    await pool.close()


@pytest_asyncio.fixture(scope="module")
async def interbank(bank: LedgerBank) -> AsyncIterator[PaymentsStore]:
    """The store of interbank transfers."""
    pool = await bank.postgres.pool("bp_payments", 2)
    yield PaymentsStore(pool)
    await pool.close()


@dataclass(frozen=True)
class Pair:
    """An interbank and a book transfer of one customer."""

    payer: Holder
    order: InterbankTransferOrder
    interbank: Transfer
    book: BookTransfer


async def _pay_both(bank: LedgerBank, interbank: PaymentsStore, book: Store) -> Pair:
    payer, payee = await bank.open_holder(5_00), await bank.open_holder()
    order, made = order_of(payer), transfer(payer, payee, 1_00)
    debited, _ = await debit(interbank, order, _lease())
    await post(book, made, book_order(made, uuid.uuid4().hex))
    return Pair(payer, order, debited, made)


@asynccontextmanager
async def _before_the_update(bank: LedgerBank) -> AsyncGenerator[asyncpg.Connection]:
    """Open a transaction with the database as the earlier version left it; roll back."""
    write = await bank.superuser("bp_write")
    try:
        async with write.transaction():
            await _roll_back(write)
            yield write
            raise _TakeBack
    except _TakeBack:
        pass


async def _update(write: asyncpg.Connection, files: tuple[str, ...] = AT_ONCE) -> None:
    for file in files:
        await write.execute((SERVICES / file).read_text().partition("-- migrate:down")[0])


async def _roll_back(write: asyncpg.Connection) -> None:
    for file in reversed(AT_ONCE):
        await write.execute((SERVICES / file).read_text().partition("-- migrate:down")[2])


async def _reported(write: asyncpg.Connection) -> set[str]:
    """Return the transfers with a key that the judge finds missing or wrong."""
    sql = queries("write")
    found = [
        *await write.fetch(sql.keys, SAMPLES_MAX * 100),
        *await write.fetch(sql.book_keys, SAMPLES_MAX * 100),
    ]
    return {row["transfer_id"] for row in found}


async def _post_again(write: asyncpg.Connection, pair: Pair) -> Any:
    """Send the book transfer of a pair with the key of the pair; return the verdict."""
    again = book_order(pair.book, pair.order.idempotency_key)
    repeated = transfer(
        pair.payer,
        Holder(pair.book.destination_customer_id, pair.book.destination_account_id),
        1_00,
    )
    request = _request(again, repeated, b"answer", EventOut(new_id(), b"event"))
    places = ", ".join(f"${n}" for n in range(1, len(request) + 1))
    return await write.fetchval(
        f"SELECT verdict FROM transfers.post_book_transfer({places})", *request
    )


@pytest.mark.parametrize("files", [AT_ONCE, IN_TWO_UPDATES])
async def test_a_transfer_whose_key_went_to_another_is_no_difference_and_is_not_paid_again(
    bank: LedgerBank, interbank: PaymentsStore, book: Store, files: tuple[str, ...]
) -> None:
    pair = await _pay_both(bank, interbank, book)
    other = await _pay_both(bank, interbank, book)
    async with _before_the_update(bank) as write:
        key = pair.order.idempotency_key
        await write.execute(ACCEPTED_AT_BOTH, pair.book.transfer_id, key)
        await write.execute(ANSWERED, pair.interbank.transfer_id, b"answer")
        await _update(write, files)
        assert await write.fetchval(KEY, pair.payer.customer_id) == pair.interbank.transfer_id
        ours = {str(made.transfer_id) for p in (pair, other) for made in (p.interbank, p.book)}
        assert not await _reported(write) & ours
        assert await _post_again(write, pair) == "REUSED"
        assert await bank.held(pair.payer.account_id) == (3_00, 3)
        for lost in (other.interbank, other.book, pair.interbank):
            assert await write.execute(LOSE, lost.transfer_id) == "DELETE 1"
            assert str(lost.transfer_id) in await _reported(write)
        await _roll_back(write)


async def test_a_key_of_both_that_its_interbank_transfer_could_free_goes_to_the_book_transfer(
    bank: LedgerBank, interbank: PaymentsStore, book: Store
) -> None:
    pair = await _pay_both(bank, interbank, book)
    async with _before_the_update(bank) as write:
        key = pair.order.idempotency_key
        await write.execute(ACCEPTED_AT_BOTH, pair.book.transfer_id, key)
        await _update(write)
        held = await write.fetch(KEY, pair.payer.customer_id)
        assert [row["transfer_id"] for row in held] == [pair.book.transfer_id]
        ours = {str(pair.interbank.transfer_id), str(pair.book.transfer_id)}
        assert not await _reported(write) & ours
        moved, step = after(pair.interbank, Fact(Event.RECALLED, reason=UNAVAILABLE), utc_now())
        event = mapping.event_out(moved, step.event_type, new_id())
        assert step.frees_key
        refund = new_id(shard_of(moved.account_id))
        recalled = (moved.transfer_id, moved.failure_reason, refund, new_id(), event.payload)
        assert await write.fetchval(RECALL, *recalled)
        assert await _post_again(write, pair) == "REPLAYED"
        assert await bank.held(pair.payer.account_id) == (4_00, 4)
        assert not await _reported(write) & ours
