"""Comparing answers with the books finds each kind of difference, and correct books pass."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from lab.chaos.expected_balances import Row, compare_with_books
from lab.chaos.orders import IN_PROGRESS, KEY_REUSED, Meaning, Op, Order, meaning

ANA, LUIS = "ana", "luis"


@dataclass
class Told:
    """A small world: the requests, the transfers in the books, and the balances."""

    orders: list[Order] = field(default_factory=list[Order])
    rows: list[Row] = field(default_factory=list[Row])
    opened: dict[str, int] = field(default_factory=lambda: {ANA: 1000, LUIS: 1000})
    balances: dict[str, int] = field(default_factory=lambda: {ANA: 600, LUIS: 1200})

    def differences(self) -> list[str]:
        found = compare_with_books(self.orders, self.rows, self.opened, self.balances)
        return [one.name for one in found]


def _order(op: Op, key: str, amount: int, to: str = "") -> Order:
    return Order(op, key, "customer", ANA, amount, destination_account_id=to)


def _taken(order: Order, transfer_id: str, state: str) -> Order:
    order.hear(200, "", transfer_id, state)
    return order


def _refused(order: Order, reason: str) -> Order:
    order.hear(400, reason, "", "")
    return order


def _row(kind: str, transfer_id: str, key: str, amount: int, state: str, to: str = "") -> Row:
    return Row(kind, transfer_id, "customer", key, ANA, to, amount, state)


def _sound() -> Told:
    """Ana paid 200 to another bank and 200 to Luis. 50 were refunded; one earlier attempt
    failed."""
    cancel = replace(_order(Op.CANCEL, "k3", 50), about="t3")
    replay = replace(_order(Op.REPLAY, "k1", 200), about="t1")
    return Told(
        orders=[
            _taken(_order(Op.INTERBANK, "k1", 200), "t1", "SUBMITTED"),
            _taken(replay, "t1", "SUBMITTED"),
            _taken(_order(Op.BOOK, "k2", 200, LUIS), "t2", "POSTED"),
            _taken(_order(Op.INTERBANK, "k3", 50), "t3", "DEBITED"),
            _taken(cancel, "t3", "CANCELLED"),
            _refused(_order(Op.OVER_BALANCE, "k4", 9999), "INSUFFICIENT_FUNDS"),
            _refused(_order(Op.OTHER_PAYLOAD, "k1", 201), KEY_REUSED),
        ],
        rows=[
            _row("interbank", "t0", "k1", 200, "FAILED"),
            _row("interbank", "t1", "k1", 200, "COMPLETED"),
            _row("book", "t2", "k2", 200, "POSTED", LUIS),
            _row("interbank", "t3", "k3", 50, "CANCELLED"),
        ],
    )


def test_correct_books_have_no_difference() -> None:
    assert _sound().differences() == []


def _lost(told: Told) -> None:
    told.rows.pop(1)
    told.balances[ANA] = 600


def _doubled(told: Told) -> None:
    told.rows.append(_row("interbank", "t9", "k1", 200, "COMPLETED"))


def _refused_and_made(told: Told) -> None:
    told.rows.append(_row("interbank", "t9", "k4", 9999, "COMPLETED"))


def _other_amount(told: Told) -> None:
    told.rows[1] = replace(told.rows[1], amount=199)


def _not_ended(told: Told) -> None:
    told.rows[1] = replace(told.rows[1], state="SUBMITTED")


def _nobodys(told: Told) -> None:
    told.rows.append(_row("interbank", "t9", "k9", 1, "COMPLETED"))


def _balance(told: Told) -> None:
    told.balances[LUIS] += 1


def _unanswered(told: Told) -> None:
    order = _order(Op.INTERBANK, "k5", 5)
    order.hear(503, "DEPENDENCY_UNAVAILABLE", "", "")
    told.orders.append(order)


def _called_a_defect(told: Told) -> None:
    told.orders[0].defects = 1


def _refused_without_cause(told: Told) -> None:
    told.orders.append(_refused(_order(Op.INTERBANK, "k5", 5), "ACCOUNT_NOT_FOUND"))


def _rules_broken(told: Told) -> None:
    told.orders[6] = _taken(_order(Op.OTHER_PAYLOAD, "k1", 201), "t1", "SUBMITTED")


def _another_for_a_replay(told: Told) -> None:
    told.orders[1].taken_as = "t3"


def _not_cancelled(told: Told) -> None:
    told.rows[3] = replace(told.rows[3], state="COMPLETED")
    told.balances[ANA] -= 50


CORRUPTIONS: list[tuple[Callable[[Told], None], str]] = [
    (_lost, "accepted, but missing"),
    (_doubled, "executed twice"),
    (_refused_and_made, "refused, but executed"),
    (_other_amount, "differs from the request"),
    (_not_ended, "not in a final state"),
    (_nobodys, "transfer without a request"),
    (_balance, "wrong balance"),
    (_unanswered, "no definite answer"),
    (_called_a_defect, "answered with status 500"),
    (_refused_without_cause, "refused without a valid reason"),
    (_rules_broken, "accepted, but must be refused"),
    (_another_for_a_replay, "replay returned another transfer"),
    (_not_cancelled, "confirmed as cancelled, but is not"),
]


@pytest.mark.parametrize(("corrupt", "name"), CORRUPTIONS)
def test_each_kind_of_difference_is_found_alone(corrupt: Callable[[Told], None], name: str) -> None:
    told = _sound()
    corrupt(told)
    assert told.differences() == [name]


MEANINGS = [
    (200, "", Meaning.TAKEN),
    (400, "INSUFFICIENT_FUNDS", Meaning.REFUSED),
    (401, "UNAUTHENTICATED", Meaning.REFUSED),
    (409, KEY_REUSED, Meaning.REFUSED),
    (409, IN_PROGRESS, Meaning.AGAIN),
    (429, "RATE_LIMITED", Meaning.AGAIN),
    (503, "ACH_UNAVAILABLE", Meaning.AGAIN),
    (504, "DEADLINE_EXCEEDED", Meaning.AGAIN),
    (0, "", Meaning.AGAIN),
]


@pytest.mark.parametrize(("status", "reason", "means"), MEANINGS)
def test_only_a_definite_answer_ends_the_retries(status: int, reason: str, means: Meaning) -> None:
    assert meaning(status, reason) is means
