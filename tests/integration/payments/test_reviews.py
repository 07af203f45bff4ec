"""Transfers in review: the queue, what a person decides, and what a refusal does."""

import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest
import pytest_asyncio
import typer
from bp.payments.v1.payments_events_pb2 import CancelRequester, PaymentEvent, TransferReviewed
from structlog.testing import capture_logs

from ops.bpctl import connections
from ops.bpctl import reviews as commands
from ops.waiting import until
from services.chassis.postgres import load_queries
from services.kernel.clock import utc_now
from services.kernel.ids import new_id, shard_of
from services.payments import errors, handlers, mapping, reviews
from services.payments.dependencies import Dependencies
from services.payments.driver import Driver
from services.payments.partners.ach import AchClient
from services.payments.saga import Answer, Outcome
from services.payments.state import DEBIT, Event, State
from services.payments.store import Store
from services.payments.transfer import Fact, Requester, Review, Transfer, debited
from tests.integration.payments.orders import order_of
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.stores import PostgresStore

WITHIN_S = 20.0
TRACE = "991000010000001"
DECIDE = "SELECT payments.decide_review($1, $2, 'eva', 'called the customer', 'eva.n (uid 1000)')"
REQUESTED, CANCELLED = "transfer_cancel_requested", "transfer_cancelled"
REVIEWED = "transfer_reviewed"
REFUSED = TransferReviewed.REFUSED
QUERIES = Path(reviews.__file__).with_name("sql") / "queries.sql"
QUEUE = "SELECT transfer_id FROM payments.interbank_transfer WHERE fraud_review"


class _House:
    """A clearing house that still has every transfer and cancels it."""

    async def recall(self, _transfer: Transfer) -> Answer:
        """Cancel it."""
        return Answer(Outcome.RECALLED)

    async def submit(self, _transfer: Transfer) -> Answer:
        """Fail: nothing is submitted here."""
        raise AssertionError

    query = submit


@pytest_asyncio.fixture
async def reviewer(postgres: PostgresStore) -> AsyncGenerator[asyncpg.Connection]:
    connection = await postgres.session("bp_reviewer")
    yield connection
    await connection.close()


@pytest.fixture
def deps(store: Store) -> Dependencies:
    driver = Driver(store, cast("AchClient", _House()), "test/0")
    return cast("Dependencies", SimpleNamespace(store=store, driver=driver))


async def _flagged(deps: Dependencies, bank: LedgerBank) -> Transfer:
    holder = await bank.open_holder(5_00)
    order = order_of(holder)
    transfer_id = new_id(shard_of(order.account_id))
    transfer = debited(order, transfer_id, fraud_review=True, now=utc_now())
    event = mapping.event_out(transfer, DEBIT.event_type, new_id())
    await deps.store.debit(order, transfer, event, deps.driver.lease())
    return transfer


async def _submitted(deps: Dependencies, transfer: Transfer) -> Transfer:
    moved, _ = await deps.driver.save(transfer, Fact(Event.ACCEPTED, trace_number=TRACE))
    return moved


async def _decision(bank: LedgerBank, transfer: Transfer) -> Any:
    write = await bank.superuser("bp_write")
    sql = "SELECT * FROM payments.review_decision WHERE transfer_id = $1"
    return await write.fetchrow(sql, transfer.transfer_id)


async def _queue(bank: LedgerBank) -> set[Any]:
    write = await bank.superuser("bp_write")
    return {row["transfer_id"] for row in await write.fetch(QUEUE)}


async def _cancelled(deps: Dependencies, transfer: Transfer) -> Transfer:
    """Wait until a transfer is cancelled; return it."""

    async def cancelled() -> Transfer | None:
        stored = await deps.store.transfer(transfer.transfer_id)
        ended = stored is not None and stored.transfer.state is State.CANCELLED
        return stored.transfer if stored and ended else None

    return await until(cancelled, WITHIN_S, "the refused transfer is cancelled")


async def _events(bank: LedgerBank, transfer: Transfer) -> list[PaymentEvent]:
    write = await bank.superuser("bp_write")
    sql = "SELECT payload FROM outbox.event WHERE subject = $1 ORDER BY id"
    rows = await write.fetch(sql, transfer.transfer_id)
    return [PaymentEvent.FromString(row["payload"]) for row in rows]


async def _reports(bank: LedgerBank, transfer: Transfer) -> list[tuple[int, int]]:
    """Return decision and effect of each event of a review."""
    found = [e.transfer_reviewed for e in await _events(bank, transfer) if e.HasField(REVIEWED)]
    return [(fact.decision, fact.effect) for fact in found]


async def _requesters(bank: LedgerBank, transfer: Transfer) -> set[int]:
    """Return the requesters that the events of a cancellation name."""
    events = await _events(bank, transfer)
    return {
        *(e.transfer_cancel_requested.requested_by for e in events if e.HasField(REQUESTED)),
        *(e.transfer_cancelled.requested_by for e in events if e.HasField(CANCELLED)),
    }


async def test_a_flagged_transfer_is_in_the_queue_until_a_person_clears_it(
    deps: Dependencies, bank: LedgerBank, reviewer: asyncpg.Connection
) -> None:
    transfer = await _flagged(deps, bank)
    assert transfer.transfer_id in await _queue(bank)
    assert await reviewer.fetchval(DECIDE, transfer.transfer_id, "CLEARED") == "NONE"
    assert transfer.transfer_id not in await _queue(bank)
    row = await _decision(bank, transfer)
    assert (row["reviewer"], row["note"]) == ("eva", "called the customer")
    # A second decision changes nothing.
    assert await reviewer.fetchval(DECIDE, transfer.transfer_id, "REFUSED") is None
    assert await _decision(bank, transfer) == row
    # The saga continues.
    assert (await _submitted(deps, transfer)).state is State.SUBMITTED


async def test_a_refused_transfer_that_can_be_cancelled_is_cancelled_and_refunded(
    deps: Dependencies, bank: LedgerBank, reviewer: asyncpg.Connection
) -> None:
    transfer = await _submitted(deps, await _flagged(deps, bank))
    assert await reviewer.fetchval(DECIDE, transfer.transfer_id, "REFUSED") == "REQUESTED"
    await reviews.take_up_decisions(deps)

    assert (await _cancelled(deps, transfer)).cancel_requester is Requester.BANK
    assert await _requesters(bank, transfer) == {CancelRequester.BANK}
    assert await bank.held(transfer.account_id) == (5_00, 3)
    assert (await _decision(bank, transfer))["effect"] == "CANCELLING"
    assert await _reports(bank, transfer) == [
        (TransferReviewed.REFUSED, TransferReviewed.CANCELLING)
    ]


async def test_a_cancellation_that_the_customer_requested_first_stays_the_customers(
    deps: Dependencies, bank: LedgerBank, reviewer: asyncpg.Connection
) -> None:
    transfer = await _submitted(deps, await _flagged(deps, bank))
    assert await reviewer.fetchval(DECIDE, transfer.transfer_id, "REFUSED") == "REQUESTED"
    await handlers.request_cancellation(deps, transfer, Requester.CUSTOMER)
    await reviews.take_up_decisions(deps)
    assert (await _cancelled(deps, transfer)).cancel_requester is Requester.CUSTOMER
    assert await _requesters(bank, transfer) == {CancelRequester.CUSTOMER}


async def test_only_the_request_that_was_saved_is_logged(
    deps: Dependencies, bank: LedgerBank
) -> None:
    """A request that another step overtook had a line too, also when it was refused."""
    asked, settled = [await _submitted(deps, await _flagged(deps, bank)) for _ in range(2)]
    await deps.driver.save(settled, Fact(Event.COMPLETED, trace_number=TRACE))
    with capture_logs() as logs:
        for requester in (Requester.CUSTOMER, Requester.CUSTOMER, Requester.BANK):
            moved = await handlers.request_cancellation(deps, asked, requester)
            assert moved.state is State.CANCELLING
        with pytest.raises(errors.NotCancellable):
            await handlers.request_cancellation(deps, settled, Requester.CUSTOMER)
    told = [one for one in logs if one["event"] == "transfer.cancel_requested"]
    assert [(one["transfer_id"], one["requested_by"], one["state"]) for one in told] == [
        (str(asked.transfer_id), "CUSTOMER", "CANCELLING")
    ]


async def test_a_refusal_of_a_transfer_that_its_customer_has_cancelled_is_not_needed(
    deps: Dependencies, bank: LedgerBank, reviewer: asyncpg.Connection
) -> None:
    transfer = await _submitted(deps, await _flagged(deps, bank))
    assert await reviewer.fetchval(DECIDE, transfer.transfer_id, "REFUSED") == "REQUESTED"
    asked = await handlers.request_cancellation(deps, transfer, Requester.CUSTOMER)
    await deps.driver.save(asked, Fact(Event.RECALLED))
    await reviews.take_up_decisions(deps)
    assert (await _decision(bank, transfer))["effect"] == "NOT_NEEDED"
    assert await _reports(bank, transfer) == [
        (TransferReviewed.REFUSED, TransferReviewed.NOT_NEEDED)
    ]


async def test_each_decision_has_one_event_for_the_audit_trail(
    deps: Dependencies, bank: LedgerBank, reviewer: asyncpg.Connection
) -> None:
    transfer = await _flagged(deps, bank)
    await reviewer.fetchval(DECIDE, transfer.transfer_id, "CLEARED")
    (review,) = [
        one
        async for one in deps.store.unreported_reviews()
        if one.transfer_id == transfer.transfer_id
    ]
    await reviews.take_up_decisions(deps)
    await reviews.take_up_decisions(deps)
    assert await _reports(bank, transfer) == [(TransferReviewed.CLEARED, TransferReviewed.NONE)]
    # A worker that read the decision before the other one reported it writes nothing.
    event = mapping.review_event(review, transfer, new_id(shard_of(transfer.transfer_id)))
    assert await deps.store.report_review(review, event) is False
    assert len(await _reports(bank, transfer)) == 1
    row = await _decision(bank, transfer)
    told = (await _events(bank, transfer))[-1]
    assert told.metadata.event_id == str(row["event_id"])
    assert told.metadata.customer_id == str(transfer.customer_id)
    assert (told.transfer_reviewed.reviewer, told.transfer_reviewed.note) == (
        "eva",
        "called the customer",
    )
    assert told.transfer_reviewed.os_user == row["os_user"] == "eva.n (uid 1000)"


async def test_a_decision_of_the_previous_version_has_no_user(
    deps: Dependencies, bank: LedgerBank, reviewer: asyncpg.Connection
) -> None:
    transfer = await _flagged(deps, bank)
    former = "SELECT payments.decide_review($1, 'CLEARED', 'eva', 'known payee')"
    assert await reviewer.fetchval(former, transfer.transfer_id) == "NONE"
    await reviews.take_up_decisions(deps)
    assert (await _events(bank, transfer))[-1].transfer_reviewed.os_user == ""
    assert (await _decision(bank, transfer))["os_user"] is None


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("", asyncpg.InvalidParameterValueError),
        (" eva", asyncpg.InvalidParameterValueError),
        ("eva\x1b[2K", asyncpg.InvalidParameterValueError),
        ("e" * 65, asyncpg.InvalidParameterValueError),
        ("bo RIVERA", asyncpg.RaiseError),
    ],
)
async def test_a_name_that_names_nobody_or_the_beneficiary_decides_nothing(
    deps: Dependencies,
    bank: LedgerBank,
    reviewer: asyncpg.Connection,
    name: str,
    error: type[asyncpg.PostgresError],
) -> None:
    transfer = await _flagged(deps, bank)
    sql = "SELECT payments.decide_review($1, 'CLEARED', $2, 'why', 'eva.n (uid 1000)')"
    with pytest.raises(error):
        await reviewer.fetchval(sql, transfer.transfer_id, name)
    assert transfer.transfer_id in await _queue(bank)
    assert await _decision(bank, transfer) is None


async def test_bpctl_says_whose_name_cannot_decide(
    deps: Dependencies,
    bank: LedgerBank,
    reviewer: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def connected() -> asyncpg.Connection:
        return reviewer

    monkeypatch.setattr(connections, "connect_reviewer", connected)
    transfer = await _flagged(deps, bank)
    decision = ("CLEARED", "bo RIVERA", "why", "eva.n (uid 1000)")
    with pytest.raises(typer.Exit):
        await commands._record(transfer.transfer_id, *decision)
    said = "The name of --by is the beneficiary's. Another person must decide.\n"
    assert capsys.readouterr().err == said


async def test_an_effect_whose_event_cannot_be_written_is_not_saved(
    deps: Dependencies, bank: LedgerBank, reviewer: asyncpg.Connection
) -> None:
    transfer = await _flagged(deps, bank)
    await reviewer.fetchval(DECIDE, transfer.transfer_id, "REFUSED")
    before = await _decision(bank, transfer)
    review = Review(transfer.transfer_id, "REFUSED", "CANCELLING", "eva", "why", utc_now())
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await deps.store.report_review(review, mapping.review_event(review, transfer, uuid.uuid4()))
    assert await _decision(bank, transfer) == before
    await reviews.take_up_decisions(deps)
    await _cancelled(deps, transfer)


async def test_decisions_without_an_event_are_found_by_an_index(bank: LedgerBank) -> None:
    write = await bank.superuser("bp_write")
    async with write.transaction():
        await write.execute("SET LOCAL enable_seqscan = off")
        sql = (
            load_queries(QUERIES)
            .unreported_reviews.replace("$1", "64")
            .replace("$2", f"'{uuid.UUID(int=0)}'")
        )
        rows = await write.fetch(f"EXPLAIN {sql}")
    plan = "\n".join(row[0] for row in rows)
    assert "review_decision_unreported" in plan, plan


async def test_a_refusal_after_the_settlement_says_that_it_is_too_late(
    deps: Dependencies, bank: LedgerBank, reviewer: asyncpg.Connection
) -> None:
    transfer = await _submitted(deps, await _flagged(deps, bank))
    completed, _ = await deps.driver.save(transfer, Fact(Event.COMPLETED, trace_number=TRACE))
    assert await reviewer.fetchval(DECIDE, completed.transfer_id, "REFUSED") == "TOO_LATE"
    await reviews.take_up_decisions(deps)
    stored = await deps.store.transfer(completed.transfer_id)
    assert stored is not None
    assert stored.transfer.state is State.COMPLETED


async def test_a_settlement_that_comes_before_the_refusal_is_taken_up_is_too_late_too(
    deps: Dependencies, bank: LedgerBank, reviewer: asyncpg.Connection
) -> None:
    transfer = await _submitted(deps, await _flagged(deps, bank))
    assert await reviewer.fetchval(DECIDE, transfer.transfer_id, "REFUSED") == "REQUESTED"
    await deps.driver.save(transfer, Fact(Event.COMPLETED, trace_number=TRACE))
    await reviews.take_up_decisions(deps)
    assert (await _decision(bank, transfer))["effect"] == "TOO_LATE"
    assert await _reports(bank, transfer) == [(REFUSED, TransferReviewed.TOO_LATE)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT transfer_id FROM payments.interbank_transfer",
        "UPDATE payments.review_decision SET note = ''",
        "SELECT payments.set_review_effect(uuidv7(), 'NONE')",
        "SELECT payments.report_review(uuidv7(), 'NONE', uuidv7(), '')",
        "SELECT payments.find_keys('{}', '{}', '{}')",
        "SELECT ledger.balance(uuidv7())",
    ],
)
async def test_the_reviewers_login_can_only_decide(
    reviewer: asyncpg.Connection, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await reviewer.execute(statement)


async def test_the_queue_is_read_by_its_index_alone(bank: LedgerBank) -> None:
    write = await bank.superuser("bp_write")
    rows = await write.fetch(f"EXPLAIN {QUEUE} ORDER BY transfer_id LIMIT 50")
    plan = "\n".join(row[0] for row in rows)
    assert "Seq Scan" not in plan, plan
