"""Bugs that comparable systems shipped, planted one at a time, for tests only.

Each changes one decision: in a function of production, in its transition table, in the clearing
house's book, or in a rule that PostgreSQL enforces and the simulated store imitates.
"""

import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import asyncpg

from lab.simulator import world
from lab.simulator.ports import broker
from lab.simulator.services import consumers
from lab.simulator.stores import (
    books,
    outbox,
    payments_tables,
    reviews_table,
    transfers_tables,
)
from sandbox.partners.ach import api, book
from services.kernel.ids import shard_of
from services.payments import handlers, notices, saga, state
from services.payments.notice_store import NoticeStore
from services.payments.partners import ach
from services.payments.rows import DebitOrder, UsedKey
from services.payments.saga import Answer, Outcome, Step
from services.payments.state import Event, State
from services.payments.store import Store
from services.payments.transfer import Fact, Notice
from services.transfers.store import Posted
from services.transfers.store import Store as BookStore
from tests.simulation.wavering import wavering


@dataclass(frozen=True)
class Bug:
    """A bug, the invariants that may report it, and within how many transfers one must do so."""

    title: str
    lesson: int
    """Its line in the list of bugs that comparable systems shipped."""
    plant: Callable[[ExitStack], None]
    rules: tuple[str, ...]
    transfers: int = 4_000


BUGS: dict[str, Bug] = {}


def _bug(
    title: str, lesson: int, *rules: str, transfers: int = 4_000
) -> Callable[[Callable[[ExitStack], None]], None]:
    def keep(plant: Callable[[ExitStack], None]) -> None:
        BUGS[plant.__name__] = Bug(title, lesson, plant, rules, transfers)

    return keep


def _replace(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    stack.enter_context(mock.patch.object(owner, name, value))


@contextmanager
def planted(name: str) -> Generator[Bug]:
    """Run the block with a bug."""
    with ExitStack() as stack:
        BUGS[name].plant(stack)
        yield BUGS[name]


REFUND = "no refund while the clearing house"


@_bug("a timeout of the partner is taken for a failure", 4, REFUND)
def timeout_is_a_failure(stack: ExitStack) -> None:
    right = saga.after_answer

    def wrong(step: Step, answer: Answer, refusal: str = "") -> Fact | Step | None:
        if step is Step.SUBMIT and answer.outcome is Outcome.NO_ANSWER:
            return Fact(Event.RECALLED, reason=saga.UNAVAILABLE)
        return right(step, answer, refusal)

    _replace(stack, saga, "after_answer", wrong)


@_bug("not found is taken for never sent: compensation before recall", 5, REFUND)
def compensation_before_recall(stack: ExitStack) -> None:
    right = saga.after_answer

    def wrong(step: Step, answer: Answer, refusal: str = "") -> Fact | Step | None:
        if step is Step.QUERY and answer.outcome is Outcome.NOT_FOUND:
            return Fact(Event.RECALLED, reason=saga.UNAVAILABLE)
        return right(step, answer, refusal)

    _replace(stack, saga, "after_answer", wrong)


@_bug("a refusal is taken for the clearing house's last word", 4, "the clearing", REFUND)
def refusal_is_the_last_word(stack: ExitStack) -> None:
    right = saga.after_answer

    def wrong(step: Step, answer: Answer, refusal: str = "") -> Fact | Step | None:
        if answer.outcome is Outcome.REFUSED:
            return Fact(Event.RECALLED, reason=answer.reason)
        return right(step, answer, refusal)

    _replace(stack, saga, "after_answer", wrong)
    _replace(stack, api, "order_from", wavering(5))


@_bug("the clearing house forgets the tombstone of what it never saw", 4, REFUND, "the clearing")
def tombstone_is_forgotten(stack: ExitStack) -> None:
    right = book.Book.cancel

    def wrong(self: book.Book, key: str, at: float) -> book.Transfer:
        if self.find(key) is None:
            return book.Transfer(key, None, 0, book.State.CANCELLED, at, None, book.Ending())
        return right(self, key, at)

    _replace(stack, book.Book, "cancel", wrong)


@_bug(
    "a retry carries a new key to the clearing house",
    4,
    "nothing is submitted",
    "bank and",
    "every transfer ends",
    "every notice is applied or stale",
    REFUND,
)
def retry_has_a_new_key(stack: ExitStack) -> None:
    def wrong(transfer: Any) -> str:
        fresh = transfer.transfer_id.int ^ (transfer.attempts << 64)
        return str(uuid.UUID(int=fresh))

    _replace(stack, ach, "key_of", wrong)


@_bug("what a crash left is never taken up", 5, "every transfer ends", "everything comes to rest")
def crash_is_never_resumed(stack: ExitStack) -> None:
    async def wrong(_self: Any, _lease: Any, _now: Any) -> list[Any]:
        return []

    _replace(stack, Store, "claim_due", wrong)


@_bug("a refusal burns the key", 6, "a refusal leaves the key free")
def refusal_burns_the_key(stack: ExitStack) -> None:
    right = payments_tables.PaymentsTables._debit

    def wrong(self: Any, order: DebitOrder) -> Any:
        try:
            with self._database.savepoint():
                return right(self, order)
        except asyncpg.PostgresError:
            key = (shard_of(order.account_id), order.customer_id, order.idempotency_key)
            self.keys.setdefault(key, (order.fingerprint, order.transfer_id))
            raise

    _replace(stack, payments_tables.PaymentsTables, "_debit", wrong)


@_bug("a key is accepted with another payload", 6, "a key with another payload is refused")
def key_takes_another_payload(stack: ExitStack) -> None:
    def wrong(held: tuple[bytes, Any], _fingerprint: bytes) -> tuple[str, Any]:
        return "EXISTING", held[1]

    right = Store.key

    async def wrong_key(self: Store, order: Any) -> UsedKey | None:
        used = await right(self, order)
        return used and used._replace(fingerprint=order.fingerprint)

    _replace(stack, payments_tables.PaymentsTables, "outcome_of_key", staticmethod(wrong))
    _replace(stack, Store, "key", wrong_key)


@_bug("a key is forgotten once its transfer is sent", 6, "a key names one transfer")
def key_is_forgotten(stack: ExitStack) -> None:
    right = payments_tables.PaymentsTables._move

    def wrong(self: Any, *args: Any) -> Any:
        moved = right(self, *args)
        if moved is not None and moved["state"] == "SUBMITTED":
            self._free_key(moved)
        return moved

    _replace(stack, payments_tables.PaymentsTables, "_move", wrong)


@_bug("a key that was answered is freed when its transfer fails", 6, "a key names one transfer")
def answered_key_is_freed(stack: ExitStack) -> None:
    _replace(stack, payments_tables.PaymentsTables, "is_unanswered", lambda _self, _row: True)


@_bug("a repeated notice is applied again", 4, "a transfer", "a step is one of the table")
def notice_is_applied_twice(stack: ExitStack) -> None:
    rows = {
        **state.TABLE.rows,
        (State.COMPLETED, Event.COMPLETED): state.TABLE.rows[State.SUBMITTED, Event.COMPLETED],
        (State.RETURNED, Event.RETURNED): state.TABLE.rows[State.SUBMITTED, Event.RETURNED],
    }
    wrong = type(state.TABLE)(state.TABLE.initial, rows)
    for module in (state, handlers, notices):
        _replace(stack, module, "TABLE", wrong)
    transfer = __import__("services.payments.transfer", fromlist=["TABLE"])
    _replace(stack, transfer, "TABLE", wrong)

    async def kept_again(_store: Any, _notice: Notice) -> str:
        return "KEPT"

    _replace(stack, NoticeStore, "keep", kept_again)


@_bug("a notice is recorded as done before it is applied", 8, "every transfer ends", "bank and")
def notice_is_recorded_first(stack: ExitStack) -> None:
    right = NoticeStore.keep

    async def wrong(self: NoticeStore, notice: Notice) -> str:
        kept = await right(self, notice)
        await self.close(notice, "APPLIED")
        return kept

    async def nothing(*_: Any) -> list[Any]:
        return []

    _replace(stack, NoticeStore, "keep", wrong)
    # Without this, reconciliation asks after six days and repairs the effect of this bug.
    _replace(stack, Store, "claim_unsettled", nothing)


@_bug("a step is saved without a look at the version", 1, "a step is one", "a transfer is debited")
def version_is_not_looked_at(stack: ExitStack) -> None:
    tables = payments_tables.PaymentsTables
    _replace(stack, tables, "is_at", lambda _self, _row, _version: True)


@_bug("the balance is checked before the debit and not by it", 3, "a customer's balance is never")
def balance_is_not_checked_by_the_debit(stack: ExitStack) -> None:
    _replace(stack, books.Books, "covers", staticmethod(lambda _held, _amount: True))


@_bug("an event goes out although its transaction rolled back", 7, "an event is published after")
def event_precedes_its_commit(stack: ExitStack) -> None:
    right = outbox.Outbox.append

    def wrong(self: outbox.Outbox, *args: Any) -> None:
        right(self, *args)
        # The row survives a roll-back, because it was written outside the transaction.
        undo = self._database._undo
        undo[:] = [one for one in undo if one[0] is not self.waiting]

    _replace(stack, outbox.Outbox, "append", wrong)


@_bug("an event is written after the commit and lost in a crash", 7, "every event", "a transfer's")
def event_is_lost_after_the_commit(stack: ExitStack) -> None:
    right = world.World.__init__

    def wrong(self: world.World, *args: Any, **options: Any) -> None:
        right(self, *args, **options)

        def lose(_process: Any, when: str) -> None:
            if when.endswith("is committed") and when.startswith("after"):
                for number in sorted(self.outbox.waiting)[-1:]:
                    del self.outbox.waiting[number]

        self.machine.death_listeners.append(lose)

    _replace(stack, world.World, "__init__", wrong)


@_bug("the outbox has no order", 7, "a transfer's events come in order")
def outbox_has_no_order(stack: ExitStack) -> None:
    right = outbox.Outbox.next_batch

    def wrong(self: outbox.Outbox, rows_max: int, except_topics: Any) -> Sequence[Any]:
        return list(reversed(right(self, rows_max, except_topics)))

    _replace(stack, outbox.Outbox, "next_batch", wrong)


@_bug(
    "the relay reads on from the highest number and skips late commits",
    20,
    "a transfer's",
    "every",
)
def relay_skips_late_commits(stack: ExitStack) -> None:
    right = outbox.Outbox.next_batch

    def wrong(self: outbox.Outbox, rows_max: int, except_topics: Any) -> Sequence[Any]:
        seen = getattr(self, "seen", 0)
        batch = [row for row in right(self, rows_max, except_topics) if row["id"] > seen]
        self.seen = max([seen, *(row["id"] for row in batch)])  # type: ignore[attr-defined]
        return batch

    _replace(stack, outbox.Outbox, "next_batch", wrong)


@_bug("the router commits its offsets before it writes", 7, "every", "a transfer's")
def router_commits_first(stack: ExitStack) -> None:
    right = broker.Broker.unread

    def wrong(
        self: broker.Broker, group: str, topic: str, partition: int, rows_max: int
    ) -> Sequence[Any]:
        records = right(self, group, topic, partition, rows_max)
        # The offset is committed at the read, so records of an aborted transaction are never read
        # again.
        if group == "router" and rows_max == consumers.ROWS_MAX:
            self.commit(group, records)
        return records

    _replace(stack, broker.Broker, "unread", wrong)


@_bug("a book transfer's answer is not looked up by its key", 6, "a key names one transfer")
def book_key_is_ignored(stack: ExitStack) -> None:
    right = BookStore.post

    async def wrong(self: Any, order: Any, transfer: Any, response: Any, event: Any) -> Posted:
        fresh = replace(order, idempotency_key=f"{transfer.transfer_id}")
        return await right(self, fresh, transfer, response, event)

    _replace(stack, BookStore, "post", wrong)


@_bug("the key of an interbank transfer is free for a book transfer", 6, "a key names one transfer")
def each_service_has_its_own_keys(stack: ExitStack) -> None:
    tables = transfers_tables.TransfersTables
    right = tables.__init__

    def wrong(self: Any, *args: Any) -> None:
        right(self, *args)
        self.keys = {}

    _replace(stack, tables, "__init__", wrong)


@_bug(
    "nobody asks whether a settled transfer was returned",
    12,
    "bank and clearing house agree",
)
def late_returns_are_not_asked_about(stack: ExitStack) -> None:
    def wrong(_transfer: Any, _answer: Any) -> None:
        return None

    _replace(stack, saga, "after_return_query", wrong)


@_bug("two workers report one decision of a reviewer", 12, "each decision has one event")
def decision_is_reported_twice(stack: ExitStack) -> None:
    right = reviews_table.ReviewsTable.report_review

    def wrong(self: Any, transfer_id: uuid.UUID, *values: Any) -> Sequence[Any]:
        self.unreported.setdefault(transfer_id, True)
        return right(self, transfer_id, *values)

    _replace(stack, reviews_table.ReviewsTable, "report_review", wrong)


@_bug("the bank cancels what a reviewer cleared", 12, "the bank cancels only what a reviewer")
def cleared_transfer_is_cancelled(stack: ExitStack) -> None:
    _replace(stack, reviews_table, "_effect", lambda _decision, _state: "REQUESTED")
