"""The bench's arithmetic: percentiles, slopes, slices, arrivals, cost, marks."""

import itertools
import random

import pytest

from sandbox.bench import arrivals, cpu, database, marks, series
from sandbox.bench.database import Snapshot, Statement
from sandbox.bench.marks import Mark, Standing, Way


def test_a_percentile_is_a_value_that_was_measured() -> None:
    ordered = [float(n) for n in range(1, 101)]
    assert [series.percentile(ordered, p) for p in (50, 99, 99.9, 100)] == [51, 100, 100, 100]
    assert series.percentile([], 99) == 0.0
    assert series.percentile([7.0], 1) == 7.0


def test_a_slope_is_that_of_the_line_through_the_points() -> None:
    drawn = random.Random(1)
    times = [float(n) for n in range(60)]
    rising = [200 + 1.5 * t + drawn.uniform(-1, 1) for t in times]
    assert series.slope(times, rising) == pytest.approx(1.5, abs=0.05)
    assert series.slope(times, [9.0] * 60) == 0.0
    assert series.slope([3.0], [1.0]) == 0.0
    with pytest.raises(ValueError, match="2 times but 1 values"):
        series.slope([1.0, 2.0], [1.0])


def test_slices_of_time_hold_every_answer_that_came_in_them() -> None:
    ended = [0.1, 0.2, 1.5, 2.9, 3.5]
    found = series.slices(ended, [10.0, 30.0, 5.0, 6.0, 7.0], 1.0, 3.0)
    assert found == [(2, 30.0, 30.0), (1, 5.0, 5.0), (1, 6.0, 6.0)]


def test_arrivals_come_at_their_rate_and_by_chance_but_the_same_each_time() -> None:
    moments = arrivals.poisson(100, 50)
    assert len(moments) == pytest.approx(5000, rel=0.05)
    assert moments == sorted(moments)
    assert moments == arrivals.poisson(100, 50)
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    spread = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert spread**0.5 == pytest.approx(mean, rel=0.1), "the gaps of chance vary like their mean"
    with pytest.raises(ValueError, match="above zero"):
        arrivals.poisson(0, 1)


def test_the_cost_of_a_transfer_is_the_banks_alone() -> None:
    used = cpu.between(
        {"payments": 1.0, "partner-ach": 5.0, "gateway": 0.5, "gone": 1.0},
        {"payments": 3.0, "partner-ach": 9.0, "gateway": 1.0, "new": 7.0},
    )
    assert used == {"partner-ach": 4.0, "payments": 2.0, "gateway": 0.5}
    assert cpu.of_the_bank(used) == 2.5


def test_the_machine_tells_what_was_used_and_what_was_stolen() -> None:
    text = "cpu  100 20 30 5000 70 4 6 50 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"
    machine = cpu.Machine.of(text)
    assert machine.stolen_s / machine.busy_s == pytest.approx(50 / 160)
    assert cpu.Machine.now().busy_s > 0
    assert cpu.own_s() > 0


def test_statements_are_counted_from_one_look_to_the_next() -> None:
    old = Statement("bp_payments", "SELECT 1", 10, 5.0)
    before = Snapshot(
        {("bp_payments", 1): old}, wal_bytes=100, commits=7, written_bytes=40, flushes=1
    )
    after = Snapshot(
        {
            ("bp_payments", 1): Statement("bp_payments", "SELECT 1", 14, 6.0),
            ("bp_relay", 2): Statement("bp_relay", "SELECT 2", 3, 9.0),
            ("bp_audit", 3): Statement("bp_audit", "SELECT 3", 0, 0.0),
        },
        wal_bytes=350,
        commits=12,
        written_bytes=90,
        flushes=3,
    )
    work = database.between(before, after)
    assert [(one.role, one.calls, one.ms) for one in work.statements] == [
        ("bp_relay", 3, 9.0),
        ("bp_payments", 4, 1.0),
    ]
    assert (work.round_trips, work.wal_bytes, work.commits) == (7, 250, 5)
    assert (work.written_bytes, work.flushes) == (50, 2)
    assert work.by_role() == {"bp_payments": 4, "bp_relay": 3}


def _standing(measured: dict[str, float], what: str) -> marks.Judged:
    return next(one for one in marks.judge(measured) if one.mark.what == what)


def test_transfers_are_compared_with_the_mean_of_the_floors_around_them() -> None:
    figures = {"interbank.c64.per_s": 300.0, "floor.per_s": 1400.0, "floor.after.per_s": 1000.0}
    assert _standing(figures, "their speed against the floor's").value == 0.25
    assert _standing({"floor.per_s": 1.0}, "their speed against the floor's").value is None


def test_marks_and_goals_are_met_missed_or_not_measured() -> None:
    figures = {"interbank.c64.per_s": 300.0, "floor.per_s": 1500.0, "interbank.cpu_ms": 7.0}
    speed = _standing(figures, "interbank transfers")
    assert (speed.standing, speed.goal_standing) == (Standing.MET, Standing.MISSED)
    share = _standing(figures, "their speed against the floor's")
    assert (share.value, share.standing) == (0.2, Standing.MISSED)
    assert _standing(figures, "CPU of one").standing is Standing.MISSED
    assert _standing(figures, "warm start").standing is Standing.NOT_MEASURED
    assert _standing({"interbank.c64.per_s": 3.0}, share.mark.what).value is None


@pytest.mark.parametrize(("way", "met"), [(Way.AT_LEAST, 5.0), (Way.AT_MOST, 5.0)])
def test_the_number_of_a_mark_itself_meets_it(way: Way, met: float) -> None:
    mark = Mark("anything", "a.b", way, met)
    assert marks.Judged(mark, met).standing is Standing.MET
    assert marks.Judged(mark, met).goal_standing is None
