"""What the app was told against what the books have, request by request. Pure.

The judge compares the bank's stores with each other; this compares them with the customers' own
memory. What was taken is there once, what was refused is not there, and each balance is what its
owner works out from the answers.
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
    """A transfer as the books have it. Ids are their text."""

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
    """One thing that the app and the books see differently."""

    name: str
    about: str
    expected: str
    actual: str

    def to_json(self) -> dict[str, Any]:
        """Return it as the report has it."""
        return asdict(self)


def compare_with_books(
    orders: Sequence[Order],
    rows: Sequence[Row],
    opened: Mapping[str, int],
    balances: Mapping[str, int],
) -> list[Difference]:
    """Return every difference; `opened` and `balances` are by account, in minor units."""
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
        Difference("nobody asked for it", row.transfer_id, "no transfer", row.state)
        for row in rows
        if (row.customer_id, row.idempotency_key) not in asked
    )
    found += (
        Difference("not ended", row.transfer_id, "a state that is an end", row.state)
        for row in rows
        if row.state not in TERMINAL
    )
    return found + list(_check_balances(orders, rows, opened, balances))


def _check_answer(order: Order) -> Iterator[Difference]:
    """Is the answer one that the app may get?"""
    about = f"{order.op} {order.key}"
    if not order.definite:
        yield Difference("no definite answer", about, "taken or refused", f"{order.tries} tries")
    if order.refused_for and order.refused_for not in REFUSALS[order.op]:
        wanted = " or ".join(sorted(REFUSALS[order.op])) or "taken"
        yield Difference("refused without cause", about, wanted, order.refused_for)
    if order.defects:
        yield Difference("answered as a defect", about, "503 or 504", f"500, {order.defects} times")
    if order.taken_as and order.op in MUST_BE_REFUSED:
        yield Difference("taken against the rules", about, "refused", order.taken_as)


def _check_payment(order: Order, of_key: Sequence[Row]) -> Iterator[Difference]:
    """What was taken is there once and as asked; what was refused is not there."""
    about = f"{order.op} {order.key}"
    live = {row.transfer_id: row for row in of_key if row.state != FAILED}
    if order.refused_for and live:
        yield Difference("made though refused", about, "no transfer", ", ".join(live))
    if not order.taken_as:
        return
    mine = next((row for row in of_key if row.transfer_id == order.taken_as), None)
    if mine is None:
        yield Difference("taken and lost", about, order.taken_as, "no such transfer")
    elif (mine.amount, mine.account_id, mine.destination_account_id) != (
        order.amount,
        order.account_id,
        order.destination_account_id,
    ):
        yield Difference("other than asked", about, str(order.amount), str(mine.amount))
    if others := live.keys() - {order.taken_as}:
        yield Difference("made twice", about, order.taken_as, ", ".join(sorted(others)))


def _check_replay(order: Order, first: Row | None) -> Iterator[Difference]:
    """A replay names the first transfer again; what was told cancelled is cancelled."""
    about = f"{order.op} of {order.about}"
    if order.op is Op.REPLAY and order.taken_as not in ("", order.about):
        yield Difference("another transfer for a replay", about, order.about, order.taken_as)
    if order.op is Op.CANCEL and order.taken_state == CANCELLED:
        state = first.state if first else "no such transfer"
        if state != CANCELLED:
            yield Difference("told cancelled and is not", about, CANCELLED, state)


def _check_balances(
    orders: Sequence[Order],
    rows: Sequence[Row],
    opened: Mapping[str, int],
    balances: Mapping[str, int],
) -> Iterator[Difference]:
    """Each account holds its opening balance, less and plus what the answers say."""
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
            yield Difference("balance", account_id, str(expected), str(actual))
