"""The simulated database returns the same rows and errors as PostgreSQL for each statement."""

import random
import uuid
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from lab.simulator.stores.books import Leg
from lab.simulator.stores.database import sqlstate_of
from services.kernel.ids import new_id, shard_of
from services.payments.rows import DebitOrder, LeasedStep, PlainStep
from services.payments.state import TABLE, Event, State, transition
from services.transfers.store import Request
from tests.integration.simulator.twins import (
    Simulated,
    Twins,
    outbox_rows,
    simulated_outbox_rows,
)
from tests.rigs.stores import PostgresStore

SEEDS = range(6)
STATEMENTS = 150
BENEFICIARIES = [("021000021", "123"), ("021000021", "1230"), ("011000015", "123")]
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture(scope="module")
async def superuser(postgres: PostgresStore) -> AsyncGenerator[asyncpg.Pool]:
    pool = await postgres.pool("postgres", 2)
    yield pool
    await pool.close()


@pytest_asyncio.fixture(scope="module")
async def payments_pool(postgres: PostgresStore) -> AsyncGenerator[asyncpg.Pool]:
    pool = await postgres.pool("bp_payments", 2)
    yield pool
    await pool.close()


@pytest_asyncio.fixture(scope="module")
async def transfers_pool(postgres: PostgresStore) -> AsyncGenerator[asyncpg.Pool]:
    pool = await postgres.pool("bp_transfers", 2)
    yield pool
    await pool.close()


class People:
    """The same few accounts in both databases: rich, poor, in euros, and one that does not
    exist."""

    def __init__(self, luck: random.Random) -> None:
        self.luck = luck
        self.held = [("USD", 100_000), ("USD", 900), ("USD", 0), ("EUR", 5_000)]
        shard = luck.randrange(64)
        self.accounts = [new_id(shard) for _ in self.held] + [new_id(shard)]
        self.customer_id = new_id(shard)

    async def open(self, superuser: asyncpg.Pool, simulated: Simulated) -> None:
        """Open the accounts."""
        for account_id, (currency, amount) in zip(self.accounts, self.held, strict=False):
            seed = "SELECT ledger.seed_accounts($1, $2, $3)"
            await superuser.execute(seed, [account_id], [amount], currency)
            simulated.books.seed(account_id, currency, amount)

    async def compare(self, superuser: asyncpg.Pool, simulated: Simulated) -> None:
        """Fail unless every account has the same balance and position in both."""
        for account_id in self.accounts:
            row = await superuser.fetchrow(
                "SELECT currency, balance, position FROM ledger.balance($1)", account_id
            )
            held = simulated.books.accounts.get(account_id)
            assert (tuple(row) if row else None) == (tuple(held) if held else None)


def _leg(people: People) -> Leg:
    luck = people.luck
    amount = luck.choice((1, 7, 100, 400, 50_000, 0, 10**15 + 1)) * luck.choice((1, -1))
    currency = luck.choice(("USD", "USD", "USD", "EUR"))
    if luck.random() < 0.6:
        return Leg(luck.choice(people.accounts), None, currency, amount)
    code = luck.choice(("ACH_CLEARING", "FEES", "SETTLEMENT", "NOWHERE"))
    return Leg(None, code, currency, amount)


def _legs(people: People) -> list[Leg]:
    """Return legs that mostly balance."""
    luck = people.luck
    legs = [_leg(people) for _ in range(luck.choice((0, 1, 1, 1, 1, 2, 3)))]
    if luck.random() < 0.85 and legs:
        off = sum(leg.amount for leg in legs)
        last = _leg(people)
        legs.append(last._replace(amount=-off, currency=legs[0].currency))
    return legs


def _row(leg: Leg) -> tuple[Any, ...]:
    side = "CREDIT" if leg.amount > 0 else "DEBIT"
    return side, leg.account_id, leg.internal_code, leg.currency, abs(leg.amount)


@pytest.mark.parametrize("seed", SEEDS)
async def test_random_postings_leave_and_are_refused_as_in_the_real_ledger(
    superuser: asyncpg.Pool, seed: int
) -> None:
    simulated, people = Simulated(), People(random.Random(seed))
    await people.open(superuser, simulated)
    luck, refused = people.luck, set[str]()
    ids: list[uuid.UUID] = []
    for _ in range(STATEMENTS):
        fresh = luck.choice((new_id(shard_of(people.customer_id)),) * 8 + (new_id(), uuid.uuid4()))
        transaction_id = luck.choice(ids) if ids and luck.random() < 0.1 else fresh
        legs = _legs(people)
        args = (transaction_id, "TEST", transaction_id)
        try:
            sql = "SELECT * FROM unnest(ledger.post($1, $2, $3, $4::ledger.leg[]))"
            found: list[Any] = await superuser.fetch(sql, *args, [_row(leg) for leg in legs])
            there: Any = [tuple(row) for row in found]
            ids.append(transaction_id)
        except asyncpg.PostgresError as error:
            there = sqlstate_of(error)
            refused.add(there)
        try:
            rows = simulated.database.transact(simulated.books.post, (*args, legs))
            here: Any = [tuple(row.values()) for row in rows]
        except asyncpg.PostgresError as error:
            here = sqlstate_of(error)
        assert here == there, (seed, transaction_id, legs)
    await people.compare(superuser, simulated)
    assert len(refused) >= 5
    assert len(ids) >= 10


async def _forget(superuser: asyncpg.Pool, ids: list[uuid.UUID]) -> None:
    """Keep workers and the relay away from these transfers and events, which are not checked."""
    await superuser.execute("DELETE FROM outbox.event WHERE subject = ANY ($1)", ids)
    await superuser.execute(
        "UPDATE payments.interbank_transfer SET state = 'COMPLETED' WHERE transfer_id = ANY ($1)",
        ids,
    )


class Payers:
    """Random statements of payments, for transfers that may not exist and keys that may be used."""

    def __init__(self, people: People) -> None:
        self.people = people
        self.luck = people.luck
        self.transfers: dict[uuid.UUID, list[Any]] = {}
        """Transfer id -> last seen state and version."""
        self.notices: list[str] = []
        self.marker = uuid.uuid4().hex

    def order(self) -> DebitOrder:
        """Return the arguments of a debit."""
        people, luck = self.people, self.luck
        account_id = luck.choice(people.accounts[:2] * 3 + people.accounts)
        shard = shard_of(account_id)
        transfer_id = new_id(shard)
        amount = luck.choice((1, 100, 300, 99_000, 0, -5))
        now = datetime.now(UTC)
        to = ("Bo", *luck.choice(BENEFICIARIES), "CHECKING", "rent", luck.random() < 0.5)
        key = f"{self.marker}-{luck.randrange(40)}"
        fingerprint = bytes([luck.randrange(2)]) * 32
        lease = ("slot/0", LONG_AGO + timedelta(hours=luck.randrange(48)))
        ids = (new_id(shard), new_id(shard))
        whose = (transfer_id, people.customer_id, account_id, amount, "USD")
        return DebitOrder(
            *(*whose, *to, key, fingerprint, "request", "", now, *lease, *ids, b"payload")
        )

    def step(self) -> tuple[Any, ...] | None:
        """Return the arguments of payments.advance for a legal step; the version may be stale."""
        if not self.transfers:
            return None
        luck = self.luck
        transfer_id = luck.choice(list(self.transfers))
        state, version = self.transfers[transfer_id]
        events = [event for event in Event if TABLE.allows(State(state), event)]
        if not events:
            return None
        event, submitted_before = luck.choice(events), luck.random() < 0.5
        does = transition(State(state), event, submitted_before=submitted_before)
        shard = shard_of(transfer_id)
        return (
            *(transfer_id, version - (luck.random() < 0.2), does.to.value),
            *(luck.choice((None, f"9{luck.randrange(10**14):014d}")), None, None),
            *(datetime.now(UTC), LONG_AGO, does.posting.name if does.posting else None),
            *(new_id(shard), new_id(shard), f"bp.payments.v1.{does.event_type}", b"payload"),
            *(does.frees_key, luck.choice((None, b"answer")), luck.choice((None, *self.notices))),
            luck.choice((None, "CUSTOMER", "BANK")),
            luck.choice(("slot/0", "slot/1", "")),
        )

    def plain(self) -> LeasedStep | None:
        """Return a step that posts nothing, as a row of payments.plain_step, with its lease."""
        step = self.step()
        if step is None or step[8] is not None or step[13]:
            return None
        return LeasedStep(PlainStep._make((*step[:8], *step[10:13], step[14])), step[17])


async def _say_something(twins: Twins, payers: Payers) -> None:
    luck, people = payers.luck, payers.people
    known = set(payers.transfers)
    some = luck.choice(list(known)) if known else new_id(0)
    match luck.randrange(13):
        case 0 | 1:
            await twins.say("debit", *payers.order())
        case 2 | 3:
            await twins.say("debit_each", [payers.order() for _ in range(luck.randrange(1, 6))])
        case 4 | 5:
            step = payers.step()
            if step is not None:
                await twins.say("advance", *step)
        case 6:
            some_steps = [one for _ in range(4) if (one := payers.plain()) is not None]
            steps = {one.step.transfer_id: one for one in some_steps}.values()
            owners = [one.lease_owner for one in steps]
            await twins.say("advance_group", [one.step for one in steps], owners)
        case 7:
            keys = [f"{payers.marker}-{luck.randrange(40)}" for _ in range(3)]
            whose = people.customer_id
            await twins.say("find_keys", [shard_of(whose)] * 3, [whose] * 3, keys)
            whom = zip(*BENEFICIARIES, ("021000021", "124"), strict=True)
            await twins.say("known_beneficiaries", [whose] * 4, *map(list, whom))
        case 8:
            answer = luck.choice((b"first", b"second"))
            await twins.say("keep_response", shard_of(some), some, answer)
        case 9:
            until = LONG_AGO + timedelta(hours=luck.randrange(96))
            now = LONG_AGO + timedelta(hours=luck.randrange(96))
            await twins.say("claim_due", "slot/1", until, now, 64, only=known)
            await twins.say("claim_unsettled", "slot/1", until, now, 64, only=known)
            await _say_of_return_checks(twins, payers, some, now)
        case 10:
            await twins.say("give_up_notices", LONG_AGO, ["transfer.completed"])
            version = payers.transfers[some][1] if known else 1
            whose, owner = (shard_of(some), some, version), luck.choice(("slot/0", "slot/1"))
            await twins.say("renew_lease", *whose, owner, LONG_AGO)
            await twins.say("postpone", *whose, LONG_AGO, luck.choice(("slot/0", "slot/1")))
        case _:
            await _say_of_notices(twins, payers, some)


async def _say_of_return_checks(
    twins: Twins, payers: Payers, some: uuid.UUID, now: datetime
) -> None:
    until = now + timedelta(seconds=45)
    await twins.say("claim_return_checks", until, now, 64, only=set(payers.transfers))
    await twins.say("check_return_at", shard_of(some), some, now)
    await twins.say("check_return_by", shard_of(some), some, now + timedelta(seconds=1))
    await twins.say("check_return_by", shard_of(some), some, now - timedelta(seconds=1))
    waits = (LONG_AGO - timedelta(days=9), now, timedelta(days=1), timedelta(hours=5))
    await twins.say("learned_traces", *waits, 1000, only=set(payers.transfers))
    await twins.say("move_traces_mark", f"{payers.marker}/0", now)
    await twins.say("traces_mark", f"{payers.marker}/0")
    if payers.luck.random() < 0.2:
        await twins.say("end_return_checks", shard_of(some), some)


async def _say_of_notices(twins: Twins, payers: Payers, some: uuid.UUID) -> None:
    luck = payers.luck
    notice_id = f"{payers.marker}-n{luck.randrange(8)}"
    payers.notices.append(notice_id)
    await twins.say("keep_notice", notice_id, "transfer.completed", f"t{notice_id}", some, "", None)
    if luck.random() < 0.2:
        reused = (f"{notice_id}#1", "transfer.returned", f"t{notice_id}", some, "R03", None)
        payers.notices.append(reused[0])
        await twins.say("keep_conflict", *reused)
    if luck.random() < 0.4:
        await twins.say("close_notice", notice_id, luck.choice(("STALE", "CONFLICT")))
    if luck.random() < 0.2:
        version = payers.transfers.get(some, ["", 1])[1] - (luck.random() < 0.2)
        aside = (f"{notice_id}-aside", "transfer.not_found", "")
        await twins.say("put_aside", shard_of(some), some, version, *aside)
    await twins.say(
        "matching_notices",
        64,
        ["transfer.completed", "transfer.returned"],
        luck.choice(("", notice_id)),
        only=set(payers.transfers),
    )


@pytest.mark.parametrize("seed", SEEDS)
async def test_random_statements_of_payments_get_the_same_answers(
    superuser: asyncpg.Pool, payments_pool: asyncpg.Pool, seed: int
) -> None:
    simulated, people = Simulated(), People(random.Random(1000 + seed))
    await people.open(superuser, simulated)
    twins = Twins(payments_pool, "payments", simulated.payments, simulated.database)
    payers = Payers(people)
    for _ in range(STATEMENTS):
        await _say_something(twins, payers)
        rows = simulated.payments.transfers
        payers.transfers = {one: [row["state"], row["version"]] for one, row in rows.items()}
    for transfer_id in payers.transfers:
        await twins.say("transfer", shard_of(transfer_id), transfer_id)
    for notice_id in set(payers.notices):
        row = simulated.payments.notices[notice_id]
        content = (row["type"], row["trace_number"], row["transfer_id"], row["return_code"])
        await twins.say("keep_notice", notice_id, *content, None)
        await twins.say("keep_notice", notice_id, "again", "", None, "", None)
    await people.compare(superuser, simulated)
    made = list(simulated.payments.transfers)
    assert await outbox_rows(superuser, made) == simulated_outbox_rows(simulated.outbox)
    assert len({state for state, _ in payers.transfers.values()}) >= 5
    await _forget(superuser, made)


@pytest.mark.parametrize("seed", SEEDS)
async def test_random_book_transfers_get_the_same_answers(
    superuser: asyncpg.Pool, transfers_pool: asyncpg.Pool, seed: int
) -> None:
    simulated, people = Simulated(), People(random.Random(2000 + seed))
    await people.open(superuser, simulated)
    twins = Twins(transfers_pool, "transfers", simulated.transfers, simulated.database)
    luck, marker, stranger = people.luck, uuid.uuid4().hex, new_id()

    def request() -> Request:
        source, target = luck.sample(people.accounts, 2)
        owner = luck.choice((people.customer_id, stranger))
        ids = (new_id(shard_of(source)), source, owner, target)
        fingerprint = bytes([luck.randrange(2)]) * 32
        key = (people.customer_id, f"{marker}-{luck.randrange(40)}", fingerprint)
        paid = ("USD", luck.choice((1, 100, 800)), "rent", datetime.now(UTC))
        answer = f"answer {ids[0]}".encode()
        return Request(*key, *ids, *paid, answer, new_id(), b"payload", None)

    for _ in range(STATEMENTS):
        match luck.randrange(4):
            case 0:
                await twins.say("post_book_transfer", *request())
            case 1:
                orders = [request() for _ in range(luck.randrange(1, 6))]
                await twins.say("post_book_transfers", orders)
            case 2:
                whose = [people.customer_id] * len(people.accounts)
                await twins.say("known_beneficiaries", whose, people.accounts)
            case _:
                await twins.say("replay", *request()[:3])
    made = simulated.transfers.made
    for transfer_id in made:
        await twins.say("transfer", shard_of(transfer_id), transfer_id)
    await people.compare(superuser, simulated)
    assert await outbox_rows(superuser, list(made)) == simulated_outbox_rows(simulated.outbox)
    assert len(made) >= 15
    await _forget(superuser, list(made))


@pytest.mark.parametrize("seed", SEEDS)
async def test_keys_of_both_services_get_the_same_answers(
    superuser: asyncpg.Pool, payments_pool: asyncpg.Pool, transfers_pool: asyncpg.Pool, seed: int
) -> None:
    simulated, people = Simulated(), People(random.Random(3000 + seed))
    await people.open(superuser, simulated)
    payments = Twins(payments_pool, "payments", simulated.payments, simulated.database)
    transfers = Twins(transfers_pool, "transfers", simulated.transfers, simulated.database)
    payers, luck = Payers(people), people.luck

    def request() -> Request:
        source, target = luck.sample(people.accounts, 2)
        ids = (new_id(shard_of(source)), source, people.customer_id, target)
        key = (people.customer_id, f"{payers.marker}-{luck.randrange(40)}", b"book" * 8)
        paid = ("USD", luck.choice((1, 100, 800)), "rent", datetime.now(UTC))
        return Request(*key, *ids, *paid, b"answer", new_id(), b"payload", None)

    verdicts: set[Any] = set()
    for _ in range(STATEMENTS):
        match luck.randrange(5):
            case 0 | 1:
                await _say_something(payments, payers)
                rows = simulated.payments.transfers
                payers.transfers = {one: [r["state"], r["version"]] for one, r in rows.items()}
                continue
            case 2:
                said = await transfers.say("post_book_transfer", *request())
            case 3:
                orders = [request() for _ in range(luck.randrange(1, 6))]
                said = await transfers.say("post_book_transfers", orders)
            case _:
                said = await transfers.say("replay", *request()[:3])
        verdicts |= {dict(row)["verdict"] for row in said.rows}
    await people.compare(superuser, simulated)
    made = [*simulated.payments.transfers, *simulated.transfers.made]
    assert await outbox_rows(superuser, made) == simulated_outbox_rows(simulated.outbox)
    assert verdicts >= {"POSTED", "REPLAYED", "REUSED"}
    await _forget(superuser, made)
