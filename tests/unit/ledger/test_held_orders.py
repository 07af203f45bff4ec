"""The batches of orders that have waited for a row."""

from dataclasses import dataclass
from uuid import UUID

from services.ledger.held_orders import PATIENCE_S, PATIENT, Caller, WaitingOrder, batches
from services.ledger.holds import Key, Locks

LOCKS = Locks((UUID(int=1),), Key(UUID(int=2), "key"))


@dataclass
class _Left:
    """A caller that has given up while its order was in a batch that failed."""

    abandoned: bool = True

    def begin(self) -> None:
        """Fail: no caller waits for this order."""
        raise AssertionError

    def undone(self) -> None:
        """Do nothing."""


def _order(item: int, together_max: int, caller: Caller = PATIENT) -> WaitingOrder[int, str]:
    return WaitingOrder(item, LOCKS, caller, 0.0, together_max)


def _now_s() -> float:
    return 0.0


def _items(orders: list[WaitingOrder[int, str]]) -> list[list[int]]:
    return [[order.item for order in batch] for batch in batches(orders, _now_s)]


def test_no_batch_is_larger_than_any_of_its_orders_allows() -> None:
    allowed = [4, 4, 4, 4, 4, 2, 2, 2, 1, 1, 4]
    orders = [_order(item, together_max) for item, together_max in enumerate(allowed)]
    assert _items(orders) == [[0, 1, 2, 3], [4, 5], [6, 7], [8], [9], [10]]


def test_orders_for_which_nobody_waits_are_in_no_batch() -> None:
    orders = [_order(item, 2) for item in range(4)]
    orders[1].is_given_up = True
    assert _items([*orders, _order(4, 2, _Left())]) == [[0, 2], [3]]


def test_an_order_that_is_given_up_during_an_earlier_batch_is_in_no_later_one() -> None:
    orders = [_order(item, 1) for item in range(3)]
    made = batches(orders, _now_s)
    assert [order.item for order in next(made)] == [0]
    orders[1].is_given_up = True
    assert [[order.item for order in batch] for batch in made] == [[2]]


def test_an_order_whose_patience_ends_during_an_earlier_batch_is_in_no_later_one() -> None:
    """A round of failing batches kept such orders waiting for up to three times `PATIENCE_S`."""
    now_s = 0.0
    orders = [_order(item, 1) for item in range(4)]
    for order in orders:
        order.note_held(0.1 if order.item == 3 else 0.0)
    made = batches(orders, lambda: now_s)
    assert [order.item for order in next(made)] == [0]
    now_s = PATIENCE_S
    assert [[order.item for order in batch] for batch in made] == [[3]]


def test_an_order_that_waits_only_for_its_turn_is_in_a_batch_however_long_it_waited() -> None:
    """In a slow database such orders were refused as busy, although no row was held from them."""
    late_s = PATIENCE_S * 100
    queued, was_held, failed, held = (_order(item, 4) for item in range(4))
    for order in (was_held, failed, held):
        order.note_held(0.0)
    failed.has_failed = True
    for order in (queued, was_held, failed):
        order.note_free()
    assert list(batches([queued, was_held, failed, held], lambda: late_s)) == [[queued, was_held]]


def test_the_wait_for_a_held_row_begins_when_the_row_is_first_found_held() -> None:
    order = _order(0, 4)
    order.note_held(5.0)
    order.note_held(5.5)
    assert order.is_patient(5.0 + PATIENCE_S / 2)
    assert not order.is_patient(5.0 + PATIENCE_S)
