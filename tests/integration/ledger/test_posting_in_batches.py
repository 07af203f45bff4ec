"""Postings in a batch have the same results as when they are posted one by one."""

import asyncio
import random
from collections.abc import Sequence
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.waiting import until
from services.chassis.postgres import connect
from services.kernel.ids import new_id, shard_of
from services.kernel.money import Money
from services.ledger.api import Leg, Posted, Posting, Side
from services.ledger.refusals import (
    ALL,
    AccountUnknown,
    CurrencyMismatch,
    DuplicateTransaction,
    InsufficientFunds,
    InternalAccountUnknown,
    LedgerRefusal,
    LegInvalid,
    TransactionIdInvalid,
    Unbalanced,
)
from tests.integration.ledger.books import CLEARING, USD, Books, give, take
from tests.rigs.stores import PostgresStore

SHARDS = (3, 3, 40, 61)
HELD = (100, 250, 0, 60)
CODES = (CLEARING, "FEES")

_LEGS = st.lists(
    st.tuples(
        st.sampled_from(Side),
        st.integers(0, len(SHARDS) + len(CODES)),
        st.integers(-1, 130),
        st.sampled_from([USD, USD, USD, USD, "EUR"]),
    ),
    max_size=4,
)
_PAIRS = st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 130)).map(
    lambda pair: [(Side.DEBIT, pair[0], pair[2], USD), (Side.CREDIT, pair[1], pair[2], USD)]
)
_BALANCED = st.lists(_PAIRS, min_size=1, max_size=3).flatmap(
    lambda pairs: st.permutations([leg for pair in pairs for leg in pair])
)
_PLAN = st.lists(
    st.tuples(st.one_of(_PAIRS, _BALANCED, _LEGS), st.sampled_from([None, None, None, 0, 1])),
    max_size=12,
)
"""Postings as legs with account numbers, and the earlier posting whose id they repeat, if any."""

_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""

Plan = list[tuple[list[tuple[Side, int, int, str]], int | None]]


def posting(*legs: Leg, transaction_id: UUID | None = None) -> Posting:
    """A posting under a fresh id in its first leg's shard."""
    first = legs[0].account if legs else ""
    shard = shard_of(first) if isinstance(first, UUID) else 0
    return Posting(transaction_id or new_id(shard), "TEST", new_id(shard), legs)


def _postings(plan: Plan, accounts: Sequence[UUID]) -> list[Posting]:
    places: list[UUID | str] = [*accounts, *CODES, "NO_SUCH_CODE"]
    made: list[Posting] = []
    for numbered, repeats in plan:
        legs = [Leg(side, places[n], Money(cents, money)) for side, n, cents, money in numbered]
        earlier = made[repeats].transaction_id if repeats is not None and made[repeats:] else None
        made.append(posting(*legs, transaction_id=earlier))
    return made


async def _one_by_one(books: Books, postings: Sequence[Posting]) -> list[object]:
    became: list[object] = []
    for one in postings:
        try:
            became.append(
                await books.ledger.post(one.transaction_id, one.kind, one.reference, one.legs)
            )
        except LedgerRefusal as refusal:
            became.append(refusal)
    return became


async def _accounts(books: Books) -> list[UUID]:
    """Open the accounts of the plan, one in each of its shards."""
    opened = [new_id(shard) for shard in SHARDS]
    await books.superuser.seed_accounts(opened, HELD, USD)
    return opened


def _results(became: Sequence[object], accounts: Sequence[UUID]) -> list[object]:
    """Return the results that a caller gets, with accounts by number."""
    number = {account: n for n, account in enumerate(accounts)}
    return [
        [(number[p.account_id], p.balance, p.position) for p in one]
        if isinstance(one, tuple)
        else type(one)
        for one in became
    ]


async def _kept(
    books: Books, superuser: asyncpg.Pool, postings: Sequence[Posting], accounts: Sequence[UUID]
) -> list[object]:
    """Return entries and balances in the books, with accounts and postings by number."""
    number = {account: n for n, account in enumerate(accounts)}
    which = {one.reference: n for n, one in enumerate(postings)}
    entries = await superuser.fetch(
        "SELECT reference, line, internal_code, currency, amount, balance_after, position, kind,"
        " shard, account_id FROM ledger.entry WHERE reference = ANY ($1)",
        list(which),
    )
    lines = sorted(
        (which[entry["reference"]], *tuple(entry)[1:-1], number.get(entry["account_id"]))
        for entry in entries
    )
    held = [await books.ledger.balance(account) for account in accounts]
    return [lines, [(p.balance, p.position) if p else None for p in held]]


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(plan=_PLAN)
async def test_a_batch_has_the_results_of_its_postings_one_by_one(
    books: Books, superuser_pool: asyncpg.Pool, plan: Plan
) -> None:
    alone, together = await _accounts(books), await _accounts(books)
    singles, batch = _postings(plan, alone), _postings(plan, together)
    became_alone = await _one_by_one(books, singles)
    became_together = await books.ledger.post_group(batch)
    assert _results(became_together, together) == _results(became_alone, alone)
    assert await _kept(books, superuser_pool, batch, together) == await _kept(
        books, superuser_pool, singles, alone
    )


async def test_each_refusal_is_returned_and_refuses_no_other_posting(books: Books) -> None:
    rich, poor = await books.accounts(2, 1_000)
    done = posting(take(rich, 1), give(CLEARING, 1))
    await books.ledger.post_group([done])
    wrong_shard = new_id((shard_of(rich) + 1) % 64)
    old = UUID(int=(1_000 << 80) | (7 << 76) | (2 << 62) | shard_of(rich))
    cases = {
        InsufficientFunds: posting(take(poor, 1_001), give(CLEARING, 1_001)),
        AccountUnknown: posting(take(new_id(), 5), give(CLEARING, 5)),
        CurrencyMismatch: posting(take(poor, 5, "EUR"), give(CLEARING, 5, "EUR")),
        DuplicateTransaction: done,
        Unbalanced: posting(take(poor, 5), give(CLEARING, 6)),
        LegInvalid: posting(take(poor, 0), give(CLEARING, 0)),
        InternalAccountUnknown: posting(take(poor, 5), give("NO_SUCH_CODE", 5)),
        TransactionIdInvalid: posting(take(rich, 5), give(CLEARING, 5), transaction_id=wrong_shard),
    }
    without_month = posting(take(rich, 5), give(CLEARING, 5), transaction_id=old)
    goods = [posting(take(rich, 10), give(poor, 10)) for _ in cases]
    mixed = [one for pair in zip(cases.values(), goods, strict=True) for one in pair]
    became = await books.ledger.post_group([*mixed, without_month])
    assert [type(refusal) for refusal in became[:-1:2]] == list(cases)
    assert isinstance(became[-1], TransactionIdInvalid)
    assert {refusal.sqlstate for refusal in cases} == {one.sqlstate for one in ALL} - {"BP008"}
    assert all(isinstance(one, tuple) for one in became[1::2])
    assert await books.held([rich, poor]) == [999 - 80, 1_080]


async def test_a_refused_posting_of_many_legs_moves_nothing(books: Books) -> None:
    rich, poor = await books.accounts(2, 100)
    refused, good = await books.ledger.post_group(
        [
            posting(give(poor, 5), take(rich, 3), take(rich, 98), give(CLEARING, 96)),
            posting(take(rich, 100), give(poor, 100)),
        ]
    )
    assert isinstance(refused, InsufficientFunds)
    assert isinstance(good, tuple)
    assert [(p.balance.minor_units, p.position) for p in good] == [(0, 2), (200, 2)]


async def test_concurrent_debits_of_a_scarce_balance_are_served_in_order(books: Books) -> None:
    account = await books.account(700)
    wants = [300, 300, 300, 100, 50]
    became = await books.ledger.post_group(
        [posting(take(account, cents), give(CLEARING, cents)) for cents in wants]
    )
    assert [isinstance(one, tuple) for one in became] == [True, True, False, True, False]
    page = await books.ledger.statement(account)
    assert [(line.amount.minor_units, line.balance_after.minor_units) for line in page] == [
        *((-100, 0), (-300, 100), (-300, 400), (700, 700)),
    ]


async def test_a_batch_of_none_and_a_batch_of_refused_postings_change_nothing(books: Books) -> None:
    account = await books.account(100)
    assert await books.ledger.post_group([]) == ()
    (refused,) = await books.ledger.post_group([posting(take(account, 101), give(CLEARING, 101))])
    assert isinstance(refused, InsufficientFunds)
    assert await books.ledger.balance(account) == Posted(account, Money(100, USD), 1)


async def test_batches_and_single_postings_race_without_deadlock_and_conserve_money(
    books: Books,
) -> None:
    accounts = await books.accounts(6, 5_000)

    async def write(seed: int) -> None:
        randomness = random.Random(seed)
        pairs = [randomness.sample(accounts, 2) for _ in range(randomness.choice([1, 8, 40]))]
        batch = [posting(take(a, 7), give(b, 7)) for a, b in pairs]
        became = await books.ledger.post_group(batch)
        assert {type(one) for one in became} <= {tuple, InsufficientFunds}
        await asyncio.gather(*(books.post(take(b, 7), give(a, 7)) for a, b in pairs[:3]))

    await asyncio.gather(*(write(seed) for seed in range(48)))
    assert sum(await books.held(accounts)) == 30_000
    await books.assert_right()


async def test_one_id_in_batches_of_several_connections_is_posted_once(books: Books) -> None:
    account = await books.account(10_000)
    wanted = [posting(take(account, 10), give(CLEARING, 10)) for _ in range(5)]
    became = await asyncio.gather(*(books.ledger.post_group(wanted) for _ in range(12)))
    for copies in zip(*became, strict=True):
        assert sorted(type(one).__name__ for one in copies) == ["DuplicateTransaction"] * 11 + [
            "tuple"
        ]
    assert await books.held([account]) == [9_950]


async def test_a_batch_whose_wait_for_a_lock_times_out_changes_nothing(
    books: Books, postgres: PostgresStore
) -> None:
    held, free = await books.accounts(2, 100)
    blocker = await postgres.session("postgres")
    waiter = await connect(postgres.database("postgres"), "waiter")
    await waiter.execute("SET lock_timeout = '100ms'")
    batch = [posting(take(one, 10), give(CLEARING, 10)).to_row() for one in (free, held)]
    async with blocker.transaction():
        await blocker.execute("SELECT FROM ledger.account WHERE account_id = $1 FOR UPDATE", held)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await waiter.execute("SELECT ledger.post_group($1::ledger.posting[])", batch)
    await blocker.close()
    await waiter.close()
    assert await books.held([held, free]) == [100, 100]


async def test_duplicates_posted_while_a_batch_waited_are_refused_and_the_rest_is_posted(
    books: Books, postgres: PostgresStore
) -> None:
    """Even if the first posting emptied the account, no caller gets INSUFFICIENT_FUNDS."""
    rich, poor = await books.accounts(2, 100)
    wanted = ((rich, 10), (poor, 100))
    first = [posting(take(one, held), give(CLEARING, held)) for one, held in wanted]
    batch = [*first, posting(take(rich, 20), give(CLEARING, 20))]
    looker = await connect(postgres.database("postgres"), "looker")
    other = await postgres.session("postgres")
    async with other.transaction():
        rows = [one.to_row() for one in first]
        await other.execute("SELECT ledger.post_group($1::ledger.posting[])", rows)
        waits = asyncio.create_task(books.ledger.post_group(batch))
        await until(lambda: looker.fetchval(_WAITING), 20, "the batch waits")
    await other.close()
    await looker.close()
    names = [type(one).__name__ for one in await waits]
    assert names == ["DuplicateTransaction", "DuplicateTransaction", "tuple"]
    assert await books.held([rich, poor]) == [70, 0]
    await books.assert_right()
