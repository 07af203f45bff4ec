"""Targets and goals: bounds, ratios, and values that were not measured."""

import pytest

from lab.bench.report import targets
from lab.bench.report.targets import Comparison, Standing, Target


def _judged(measured: dict[str, float], what: str) -> targets.Judged:
    return next(one for one in targets.judge(measured) if one.target.what == what)


def test_transfers_are_compared_with_the_mean_of_both_baselines() -> None:
    figures = {
        "interbank.c64.per_s": 300.0,
        "baseline.per_s": 1400.0,
        "baseline.after.per_s": 1000.0,
    }
    assert _judged(figures, "their speed against the baseline's").value == 0.25
    assert _judged({"baseline.per_s": 1.0}, "their speed against the baseline's").value is None


def test_targets_and_goals_are_met_missed_or_not_measured() -> None:
    figures = {"interbank.c64.per_s": 300.0, "baseline.per_s": 1500.0, "interbank.cpu_ms": 7.0}
    speed = _judged(figures, "interbank transfers")
    assert (speed.standing, speed.goal_standing) == (Standing.MET, Standing.MISSED)
    share = _judged(figures, "their speed against the baseline's")
    assert (share.value, share.standing) == (0.2, Standing.MISSED)
    assert _judged(figures, "CPU of one").standing is Standing.MISSED
    assert _judged(figures, "warm start").standing is Standing.NOT_MEASURED
    assert _judged({"interbank.c64.per_s": 3.0}, share.target.what).value is None


@pytest.mark.parametrize(
    ("comparison", "met"), [(Comparison.AT_LEAST, 5.0), (Comparison.AT_MOST, 5.0)]
)
def test_a_value_equal_to_the_bound_meets_the_target(comparison: Comparison, met: float) -> None:
    target = Target("anything", "a.b", comparison, met)
    assert targets.Judged(target, met).standing is Standing.MET
    assert targets.Judged(target, met).goal_standing is None
