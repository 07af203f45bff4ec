"""Compares the answers that the app received with the books, request by request. Pure.

The judge compares the bank's stores with each other. This module compares the books with the
answers: an accepted request is in the books once, a refused request is not, and each balance equals
the one that the answers imply.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lab.chaos.orders import MUST_BE_REFUSED, REFUSALS, Op, Order
from services.payments.state import CREDITED_BACK, State

CREDITED = frozenset(state.name for state in CREDITED_BACK)
TERMINAL = CREDITED | {State.COMPLETED.name, "POSTED"}
FAILED = State.FAILED.name
CANCELLED = State.CANCELLED.name
PAYMENTS = frozenset({Op.INTERBANK, Op.BOOK, Op.OVER_BALANCE})


@dataclass(frozen=True, slots=True)
class Row:
    """A transfer in the books. Ids are text."""

    kind: str
    transfer_id: str
    customer_id: str
    idempotency_key: str
    account_id: str
    destination_account_id: str
    amount: int
    state: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One point on which the app and the books disagree."""

    name: str
    about: str
    expected: str
    actual: str

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the JSON report."""
        return asdict(self)


def compare_with_books(
    orders: Sequence[Order],
    rows: Sequence[Row],
    opened: Mapping[str, int],
    balances: Mapping[str, int],
) -> list[Difference]:
    """Return every difference between the app's answers and the books.

    `opened` and `balances` have the opening and the posted balance of each account, in minor units.
    """
    by_key: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    by_id = {row.transfer_id: row for row in rows}
    for row in rows:
        by_key[row.customer_id, row.idempotency_key].append(row)
    found: list[Difference] = []
    for order in orders:
        of_key = by_key[order.customer_id, order.key] if order.op is not Op.CANCEL else []
        found += _check_answer(order)
        found += _check_payment(order, of_key) if order.op in PAYMENTS else ()
        found += _check_replay(order, by_id.get(order.about))
    asked = {(order.customer_id, order.key) for order in orders}
    found += (
        Difference("transfer without a request", row.transfer_id, "no transfer", row.state)
        for row in rows
        if (row.customer_id, row.idempotency_key) not in asked
    )
    found += (
        Difference("not in a final state", row.transfer_id, "a final state", row.state)
        for row in rows
        if row.state not in TERMINAL
    )
    return found + list(_check_balances(orders, rows, opened, balances))


def _check_answer(order: Order) -> Iterator[Difference]:
    """Check that this answer is allowed."""
    about = f"{order.op} {order.key}"
    if not order.definite:
        yield Difference("no definite answer", about, "accepted or refused", f"{order.tries} tries")
    if order.refused_for and order.refused_for not in REFUSALS[order.op]:
        wanted = " or ".join(sorted(REFUSALS[order.op])) or "accepted"
        yield Difference("refused without a valid reason", about, wanted, order.refused_for)
    if order.defects:
        yield Difference(
            "answered with status 500", about, "503 or 504", f"500, {order.defects} times"
        )
    if order.taken_as and order.op in MUST_BE_REFUSED:
        yield Difference("accepted, but must be refused", about, "refused", order.taken_as)


def _check_payment(order: Order, of_key: Sequence[Row]) -> Iterator[Difference]:
    """Check that an accepted payment is in the books once and a refused one is not."""
    about = f"{order.op} {order.key}"
    live = {row.transfer_id: row for row in of_key if row.state != FAILED}
    if order.refused_for and live:
        yield Difference("refused, but executed", about, "no transfer", ", ".join(live))
    if not order.taken_as:
        return
    mine = next((row for row in of_key if row.transfer_id == order.taken_as), None)
    if mine is None:
        yield Difference("accepted, but missing", about, order.taken_as, "no such transfer")
    elif (mine.amount, mine.account_id, mine.destination_account_id) != (
        order.amount,
        order.account_id,
        order.destination_account_id,
    ):
        yield Difference("differs from the request", about, str(order.amount), str(mine.amount))
    if others := live.keys() - {order.taken_as}:
        yield Difference("executed twice", about, order.taken_as, ", ".join(sorted(others)))


def _check_replay(order: Order, first: Row | None) -> Iterator[Difference]:
    """Check that a replay returns the first transfer, and that a confirmed cancellation holds."""
    about = f"{order.op} of {order.about}"
    if order.op is Op.REPLAY and order.taken_as not in ("", order.about):
        yield Difference("replay returned another transfer", about, order.about, order.taken_as)
    if order.op is Op.CANCEL and order.taken_state == CANCELLED:
        state = first.state if first else "no such transfer"
        if state != CANCELLED:
            yield Difference("confirmed as cancelled, but is not", about, CANCELLED, state)


def _check_balances(
    orders: Sequence[Order],
    rows: Sequence[Row],
    opened: Mapping[str, int],
    balances: Mapping[str, int],
) -> Iterator[Difference]:
    """Check that each account holds its opening balance plus and minus the accepted transfers."""
    state = {row.transfer_id: row.state for row in rows}
    held = dict(opened)
    for order in orders:
        gone = order.op in PAYMENTS and order.taken_as and state.get(order.taken_as) not in CREDITED
        if gone:
            held[order.account_id] -= order.amount
            if order.destination_account_id:
                held[order.destination_account_id] += order.amount
    for account_id, expected in held.items():
        actual = balances.get(account_id)
        if actual != expected:
            yield Difference("wrong balance", account_id, str(expected), str(actual))
