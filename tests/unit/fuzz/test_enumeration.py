"""The statistics of times: equal distributions tell nothing, a skipped hash tells everything."""

import random

import pytest

from lab.fuzz.enumeration import share_by_chance, share_of_slower, tells


def _times(dice: random.Random, shift_s: float, count: int) -> list[float]:
    return [0.25 + shift_s + dice.uniform(0, 0.05) for _ in range(count)]


@pytest.mark.parametrize("count", [20, 200])
def test_equal_distributions_tell_nothing_and_a_skipped_hash_is_found(count: int) -> None:
    dice = random.Random(7)
    for _ in range(50):
        known = _times(dice, 0, count)
        assert not tells(known, _times(dice, 0, count))
        assert tells(known, _times(dice, -0.2, count))
        assert tells(_times(dice, -0.2, count), known)


def test_many_times_find_a_difference_that_few_do_not() -> None:
    """A fifth of the noise: invisible to an attacker with 20 tries, but not to one with 200."""
    dice = random.Random(7)
    assert not tells(_times(dice, 0.01, 20), _times(dice, 0, 20))
    assert tells(_times(dice, 0.01, 200), _times(dice, 0, 200))


def test_the_share_counts_ties_as_half() -> None:
    assert share_of_slower([1, 1], [1, 1]) == 0.5
    assert share_of_slower([2, 2], [1, 1]) == 1
    assert share_of_slower([1, 3], [2, 2]) == 0.5


def test_the_share_of_few_times_may_differ_more_and_never_by_all() -> None:
    assert share_by_chance(200) < share_by_chance(20) < 0.5
