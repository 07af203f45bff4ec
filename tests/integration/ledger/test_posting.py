"""What a posting changes, and every reason to refuse one."""

import uuid

import asyncpg
import pytest

from services.kernel.ids import new_id, shard_of
from services.ledger import refusals as ledger_refusals
from services.ledger.api import Leg
from tests.integration.ledger.books import CLEARING, Books, give, take


async def test_a_posting_returns_balance_and_position_of_each_customer_account(
    books: Books,
) -> None:
    ana, ben = await books.accounts(2, 1_000)
    posted = await books.post(take(ana, 300), give(ben, 290), give("FEES", 10))
    assert [(p.account_id, p.balance.minor_units, p.position) for p in posted] == [
        (ana, 700, 2),
        (ben, 1_290, 2),
    ]


async def test_an_account_with_two_legs_reports_its_last(books: Books) -> None:
    ana = await books.account(1_000)
    (posted,) = await books.post(take(ana, 100), give(CLEARING, 100), take(ana, 5), give("FEES", 5))
    assert (posted.balance.minor_units, posted.position) == (895, 3)


async def test_the_statement_pages_from_the_newest_entry(books: Books) -> None:
    ana = await books.account(1_000)
    for minor_units in (1, 2, 3):
        await books.debit(ana, minor_units)
    newest = await books.ledger.statement(ana, rows=2)
    older = await books.ledger.statement(ana, newest[-1].position, rows=2)
    assert [line.amount.minor_units for line in (*newest, *older)] == [-3, -2, -1, 1_000]
    assert [line.balance_after.minor_units for line in newest] == [994, 997]


async def test_internal_accounts_sum_over_shards_before_and_after_a_roll_up(
    books: Books, superuser_pool: asyncpg.Pool
) -> None:
    before = (await books.ledger.internal_balance("RETURNS", "USD")).minor_units
    accounts = await books.accounts(10, 1_000)
    # The second time, each shard already has a checkpoint.
    for sum_of_all in (before + 70, before + 140):
        for account in accounts:
            await books.post(take(account, 7), give("RETURNS", 7))
        for folded_min in (10, 0):
            held = await books.ledger.internal_balance("RETURNS", "USD")
            assert held.minor_units == sum_of_all
            assert await superuser_pool.fetchval("SELECT ledger.roll_up()") >= folded_min
        assert (await books.ledger.internal_balance("RETURNS", "USD")).minor_units == sum_of_all
    assert await superuser_pool.fetchval("SELECT ledger.roll_up()") == 0
    await books.assert_right()


ANA = new_id(7)
REFUSED: list[tuple[str, list[Leg], type[ledger_refusals.LedgerRefusal]]] = [
    (
        "more than it holds",
        [take(ANA, 1_001), give(CLEARING, 1_001)],
        ledger_refusals.InsufficientFunds,
    ),
    ("unknown account", [take(new_id(7), 1), give(CLEARING, 1)], ledger_refusals.AccountUnknown),
    ("unknown beneficiary", [take(ANA, 1), give(new_id(9), 1)], ledger_refusals.AccountUnknown),
    ("currency", [take(ANA, 1, "EUR"), give(CLEARING, 1, "EUR")], ledger_refusals.CurrencyMismatch),
    ("sum", [take(ANA, 2), give(CLEARING, 1)], ledger_refusals.Unbalanced),
    ("currencies apart", [take(ANA, 2), give(CLEARING, 2, "EUR")], ledger_refusals.Unbalanced),
    ("zero", [take(ANA, 0), give(CLEARING, 0)], ledger_refusals.LegInvalid),
    ("negative", [take(ANA, -5), give(CLEARING, -5)], ledger_refusals.LegInvalid),
    ("one leg", [take(ANA, 5)], ledger_refusals.LegInvalid),
    ("no legs", [], ledger_refusals.LegInvalid),
    ("internal", [take(ANA, 5), give("NOWHERE", 5)], ledger_refusals.InternalAccountUnknown),
    ("far too much", [take(ANA, 2**62), give(CLEARING, 2**62)], ledger_refusals.LegInvalid),
]


@pytest.mark.parametrize(("case", "legs", "refusal"), REFUSED, ids=[row[0] for row in REFUSED])
async def test_a_refused_posting_changes_nothing(
    books: Books, case: str, legs: list[Leg], refusal: type[ledger_refusals.LedgerRefusal]
) -> None:
    await books.superuser.seed_accounts([ANA], [1_000], "USD")
    with pytest.raises(refusal):
        await books.ledger.post(new_id(7), "TEST", new_id(7), legs)
    held = await books.ledger.balance(ANA)
    assert held is not None
    assert (held.balance.minor_units, held.position) == (1_000, 1)


async def test_a_transaction_is_posted_once_even_when_nothing_is_left_to_debit(
    books: Books,
) -> None:
    ana = await books.account(1_000)
    transaction_id = new_id(shard_of(ana))
    legs = (take(ana, 1_000), give(CLEARING, 1_000))
    await books.post(*legs, transaction_id=transaction_id)
    with pytest.raises(ledger_refusals.DuplicateTransaction):
        await books.post(*legs, transaction_id=transaction_id)
    assert await books.held([ana]) == [0]


async def test_a_transaction_id_cannot_be_used_again_for_other_accounts(books: Books) -> None:
    ana, ben = await books.accounts(2, 1_000)
    transaction_id = new_id(shard_of(ana))
    await books.post(take(ana, 1), give(CLEARING, 1), transaction_id=transaction_id)
    for legs in ((take(ana, 1), give(ben, 1)), (take(CLEARING, 1), give(ben, 1))):
        with pytest.raises(ledger_refusals.DuplicateTransaction):
            await books.post(*legs, transaction_id=transaction_id)


@pytest.mark.parametrize(
    "transaction_id",
    [
        uuid.UUID("8c5f4b4e-7d9c-4c39-8d1a-2f54f1f3a007"),
        uuid.UUID("00000000-0000-7000-8000-000000000007"),
        uuid.UUID("ffffffff-ffff-7fff-bfff-ffffffffff07"),
        new_id(8),
    ],
    ids=["not version 7", "1970", "far future", "other shard"],
)
async def test_a_transaction_id_outside_time_or_shard_is_refused(
    books: Books, transaction_id: uuid.UUID
) -> None:
    await books.superuser.seed_accounts([ANA], [1_000], "USD")
    with pytest.raises(ledger_refusals.TransactionIdInvalid):
        await books.ledger.post(transaction_id, "TEST", ANA, [take(ANA, 1), give(CLEARING, 1)])


async def test_an_account_keeps_its_currency(books: Books) -> None:
    account = new_id()
    opened = await books.ledger.open_account(account, "USD")
    assert (opened.balance.minor_units, opened.position) == (0, 0)
    assert await books.ledger.open_account(account, "USD") == opened
    with pytest.raises(ledger_refusals.CurrencyMismatch):
        await books.ledger.open_account(account, "EUR")


@pytest.mark.parametrize("amount", [0, -1])
@pytest.mark.parametrize("function", ["debit_to_internal", "credit_from_internal"])
async def test_the_short_ways_refuse_amounts_that_are_not_above_zero(
    books: Books, writers_pool: asyncpg.Pool, function: str, amount: int
) -> None:
    account = await books.account(1_000)
    with pytest.raises(ledger_refusals.LegInvalid), ledger_refusals.refusals():
        await _short_way(writers_pool, function, account, amount, CLEARING)
    with pytest.raises(ledger_refusals.InternalAccountUnknown), ledger_refusals.refusals():
        await _short_way(writers_pool, function, account, 1, "NOWHERE")


async def test_the_short_functions_post_the_same_as_the_general_one(
    books: Books, writers_pool: asyncpg.Pool
) -> None:
    account = await books.account(1_000)
    for function, balance in (("debit_to_internal", 990), ("credit_from_internal", 1_000)):
        posted = await _short_way(writers_pool, function, account, 10, CLEARING)
        assert [(p["account_id"], p["balance"]) for p in posted] == [(account, balance)]
    lines = await books.ledger.statement(account)
    assert [line.amount.minor_units for line in lines] == [10, -10, 1_000]


async def _short_way(
    pool: asyncpg.Pool, function: str, account: uuid.UUID, amount: int, code: str
) -> list[asyncpg.Record]:
    return await pool.fetchval(
        f"SELECT ledger.{function}($1, 'TEST', $2, $2, 'USD', $3, $4)",
        new_id(shard_of(account)),
        account,
        amount,
        code,
    )


async def test_opening_balances_are_given_once(books: Books) -> None:
    accounts = [new_id() for _ in range(5)]
    assert await books.superuser.seed_accounts(accounts, [100, 200, 300, 400, 0], "USD") == 4
    assert await books.superuser.seed_accounts(accounts, [100, 200, 300, 400, 0], "USD") == 0
    assert await books.held(accounts) == [100, 200, 300, 400, 0]
