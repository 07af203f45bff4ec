"""How the time that a consumer spends outside its group is measured."""

from hypothesis import given
from hypothesis import strategies as st

from services.chassis.kafka.membership import LOOKED_EVERY_S_MAX, Membership

LOOKS = st.lists(
    st.tuples(st.floats(0.1, LOOKED_EVERY_S_MAX - 1), st.booleans()), min_size=1, max_size=30
)


@given(LOOKS)
def test_time_counts_from_the_first_of_an_unbroken_row_of_answers(
    looks: list[tuple[float, bool]],
) -> None:
    membership, now_s, began_s = Membership("", 30), 0.0, None
    for step_s, answered in looks:
        now_s += step_s
        began_s = (now_s if began_s is None else began_s) if answered else None
        outside_s = membership.outside_s(now_s, answered=answered)
        assert outside_s == (0 if began_s is None else now_s - began_s)


def test_a_group_member_asks_no_broker_and_starts_counting_again_when_it_drops_out() -> None:
    membership = Membership("127.0.0.1:1", 30)
    membership.outside_s(1, answered=True)
    membership.turn(True)
    membership.look()
    assert membership._question is None
    membership.turn(False)
    membership.look()
    assert membership._question is not None
    assert membership.outside_s(100, answered=True) == 0


def test_time_without_a_look_does_not_count() -> None:
    """The whole process was paused, so its client had no chance to rejoin."""
    membership = Membership("", 30)
    assert membership.outside_s(100, answered=True) == 0
    assert membership.outside_s(102, answered=True) == 2
    assert membership.outside_s(200, answered=True) == 0
    assert membership.outside_s(202, answered=True) == 2
