"""How the time that a consumer spends outside its group is measured."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.kafka import membership
from services.chassis.kafka.membership import ASKED_EVERY_S, LOOKED_EVERY_S_MAX, Membership

LOOKS = st.lists(
    st.tuples(st.floats(0.1, LOOKED_EVERY_S_MAX - 1), st.booleans()), min_size=1, max_size=30
)


@given(LOOKS)
def test_time_counts_from_the_first_of_an_unbroken_row_of_answers(
    looks: list[tuple[float, bool]],
) -> None:
    outside, now_s, began_s = Membership("", 30), 0.0, None
    for step_s, answered in looks:
        now_s += step_s
        began_s = (now_s if began_s is None else began_s) if answered else None
        outside_s = outside.outside_s(now_s, answered=answered)
        assert outside_s == (0 if began_s is None else now_s - began_s)


@dataclass
class Question:
    """A question to brokers whose answer the test decides."""

    bootstrap: str
    asked_s: float
    answered: bool | None = None
    open: bool = True

    def take(self, _: float) -> bool | None:
        answered, self.answered = self.answered, None
        return answered

    def is_alive(self) -> bool:
        return self.open


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time `now_s`, which the test sets."""
    clock = SimpleNamespace(now_s=0.0)
    monkeypatch.setattr(membership, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    monkeypatch.setattr(membership, "_Question", Question)
    return clock


def _look(outside: Membership, clock: SimpleNamespace, now_s: float) -> Any:
    """Look at a time; return the question that is open or used afterwards."""
    clock.now_s = now_s
    outside.look()
    return outside._question


def test_a_group_member_asks_no_broker_and_starts_counting_again_when_it_drops_out(
    clock: SimpleNamespace,
) -> None:
    outside = Membership("", 30)
    outside.outside_s(1, answered=True)
    outside.turn(True)
    assert _look(outside, clock, 100) is None
    outside.turn(False)
    assert _look(outside, clock, 100) is not None
    assert outside.outside_s(100, answered=True) == 0


def test_brokers_are_asked_now_and_then_one_question_at_a_time(clock: SimpleNamespace) -> None:
    outside = Membership("", 30)
    first = _look(outside, clock, 0)
    first.answered = True
    assert _look(outside, clock, ASKED_EVERY_S * 3) is first, "its client is not closed yet"
    first.open = False
    second = _look(outside, clock, ASKED_EVERY_S * 3)
    assert second is not first
    second.answered, second.open = True, False
    assert _look(outside, clock, ASKED_EVERY_S * 4 - 0.1) is second
    assert _look(outside, clock, ASKED_EVERY_S * 4) is not second


def test_the_process_ends_when_answers_have_come_for_long_enough(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[float] = []
    monkeypatch.setattr(membership, "end_process", lambda _event, seconds: ended.append(seconds))
    outside = Membership("", 30)
    for now_s in range(0, 41, 10):
        question = _look(outside, clock, now_s)
        question.answered, question.open = True, False
        assert ended == [], now_s
    _look(outside, clock, 50)
    assert ended == [40]


def test_an_unanswered_question_starts_the_count_anew(clock: SimpleNamespace) -> None:
    outside = Membership("", 30)
    for now_s, answered, since_s in ((0, True, None), (3, False, 3), (6, True, None), (9, None, 9)):
        question = _look(outside, clock, now_s)
        assert outside._since_s == since_s
        question.answered, question.open = answered, False


def test_time_without_a_look_does_not_count() -> None:
    """The whole process was paused, so its client had no chance to rejoin."""
    outside = Membership("", 30)
    assert outside.outside_s(100, answered=True) == 0
    assert outside.outside_s(102, answered=True) == 2
    assert outside.outside_s(200, answered=True) == 0
    assert outside.outside_s(202, answered=True) == 2
