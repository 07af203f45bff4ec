"""A customer's key names one request of the bank: an interbank or a book transfer, never both."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from ops.provision.migrations import SERVICES
from ops.waiting import until
from services.kernel.clock import utc_now
from services.kernel.errors import IdempotencyKeyReused
from services.kernel.ids import new_id, shard_of
from services.payments import mapping
from services.payments.attempt import Attempt
from services.payments.rows import Lease, debit_order
from services.payments.saga import UNAVAILABLE
from services.payments.state import DEBIT, Event
from services.payments.store import Store as PaymentsStore
from services.payments.transfer import Fact, InterbankTransferOrder, after, debited
from services.transfers.state import EventOut
from services.transfers.store import Store, _request
from tests.integration.payments.orders import debit, order_of
from tests.integration.transfers.test_batches import order_of as book_order
from tests.integration.transfers.test_batches import post, transfer
from tests.rigs.ledger_bank import Holder, LedgerBank

CENTS = 1_00
RACES = 20
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND query LIKE '%transfers.post_book%'
"""
FREED_BETWEEN = """
CREATE OR REPLACE FUNCTION transfers.replay(
    customer_id uuid, idempotency_key text, fingerprint bytea
) RETURNS transfers.outcome LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM payments.idempotency_key k WHERE k.customer_id = replay.customer_id;
    RETURN NULL;
END $$
"""
MIGRATION = SERVICES / "transfers/sql/migrations/0011_one_key_for_both_services.sql"
KEYS = "SELECT idempotency_key, fingerprint FROM {}.idempotency_key WHERE customer_id = $1"
ALSO_BOOK = """
INSERT INTO transfers.idempotency_key
SELECT shard, customer_id, $2, fingerprint, transfer_id
FROM transfers.idempotency_key WHERE customer_id = $1
"""


class _TakeBack(Exception):
    """Rolls a transaction back."""


@pytest_asyncio.fixture(scope="module")
async def book(bank: LedgerBank) -> AsyncIterator[Store]:
    """The store of book transfers."""
    pool = await bank.postgres.pool("bp_transfers")
    yield Store(pool)
    await pool.close()


@pytest_asyncio.fixture(scope="module")
async def interbank(bank: LedgerBank) -> AsyncIterator[PaymentsStore]:
    """The store of interbank transfers."""
    pool = await bank.postgres.pool("bp_payments")
    yield PaymentsStore(pool)
    await pool.close()


def _lease() -> Lease:
    return Lease("test/0", utc_now() + timedelta(seconds=60))


async def _post(book: Store, payer: Holder, payee: Holder, key: str) -> bool:
    """Post a book transfer in a batch; return whether it was posted, not refused for its key."""
    made = transfer(payer, payee, CENTS)
    try:
        return await post(book, made, book_order(made, key)) == made.transfer_id.bytes
    except IdempotencyKeyReused:
        return False


async def _post_alone(book: Store, payer: Holder, payee: Holder, key: str) -> bool:
    made = transfer(payer, payee, CENTS)
    event = EventOut(new_id(), b"event")
    request = _request(book_order(made, key), made, made.transfer_id.bytes, event)
    return (await book._post_alone(request))["verdict"] == "POSTED"


async def _debit(interbank: PaymentsStore, order: InterbankTransferOrder) -> bool:
    """Debit an order in a batch; return whether it was debited, not refused for its key."""
    _, made = await debit(interbank, order, _lease())
    return made.outcome == "DEBITED"


async def _debit_alone(interbank: PaymentsStore, order: InterbankTransferOrder) -> bool:
    made = debited(order, new_id(shard_of(order.account_id)), fraud_review=False, now=utc_now())
    event = mapping.event_out(made, DEBIT.event_type, new_id())
    row = debit_order(order, made, event, _lease())
    return (await interbank._debit_alone(row, Attempt())).outcome == "DEBITED"


@pytest.mark.parametrize("post_one", [_post, _post_alone])
async def test_the_key_of_an_interbank_transfer_is_refused_for_a_book_transfer(
    bank: LedgerBank, interbank: PaymentsStore, book: Store, post_one
) -> None:
    payer, payee = await bank.open_holder(5_00), await bank.open_holder()
    order = order_of(payer)
    assert await _debit(interbank, order)
    assert not await post_one(book, payer, payee, order.idempotency_key)
    other = transfer(payer, payee, CENTS)
    with pytest.raises(IdempotencyKeyReused):
        await book.replay(book_order(other, order.idempotency_key))
    assert await bank.held(payer.account_id) == (4_00, 2)
    assert await bank.held(payee.account_id) == (0, 0)


@pytest.mark.parametrize("debit_one", [_debit, _debit_alone])
async def test_the_key_of_a_book_transfer_is_refused_for_an_interbank_transfer(
    bank: LedgerBank, interbank: PaymentsStore, book: Store, debit_one
) -> None:
    payer, payee = await bank.open_holder(5_00), await bank.open_holder()
    order = order_of(payer)
    assert await _post(book, payer, payee, order.idempotency_key)
    used = await interbank.key(order)
    assert used is not None
    assert used.fingerprint != order.fingerprint
    assert not await debit_one(interbank, order)
    assert await bank.held(payer.account_id) == (4_00, 2)


@pytest.mark.parametrize(("debit_one", "post_one"), [(_debit, _post), (_debit_alone, _post_alone)])
async def test_of_two_transfers_with_one_key_at_the_same_time_one_moves_money(
    bank: LedgerBank, interbank: PaymentsStore, book: Store, debit_one, post_one
) -> None:
    payee = await bank.open_holder()
    orders = [order_of(await bank.open_holder(5_00)) for _ in range(RACES)]
    payers = [Holder(order.customer_id, order.account_id) for order in orders]
    debits = [debit_one(interbank, order) for order in orders]
    posts = [
        post_one(book, payer, payee, order.idempotency_key)
        for payer, order in zip(payers, orders, strict=True)
    ]
    won = await asyncio.gather(*(call for pair in zip(debits, posts, strict=True) for call in pair))
    assert [won[2 * n] + won[2 * n + 1] for n in range(RACES)] == [1] * RACES
    assert [await bank.held(payer.account_id) for payer in payers] == [(4_00, 2)] * RACES


async def test_keys_belong_to_their_customer_at_both_services(
    bank: LedgerBank, interbank: PaymentsStore, book: Store
) -> None:
    one, two = await bank.open_holder(5_00), await bank.open_holder(5_00)
    order = order_of(one)
    assert await _debit(interbank, order)
    assert await _post(book, two, one, order.idempotency_key)


async def test_a_key_that_a_book_transfer_did_not_get_posted_with_is_free_for_both(
    bank: LedgerBank, interbank: PaymentsStore, book: Store
) -> None:
    payer, payee = await bank.open_holder(5_00), await bank.open_holder()
    order = order_of(payer)
    large = transfer(payer, payee, 6_00)
    with pytest.raises(Exception, match=r"(?i)balance|funds"):
        await post(book, large, book_order(large, order.idempotency_key))
    assert await interbank.key(order) is None
    assert await _debit(interbank, order)


async def test_keys_of_before_are_moved_and_stay_in_use(
    bank: LedgerBank, interbank: PaymentsStore, book: Store
) -> None:
    payer, payee = await bank.open_holder(5_00), await bank.open_holder()
    paid, order = order_of(payer), order_of(payer)
    await _debit(interbank, paid)
    assert await _post(book, payer, payee, order.idempotency_key)
    write = await bank.superuser("bp_write")
    up, _, down = MIGRATION.read_text().partition("-- migrate:down")
    try:
        async with write.transaction():
            await write.execute(down)
            for schema, key in (
                ("payments", paid.idempotency_key),
                ("transfers", order.idempotency_key),
            ):
                held = await write.fetch(KEYS.format(schema), payer.customer_id)
                assert [row["idempotency_key"] for row in held] == [key]
            # Both services had accepted this key.
            await write.execute(ALSO_BOOK, payer.customer_id, paid.idempotency_key)
            await write.execute(up)
            held = await write.fetch(KEYS.format("payments"), payer.customer_id)
            assert {row["idempotency_key"]: row["fingerprint"] for row in held} == {
                paid.idempotency_key: paid.fingerprint,
                order.idempotency_key: b"rent".ljust(32),
            }
            raise _TakeBack
    except _TakeBack:
        pass


async def test_the_key_of_a_compensated_transfer_is_free_for_a_book_transfer(
    bank: LedgerBank, interbank: PaymentsStore, book: Store
) -> None:
    payer, payee = await bank.open_holder(5_00), await bank.open_holder()
    order = order_of(payer)
    made, _ = await debit(interbank, order, _lease())
    moved, transition = after(made, Fact(Event.RECALLED, reason=UNAVAILABLE), utc_now())
    event = mapping.event_out(moved, transition.event_type, new_id())
    assert transition.frees_key
    assert (await interbank.advance(moved, transition, event, _lease()))[0]
    assert await _post(book, payer, payee, order.idempotency_key)
    assert not await _debit(interbank, order)
    assert await bank.held(payer.account_id) == (4_00, 4)


FREE = "DELETE FROM payments.idempotency_key WHERE transfer_id = $1"
"""What payments.advance does when a transfer is compensated before any answer."""


async def test_a_book_transfer_waits_for_a_compensation_that_frees_its_key(
    bank: LedgerBank, interbank: PaymentsStore, book: Store
) -> None:
    payer, payee = await bank.open_holder(5_00), await bank.open_holder()
    order = order_of(payer)
    made, _ = await debit(interbank, order, _lease())
    write = await bank.superuser("bp_write")
    compensation = write.transaction()
    await compensation.start()
    assert await write.execute(FREE, made.transfer_id) == "DELETE 1"
    posting = asyncio.create_task(_post(book, payer, payee, order.idempotency_key))
    watch = await bank.postgres.session("postgres", "bp_write")
    try:

        async def waits() -> bool:
            return bool(await watch.fetchval(WAITING))

        await until(waits)
    finally:
        await compensation.commit()
        await watch.close()
    assert await posting
    assert await bank.held(payer.account_id) == (3_00, 3)


async def test_a_key_that_is_freed_between_two_statements_is_taken_and_not_reported_as_posted(
    bank: LedgerBank, interbank: PaymentsStore
) -> None:
    payer, payee = await bank.open_holder(5_00), await bank.open_holder()
    order = order_of(payer)
    await _debit(interbank, order)
    made = transfer(payer, payee, CENTS)
    request = _request(
        book_order(made, order.idempotency_key), made, b"answer", EventOut(new_id(), b"event")
    )
    write = await bank.superuser("bp_write")
    try:
        async with write.transaction():
            await write.execute(FREED_BETWEEN)
            places = ", ".join(f"${n}" for n in range(1, len(request) + 1))
            sql = f"SELECT verdict FROM transfers.post_book_transfer({places})"
            assert await write.fetchval(sql, *request) == "POSTED"
            raise _TakeBack
    except _TakeBack:
        pass
