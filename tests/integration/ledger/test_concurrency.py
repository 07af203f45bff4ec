"""Many concurrent writers neither create nor lose money, and never deadlock."""

import asyncio
import random
from uuid import UUID

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.kernel.ids import new_id
from services.ledger.api import Leg
from services.ledger.refusals import AccountUnknown, InsufficientFunds, LedgerRefusal
from tests.integration.ledger.books import CLEARING, Books, give, take

WRITERS = 64
POSTINGS_EACH = 20


def _legs(randomness: random.Random, accounts: list[UUID]) -> list[Leg]:
    """Return random legs over two accounts in any order, some against internal accounts."""
    payer, payee = randomness.sample(accounts, 2)
    amount = randomness.randint(1, 400)
    shapes = [
        [take(payer, amount), give(payee, amount)],
        [give(payee, amount), take(payer, amount)],
        [take(payer, amount), give(CLEARING, amount)],
        [give(payee, amount), take(CLEARING, amount)],
        [take(payer, amount + 1), give(payee, amount), give("FEES", 1)],
    ]
    return randomness.choice(shapes)


async def _write(books: Books, accounts: list[UUID], seed: int, postings: int) -> int:
    """Post random legs; return the net amount that moved from the accounts to the bank."""
    randomness = random.Random(seed)
    left = 0
    for _ in range(postings):
        legs = _legs(randomness, accounts)
        try:
            await books.post(*legs)
        except InsufficientFunds:
            continue
        left += sum(
            leg.money.minor_units * (1 if leg.side == "CREDIT" else -1)
            for leg in legs
            if isinstance(leg.account, str)
        )
    return left


async def _storm(books: Books, accounts: list[UUID], writers: int, postings: int) -> None:
    before = sum(await books.held(accounts))
    left = await asyncio.gather(
        *(_write(books, accounts, seed, postings) for seed in range(writers))
    )
    assert sum(await books.held(accounts)) == before - sum(left)
    assert all(balance >= 0 for balance in await books.held(accounts))
    await books.assert_right()


async def test_64_writers_with_random_amounts_conserve_the_money(books: Books) -> None:
    await _storm(books, await books.accounts(40, 1_000), WRITERS, POSTINGS_EACH)


async def test_64_writers_on_two_hot_accounts_neither_deadlock_nor_lose_money(
    books: Books,
) -> None:
    await _storm(books, await books.accounts(2, 5_000), WRITERS, POSTINGS_EACH)


async def test_of_50_concurrent_debits_of_a_whole_balance_exactly_one_succeeds(
    books: Books,
) -> None:
    account = await books.account(10_000)
    outcomes = await asyncio.gather(
        *(books.debit(account, 10_000) for _ in range(50)), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, InsufficientFunds)]
    assert len(refused) == 49
    assert await books.held([account]) == [0]


async def test_one_transaction_id_from_50_connections_posts_once(books: Books) -> None:
    account = await books.account(10_000)
    transaction_id = new_id(account.bytes[15] & 63)
    outcomes = await asyncio.gather(
        *(
            books.post(take(account, 10), give(CLEARING, 10), transaction_id=transaction_id)
            for _ in range(50)
        ),
        return_exceptions=True,
    )
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    assert {type(o).__name__ for o in outcomes if isinstance(o, BaseException)} == {
        "DuplicateTransaction"
    }
    assert await books.held([account]) == [9_990]


async def test_first_postings_race_with_the_opening_of_their_account(books: Books) -> None:
    account = new_id()

    async def opened_and_credited() -> None:
        await books.ledger.open_account(account, "USD")
        await books.post(give(account, 1), take("FUNDING", 1))

    async def credited() -> int:
        try:
            await books.post(give(account, 1), take("FUNDING", 1))
        except AccountUnknown:
            return 0
        return 1

    outcomes = await asyncio.gather(
        *(opened_and_credited() for _ in range(32)), *(credited() for _ in range(32))
    )
    held = await books.ledger.balance(account)
    assert held is not None
    expected = 32 + sum(outcome or 0 for outcome in outcomes)
    assert (held.balance.minor_units, held.position) == (expected, expected)


async def test_roll_ups_race_with_postings_and_each_other(
    books: Books, superuser_pool: asyncpg.Pool
) -> None:
    accounts = await books.accounts(8, 1_000)
    before = (await books.ledger.internal_balance(CLEARING, "USD")).minor_units
    folding = [superuser_pool.fetchval("SELECT ledger.roll_up(7)") for _ in range(20)]
    debits = [books.debit(account, 3) for account in accounts for _ in range(10)]
    await asyncio.gather(*debits, *folding)
    after = (await books.ledger.internal_balance(CLEARING, "USD")).minor_units
    assert after - before == 8 * 10 * 3


async def test_the_books_stay_right_when_writers_are_cut_off_in_the_middle(
    books: Books, superuser_pool: asyncpg.Pool
) -> None:
    accounts = await books.accounts(4, 100_000)
    storm = asyncio.gather(
        *(_write(books, accounts, seed, 10) for seed in range(16)), return_exceptions=True
    )
    for _ in range(5):
        await superuser_pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE '%ledger.%' AND pid <> pg_backend_pid() AND state = 'active' LIMIT 3"
        )
    await storm
    await books.assert_right()


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(plan=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-1, 120))))
async def test_any_sequence_of_postings_agrees_with_plain_arithmetic(
    books: Books, plan: list[tuple[int, int, int]]
) -> None:
    accounts = await books.accounts(3, 100)
    expected = [100, 100, 100]
    for payer, payee, amount in plan:
        try:
            await books.post(take(accounts[payer], amount), give(accounts[payee], amount))
        except LedgerRefusal:
            assert amount <= 0 or expected[payer] < amount
            continue
        expected[payer] -= amount
        expected[payee] += amount
    assert await books.held(accounts) == expected
