"""Differences planted in the Write DB and at the clearing house, each on its own transfer.

A plant returns the ids that the judge must report for it.
"""

import uuid
from typing import Any

import asyncpg

from ops.judge.findings import Kind
from services.kernel.ids import new_id, shard_of
from tests.integration.judge.world import World

Ids = dict[str, str]


async def _write(world: World, sql: str, *values: Any, lawless: bool = False) -> Any:
    connection: asyncpg.Connection = await world.owner("bp_write", lawless=lawless)
    return await connection.fetchval(sql, *values)


async def balance_differs(world: World) -> Ids:
    account = world.victims.book.pop().account_id
    await _write(
        world, "UPDATE ledger.account SET balance = balance + 1 WHERE account_id = $1", account
    )
    return {"problem": "BALANCE_DIFFERS", "account_id": str(account)}


async def balance_negative(world: World) -> Ids:
    account = world.victims.book.pop().account_id
    await _write(world, "ALTER TABLE ledger.account DROP CONSTRAINT account_never_negative")
    await _write(world, "UPDATE ledger.account SET balance = -5 WHERE account_id = $1", account)
    return {"problem": "BALANCE_NEGATIVE", "account_id": str(account)}


async def transaction_not_zero(world: World) -> Ids:
    transaction = new_id(0)
    await _write(
        world,
        "INSERT INTO ledger.entry (shard, transaction_id, line, internal_code, currency, amount,"
        " kind, reference) VALUES (0, $1, 1, 'FEES', 'USD', 7, 'OPENING_BALANCE', $1)",
        transaction,
        lawless=True,
    )
    return {"problem": "TRANSACTION_NOT_ZERO", "transaction_id": str(transaction)}


async def books_not_zero(_: World) -> Ids:
    """The entry of transaction_not_zero also makes the sum of all entries differ from zero."""
    return {"problem": "BOOKS_NOT_ZERO", "currency": "USD"}


async def internal_differs(_: World) -> Ids:
    """The balance of FEES does not include the entry of transaction_not_zero."""
    return {"problem": "INTERNAL_DIFFERS", "code": "FEES", "currency": "USD"}


async def position_differs(world: World) -> Ids:
    account = world.victims.book.pop().account_id
    await _write(
        world, "UPDATE ledger.account SET position = position + 1 WHERE account_id = $1", account
    )
    return {"problem": "POSITION_DIFFERS", "account_id": str(account)}


async def last_balance_differs(world: World) -> Ids:
    account = world.victims.book.pop().account_id
    sql = "UPDATE ledger.entry SET balance_after = balance_after + 1 WHERE account_id = $1"
    await _write(world, sql, account, lawless=True)
    return {"problem": "LAST_BALANCE_DIFFERS", "account_id": str(account)}


async def currency_mixed(world: World) -> Ids:
    account = world.victims.book.pop().account_id
    sql = "UPDATE ledger.account SET currency = 'EUR' WHERE account_id = $1"
    await _write(world, sql, account, lawless=True)
    return {"problem": "CURRENCY_MIXED", "account_id": str(account)}


async def refunded_twice(world: World) -> Ids:
    transfer = world.victims.failed.pop()
    await _write(
        world,
        "SELECT ledger.credit_from_internal($1, 'INTERBANK_REFUND', $2, $3, 'USD', $4,"
        " 'ACH_CLEARING')",
        new_id(shard_of(transfer.account_id)),
        transfer.transfer_id,
        transfer.account_id,
        transfer.amount.minor_units,
    )
    return {"transfer_id": str(transfer.transfer_id)}


async def clearing_off(_: World) -> Ids:
    """The second refund of refunded_twice takes money from clearing that no transfer has there."""
    return {"code": "ACH_CLEARING", "currency": "USD"}


async def completed_in_the_row_alone(world: World) -> Ids:
    transfer = world.victims.submitted.pop()
    await _write(
        world,
        "UPDATE payments.interbank_transfer SET state = 'COMPLETED' WHERE transfer_id = $1",
        transfer.transfer_id,
    )
    return {"transfer_id": str(transfer.transfer_id)}


async def debit_without_transfer(world: World) -> Ids:
    holder_account = world.victims.submitted.pop().account_id
    shard = shard_of(holder_account)
    reference = new_id(shard)
    await _write(
        world,
        "SELECT ledger.debit_to_internal($1, 'INTERBANK_DEBIT', $2, $3, 'USD', 9, 'ACH_CLEARING')",
        new_id(shard),
        reference,
        holder_account,
    )
    return {"transfer_id": str(reference)}


async def book_transfer_gone(world: World) -> Ids:
    transfer = world.victims.book.pop().transfer_id
    await _write(world, "DELETE FROM transfers.book_transfer WHERE transfer_id = $1", transfer)
    return {"transfer_id": str(transfer)}


async def entry_without_cause(world: World) -> Ids:
    account = world.victims.submitted.pop().account_id
    transaction = new_id(shard_of(account))
    await _write(
        world,
        "SELECT ledger.debit_to_internal($1, 'MYSTERY', $1, $2, 'USD', 9, 'FEES')",
        transaction,
        account,
    )
    return {"transaction_id": str(transaction)}


async def saga_overdue(world: World) -> Ids:
    transfer = world.victims.debited.pop().transfer_id
    await _write(
        world,
        "UPDATE payments.interbank_transfer SET lease_until = now() - interval '1 hour'"
        " WHERE transfer_id = $1",
        transfer,
    )
    return {"transfer_id": str(transfer)}


async def key_gone(world: World) -> Ids:
    transfer = world.victims.submitted.pop().transfer_id
    await _write(world, "DELETE FROM payments.idempotency_key WHERE transfer_id = $1", transfer)
    return {"transfer_id": str(transfer)}


async def answered_key_gone(world: World) -> Ids:
    """A transfer failed after its request was answered, and its key was freed nevertheless."""
    transfer = world.victims.failed.pop().transfer_id
    sql = "UPDATE payments.interbank_transfer SET accepted_response = '' WHERE transfer_id = $1"
    await _write(world, sql, transfer)
    return {"transfer_id": str(transfer)}


async def key_of_nothing(world: World) -> Ids:
    transfer = new_id(0)
    sql = "INSERT INTO payments.idempotency_key VALUES (0, $1, 'orphan', '\\x00', $1)"
    await _write(world, sql, transfer)
    return {"transfer_id": str(transfer), "idempotency_key": "orphan"}


async def key_of_two(world: World) -> Ids:
    """Two successful transfers have the same key of the same customer."""
    second, first = world.victims.submitted.pop(), world.victims.submitted.pop()
    await _write(
        world, "DELETE FROM payments.idempotency_key WHERE transfer_id = $1", second.transfer_id
    )
    await _write(
        world,
        "UPDATE payments.interbank_transfer SET idempotency_key = t.idempotency_key,"
        " customer_id = t.customer_id FROM payments.interbank_transfer t"
        " WHERE payments.interbank_transfer.transfer_id = $1 AND t.transfer_id = $2",
        second.transfer_id,
        first.transfer_id,
    )
    return {"transfer_id": str(second.transfer_id)}


async def book_key_gone(world: World) -> Ids:
    transfer = world.victims.book.pop().transfer_id
    await _write(world, "DELETE FROM payments.idempotency_key WHERE transfer_id = $1", transfer)
    return {"transfer_id": str(transfer)}


async def book_transfer_of_two_keys(world: World) -> Ids:
    transfer = world.victims.book.pop().transfer_id
    await _write(
        world,
        "INSERT INTO payments.idempotency_key SELECT shard, customer_id, 'another', fingerprint,"
        " transfer_id FROM payments.idempotency_key WHERE transfer_id = $1",
        transfer,
    )
    return {"transfer_id": str(transfer)}


async def _entered_long_ago(world: World, transfer_id: uuid.UUID, since: str) -> Ids:
    await _write(
        world,
        "UPDATE payments.interbank_transfer SET update_time = now() - $2::text::interval"
        " WHERE transfer_id = $1",
        transfer_id,
        since,
    )
    return {"transfer_id": str(transfer_id)}


async def unanswered_for_an_hour(world: World) -> Ids:
    """Its worker keeps retrying, so it is not overdue, but it is past the deadline of its state."""
    return await _entered_long_ago(world, world.victims.debited.pop().transfer_id, "1 hour")


async def submitted_and_never_settled(world: World) -> Ids:
    return await _entered_long_ago(world, world.victims.submitted.pop().transfer_id, "6 days")


async def trace_doubled(world: World) -> Ids:
    thief, owner = world.victims.submitted.pop(), world.victims.submitted.pop()
    await _write(
        world,
        "UPDATE payments.interbank_transfer SET trace_number = $2 WHERE transfer_id = $1",
        thief.transfer_id,
        owner.trace_number,
    )
    return {"trace_number": owner.trace_number}


async def trace_differs(world: World) -> Ids:
    transfer = world.victims.submitted.pop().transfer_id
    await _write(
        world,
        "UPDATE payments.interbank_transfer SET trace_number = '1' WHERE transfer_id = $1",
        transfer,
    )
    return {"transfer_id": str(transfer)}


_APPEND = "SELECT outbox.append('payments', $1, $1, 'bp.payments.v1.TransferDebited', $2, '')"


async def event_waiting(world: World) -> Ids:
    event_id = new_id()
    await _write(world, _APPEND, event_id, world.victims.submitted.pop().transfer_id)
    return {"event_id": str(event_id)}


async def outbox_not_drained(_: World) -> Ids:
    """The event of event_waiting stays in the outbox forever."""
    return {"what": "outbox"}


async def event_parked(world: World) -> Ids:
    event_id = new_id()
    row = await _write(world, _APPEND, event_id, world.victims.submitted.pop().transfer_id)
    await _write(world, "SELECT outbox.park($1, 'planted')", row)
    return {"event_id": str(event_id)}


async def event_not_counted(world: World) -> Ids:
    transfer = world.victims.submitted.pop().transfer_id
    await _write(world, _APPEND, new_id(), transfer)
    return {"transfer_id": str(transfer)}


async def never_published(world: World) -> Ids:
    """The outbox's record of a published event is deleted; the event itself is in Kafka."""
    transfer = world.victims.submitted.pop().transfer_id
    event_id = await _write(
        world,
        "DELETE FROM outbox.published WHERE event_id = (SELECT min(event_id::text)::uuid"
        " FROM outbox.published WHERE subject = $1) RETURNING event_id",
        transfer,
    )
    return {"event_id": str(event_id)}


async def published_and_lost(world: World) -> Ids:
    event_id = new_id()
    await _write(
        world,
        "INSERT INTO outbox.published VALUES ($1, 'payments', 0, 1000000, $2)",
        event_id,
        world.victims.submitted.pop().transfer_id,
    )
    return {"event_id": str(event_id)}


async def published_elsewhere(world: World) -> Ids:
    event_id = await _write(
        world,
        "UPDATE outbox.published SET kafka_offset = kafka_offset + 5000 WHERE event_id ="
        " (SELECT min(event_id::text)::uuid FROM outbox.published WHERE subject = $1)"
        " RETURNING event_id",
        world.victims.submitted.pop().transfer_id,
    )
    return {"event_id": str(event_id)}


async def unknown_to_the_clearing_house(world: World) -> Ids:
    transfer = world.victims.debited.pop().transfer_id
    await _write(
        world,
        "UPDATE payments.interbank_transfer SET state = 'SUBMITTED', trace_number = '2'"
        " WHERE transfer_id = $1",
        transfer,
    )
    return {"transfer_id": str(transfer)}


async def live_though_refunded(world: World) -> Ids:
    transfer = world.victims.failed.pop()
    world.ach.submit(str(transfer.transfer_id), transfer.amount.minor_units)
    return {"transfer_id": str(transfer.transfer_id)}


async def known_to_the_clearing_house_alone(world: World) -> Ids:
    key = str(uuid.uuid4())
    world.ach.submit(key, 1)
    return {"transfer_id": key}


async def amount_differs(world: World) -> Ids:
    transfer = world.victims.debited.pop()
    world.ach.submit(str(transfer.transfer_id), transfer.amount.minor_units + 1)
    return {"transfer_id": str(transfer.transfer_id)}


async def cancelled_at_the_clearing_house(world: World) -> Ids:
    transfer = str(world.victims.submitted.pop().transfer_id)
    world.ach.network.cancel(transfer)
    return {"transfer_id": transfer}


PLANTS = (
    (Kind.BOOKS, balance_differs),
    (Kind.BOOKS, balance_negative),
    (Kind.BOOKS, transaction_not_zero),
    (Kind.BOOKS, books_not_zero),
    (Kind.BOOKS, internal_differs),
    (Kind.BOOKS, position_differs),
    (Kind.BOOKS, last_balance_differs),
    (Kind.BOOKS, currency_mixed),
    (Kind.POSTINGS, refunded_twice),
    (Kind.INTERNAL_BALANCE, clearing_off),
    (Kind.POSTINGS, completed_in_the_row_alone),
    (Kind.EVENT_LAST_STATE, completed_in_the_row_alone),
    (Kind.POSTINGS, debit_without_transfer),
    (Kind.POSTINGS, book_transfer_gone),
    (Kind.ENTRY_WITHOUT_CAUSE, entry_without_cause),
    (Kind.SAGA_OVERDUE, saga_overdue),
    (Kind.KEY, key_gone),
    (Kind.KEY, answered_key_gone),
    (Kind.KEY, key_of_nothing),
    (Kind.KEY, key_of_two),
    (Kind.KEY, book_key_gone),
    (Kind.KEY, book_transfer_of_two_keys),
    (Kind.CLEARING_OVERDUE, unanswered_for_an_hour),
    (Kind.CLEARING_OVERDUE, submitted_and_never_settled),
    (Kind.TRACE_DOUBLED, trace_doubled),
    (Kind.OUTBOX_WAITING, event_waiting),
    (Kind.NOT_DRAINED, outbox_not_drained),
    (Kind.OUTBOX_PARKED, event_parked),
    (Kind.EVENT_COUNT, event_not_counted),
    (Kind.EVENT_UNKNOWN, never_published),
    (Kind.EVENT_LOST, published_and_lost),
    (Kind.EVENT_PLACE, published_elsewhere),
    (Kind.ACH_LOST, unknown_to_the_clearing_house),
    (Kind.ACH_LIVE, live_though_refunded),
    (Kind.ACH_UNKNOWN, known_to_the_clearing_house_alone),
    (Kind.ACH_AMOUNT, amount_differs),
    (Kind.ACH_TRACE, trace_differs),
    (Kind.ACH_STATE, cancelled_at_the_clearing_house),
)
"""Each plant with a kind under which the judge must find it; a plant may have several kinds."""
