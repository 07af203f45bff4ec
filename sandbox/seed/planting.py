"""Fills the databases of a sandbox bank with customers, accounts and opening balances.

The stack runs it at its start, and `bpctl load` on demand, as the cluster's superuser. Existing
rows stay unchanged, so it can be repeated safely, even while money moves.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from sandbox.seed import people
from sandbox.seed.people import Deposit, Person

Connect = Callable[[str], Awaitable[asyncpg.Connection]]
"""Opens a superuser's connection to a database by name."""

LOAD_ON_FIRST_START = 300
BATCH_PEOPLE = 10_000
_DATABASES = ("bp_customers", "bp_write", "bp_notifications")

_CUSTOMERS = """
INSERT INTO customers.customer (customer_id, user_name, display_name, email, locale, create_time)
SELECT u.*, $6 FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[]) u
ON CONFLICT DO NOTHING
"""
_ACCOUNTS = """
INSERT INTO customers.account (account_id, customer_id, account_type, state, create_time)
SELECT u.*, $5 FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) u
ON CONFLICT DO NOTHING
"""
# The opening posting is an account's first, so the projection starts at position 1. A projection
# that events have updated has a higher position and stays.
_BALANCES = """
INSERT INTO customers.balance (account_id, currency, balance, position)
SELECT id, 'USD', cents, 1 FROM unnest($1::uuid[], $2::bigint[]) u (id, cents) WHERE cents > 0
ON CONFLICT DO NOTHING
"""
_DEVICES = """
INSERT INTO notif.device (token, customer_id, locale)
SELECT u.* FROM unnest($1::text[], $2::uuid[], $3::text[]) u
ON CONFLICT DO NOTHING
"""
_LEDGER = "SELECT ledger.seed_accounts($1::uuid[], $2::bigint[], 'USD')"


@dataclass(frozen=True)
class Seeded:
    """The result of a run."""

    customers: int
    """How many of the requested customers exist after the run."""
    opened: int
    """How many opening balances this run posted."""


@dataclass(frozen=True)
class _Opened:
    """One account with its holder's name."""

    user_name: str
    deposit: Deposit


async def seed(connect: Connect) -> Seeded:
    """Open the named customers and the first LOAD_ON_FIRST_START customers for benchmarks."""
    wanted = itertools.chain(people.NAMED, people.load_people(LOAD_ON_FIRST_START))
    return await open_people(connect, wanted)


async def load(
    connect: Connect, customers: int, progress: Callable[[int], None] = lambda _: None
) -> Seeded:
    """Open `customers` customers, load-000001 and up; `progress` gets the number done."""
    return await open_people(connect, people.load_people(customers), progress)


async def open_people(
    connect: Connect, wanted: Iterable[Person], progress: Callable[[int], None] = lambda _: None
) -> Seeded:
    """Open customers in batches; the three databases work concurrently.

    A crash in between leaves a customer without an opening balance, or a balance without its
    customer; the next run completes it.
    """
    connections = [await connect(name) for name in _DATABASES]
    read, write, notify = connections
    done = opened = 0
    remaining = iter(wanted)
    try:
        for connection in connections:
            # If a power cut loses the seed, it is run again; transfers are never written like this.
            await connection.execute("SET synchronous_commit = off; SET statement_timeout = 0")
        notified = await notify.fetchval("SELECT to_regclass('notif.device') IS NOT NULL")
        while batch := list(itertools.islice(remaining, BATCH_PEOPLE)):
            accounts = [_Opened(p.user_name, deposit) for p in batch for deposit in p.deposits]
            ids = [people.account_id(one.user_name, one.deposit.kind) for one in accounts]
            async with asyncio.TaskGroup() as tasks:
                cents = [one.deposit.cents for one in accounts]
                posting = tasks.create_task(_post(write, ids, cents))
                tasks.create_task(_write_customers(read, batch, accounts, ids))
                if notified:
                    tasks.create_task(_write_devices(notify, batch))
            done += len(batch)
            opened += posting.result()
            progress(done)
    finally:
        await asyncio.gather(*(connection.close() for connection in connections))
    return Seeded(done, opened)


async def _post(connection: asyncpg.Connection, ids: Sequence[object], cents: Sequence[int]) -> int:
    posted: Any = await connection.fetchval(_LEDGER, ids, cents)
    return int(posted)


async def _write_devices(connection: asyncpg.Connection, batch: Sequence[Person]) -> None:
    """Give each customer one phone; called only if the notifications tables exist."""
    await connection.execute(
        _DEVICES,
        [people.device_token(person.user_name) for person in batch],
        [people.customer_id(person.user_name) for person in batch],
        [person.locale for person in batch],
    )


async def _write_customers(
    connection: asyncpg.Connection,
    batch: Sequence[Person],
    accounts: Sequence[_Opened],
    ids: Sequence[object],
) -> None:
    async with connection.transaction():
        await connection.execute(
            _CUSTOMERS,
            [people.customer_id(person.user_name) for person in batch],
            [person.user_name for person in batch],
            [person.display_name for person in batch],
            [person.email for person in batch],
            [person.locale for person in batch],
            people.OPENING_TIME,
        )
        await connection.execute(
            _ACCOUNTS,
            ids,
            [people.customer_id(one.user_name) for one in accounts],
            [one.deposit.kind for one in accounts],
            [one.deposit.state for one in accounts],
            people.OPENING_TIME,
        )
        await connection.execute(_BALANCES, ids, [one.deposit.cents for one in accounts])
