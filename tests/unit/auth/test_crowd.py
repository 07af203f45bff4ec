"""Callers that are asked to come later come in turn."""

from hypothesis import given
from hypothesis import strategies as st

from services.auth.crowd import EXPECTED_MAX, RETRY_S_MAX, Crowd

CALL_S = 0.25


def test_each_caller_gets_the_time_in_which_those_before_it_are_served() -> None:
    crowd = Crowd()
    asked = [crowd.retry_after_s(0.0, 48, CALL_S) for _ in range(100)]
    assert asked[0] == 12
    assert asked[40] == 22
    assert asked == sorted(asked)
    assert asked[-1] == 37


def test_callers_whose_time_has_come_are_no_longer_expected() -> None:
    crowd = Crowd()
    for _ in range(80):
        crowd.retry_after_s(0.0, 48, CALL_S)
    assert crowd.retry_after_s(21.5, 0, CALL_S) == 11
    assert crowd.retry_after_s(200.0, 0, CALL_S) == 1


def test_a_large_crowd_costs_bounded_memory_and_is_asked_for_a_minute() -> None:
    crowd = Crowd()
    asked = [crowd.retry_after_s(0.0, 48, CALL_S) for _ in range(2 * EXPECTED_MAX)]
    assert max(asked) == asked[-1] == RETRY_S_MAX
    assert crowd.retry_after_s(RETRY_S_MAX + 1.0, 0, CALL_S) == 1


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 64)), max_size=200), st.floats(0, 5))
def test_any_crowd_is_asked_for_whole_seconds_within_the_limits(
    calls: list[tuple[float, int]], call_s: float
) -> None:
    crowd, now = Crowd(), 0.0
    for pause_s, waiting in calls:
        now += pause_s
        assert 1 <= crowd.retry_after_s(now, waiting, call_s) <= RETRY_S_MAX
