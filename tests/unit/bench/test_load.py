"""Arithmetic of a run: percentiles, slopes, slices of time, arrivals."""

import itertools
import random

import pytest

from lab.bench import series
from lab.bench.load import arrivals


def test_a_percentile_is_a_measured_value() -> None:
    ordered = [float(n) for n in range(1, 101)]
    assert [series.percentile(ordered, p) for p in (50, 99, 99.9, 100)] == [51, 100, 100, 100]
    assert series.percentile([], 99) == 0.0
    assert series.percentile([7.0], 1) == 7.0


def test_a_slope_is_the_least_squares_slope() -> None:
    drawn = random.Random(1)
    times = [float(n) for n in range(60)]
    rising = [200 + 1.5 * t + drawn.uniform(-1, 1) for t in times]
    assert series.slope(times, rising) == pytest.approx(1.5, abs=0.05)
    assert series.slope(times, [9.0] * 60) == 0.0
    assert series.slope([3.0], [1.0]) == 0.0
    with pytest.raises(ValueError, match="2 times but 1 values"):
        series.slope([1.0, 2.0], [1.0])


def test_a_slice_counts_the_answers_of_its_time() -> None:
    ended = [0.1, 0.2, 1.5, 2.9, 3.5]
    found = series.slices(ended, [10.0, 30.0, 5.0, 6.0, 7.0], 1.0, 3.0)
    assert found == [(2, 30.0, 30.0), (1, 5.0, 5.0), (1, 6.0, 6.0)]


def test_arrivals_are_random_at_the_given_rate_and_the_same_each_time() -> None:
    moments = arrivals.poisson(100, 50)
    assert len(moments) == pytest.approx(5000, rel=0.05)
    assert moments == sorted(moments)
    assert moments == arrivals.poisson(100, 50)
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    spread = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert spread**0.5 == pytest.approx(mean, rel=0.1), (
        "the deviation of exponential gaps equals their mean"
    )
    with pytest.raises(ValueError, match="above zero"):
        arrivals.poisson(0, 1)
