"""Simulated reviews and declined orders behave like those in PostgreSQL."""

import random
import uuid
from datetime import timedelta

import pytest

from services.kernel.ids import new_id
from services.payments.rows import DeclineRow
from services.transfers.store import DeclineRow as BookDeclineRow
from tests.integration.simulator.test_same_as_postgres import (
    LONG_AGO,
    SEEDS,
    STATEMENTS,
    Payers,
    People,
    _forget,
    _say_something,
)
from tests.integration.simulator.twins import (
    Simulated,
    Twins,
    outbox_rows,
    simulated_outbox_rows,
)
from tests.rigs.stores import PostgresStore


@pytest.mark.parametrize("seed", SEEDS)
async def test_reviews_and_declined_orders_get_the_same_answers(
    postgres: PostgresStore, seed: int
) -> None:
    roles = ("postgres", "bp_payments", "bp_transfers")
    superuser, payments_pool, transfers_pool = [await postgres.pool(one, 2) for one in roles]
    simulated, people = Simulated(), People(random.Random(4000 + seed))
    await people.open(superuser, simulated)
    twins = Twins(payments_pool, "payments", simulated.payments, simulated.database)
    book_twins = Twins(transfers_pool, "transfers", simulated.transfers, simulated.database)
    payers, luck, effects = Payers(people), people.luck, set[str]()
    for _ in range(STATEMENTS // 2):
        await _say_something(twins, payers)
        rows = simulated.payments.transfers
        payers.transfers = {one: [row["state"], row["version"]] for one, row in rows.items()}
    for transfer_id in [*simulated.payments.in_review] * 2:
        values = (transfer_id, luck.choice(("CLEARED", "REFUSED")), "eva", "why", "eva (uid 1)")
        sql = "SELECT payments.decide_review($1, $2, $3, $4, $5)"
        (here,) = simulated.database.transact(simulated.payments.decide_review, values)
        assert here["decide_review"] == await superuser.fetchval(sql, *values)
        effects.add(here["decide_review"] or "")
        report = (transfer_id, "NOT_NEEDED", new_id(), b"payload")
        await twins.say("report_review", *report)
    assert effects >= {"", "NONE"}
    declined: list[uuid.UUID] = []
    for _ in range(10):
        some = [_declined(payers) for _ in range(luck.randrange(1, 5))]
        declined += [row.decline_id for row in some]
        await twins.say("decline_group", some, 8)
        books = [_declined_book_transfer(payers) for _ in range(luck.randrange(1, 5))]
        declined += [row.decline_id for row in books]
        await book_twins.say("decline_group", books, 8)
    subjects = [*simulated.payments.transfers, *declined]
    assert await outbox_rows(superuser, subjects) == simulated_outbox_rows(simulated.outbox)
    await _forget(superuser, subjects)
    await superuser.close()
    await payments_pool.close()
    await transfers_pool.close()


def _declined(payers: Payers) -> DeclineRow:
    """Return one of a few orders, declined for one of two reasons, in one hour."""
    luck, people = payers.luck, payers.people
    to = ("Bo", "021000021", "123", luck.choice(("FRAUD_DECLINED", "ACCOUNT_FROZEN")))
    order_id = uuid.uuid5(people.customer_id, str(luck.randrange(5)))
    hour = LONG_AGO + timedelta(minutes=luck.randrange(60))
    whose = (new_id(0), people.customer_id, people.accounts[0], 100, "USD")
    return DeclineRow(*whose, *to, order_id, "request", hour, new_id(0), b"payload", "")


def _declined_book_transfer(payers: Payers) -> BookDeclineRow:
    """Return one of a few book transfers, declined in the hour of the interbank orders."""
    luck, people = payers.luck, payers.people
    order_id = uuid.uuid5(people.customer_id, f"book {luck.randrange(5)}")
    hour = LONG_AGO + timedelta(minutes=luck.randrange(60))
    whose = (new_id(0), people.customer_id, people.accounts[0], people.accounts[1], 100, "USD")
    reason = luck.choice(("AMOUNT_LIMIT_EXCEEDED", "ACCOUNT_FROZEN"))
    return BookDeclineRow(*whose, reason, order_id, "request", hour, new_id(0), b"payload", None)
