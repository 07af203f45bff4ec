"""Seeding again changes neither ids nor balances of the sandbox's customers."""

import asyncpg
import pytest

from sandbox.seed import people, planting
from services.chassis.postgres import connect
from services.kernel.ids import shard_of
from tests.rigs.ledger_bank import LedgerBank


@pytest.fixture
def superuser(bank: LedgerBank) -> planting.Connect:
    """Opens superuser connections, as the stack does."""

    async def open_connection(database: str) -> asyncpg.Connection:
        return await connect(bank.postgres.database("postgres", database), "seed")

    return open_connection


async def test_the_seeded_people_have_the_documented_balances_in_ledger_and_projection(
    bank: LedgerBank, superuser: planting.Connect
):
    await planting.open_people(superuser, people.NAMED)
    for person in people.NAMED:
        for deposit in person.deposits:
            account_id = people.account_id(person.user_name, deposit.kind)
            expected = (deposit.cents, 1 if deposit.cents else 0)
            assert await bank.held(account_id) == expected
            assert await bank.projected(account_id) == expected
    customers = await bank.superuser("bp_customers")
    frozen = await customers.fetchval(
        "SELECT state FROM customers.account WHERE account_id = $1", people.account_id("fausto")
    )
    assert frozen == "FROZEN"


async def test_planting_again_adds_nothing_and_books_balance(
    bank: LedgerBank, superuser: planting.Connect
):
    first = await planting.load(superuser, 40)
    assert first == planting.Seeded(customers=40, opened=40)
    again = await planting.load(superuser, 45)
    assert again == planting.Seeded(customers=45, opened=5)
    write = await bank.superuser("bp_write")
    wrong = await write.fetch("SELECT * FROM ledger.check()")
    assert wrong == []


def test_ids_follow_from_the_name_and_share_their_customers_shard():
    assert str(people.customer_id("ana")) == "019b7def-6680-79c6-b7c4-22df00279644"
    assert people.account_id("ana") < people.account_id("ana", "SAVINGS")
    for name in ("ana", "load-000001"):
        for kind in people.KINDS:
            account_id = people.account_id(name, kind)
            assert account_id.version == 7
            assert shard_of(account_id) == shard_of(people.customer_id(name))
