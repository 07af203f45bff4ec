"""A series stops at its first failure and prints each outcome."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.chaos import __main__ as make_chaos
from lab.chaos.expected_balances import Difference
from lab.chaos.healing import Healing
from lab.chaos.report import Outcome
from lab.chaos.series import one_after_the_other

AGREED = {"ok": True, "differences": [], "difference_counts": {}, "checked": {"events": 7}}
PLANTED = {"kind": "BOOKS", "ids": {"account_id": "one"}, "expected": 1, "actual": 2}
DISAGREED = AGREED | {
    "ok": False,
    "differences": [PLANTED],
    "difference_counts": {"BOOKS": 1},
}
SOUND = Outcome(
    seed=0,
    seconds=120,
    injected=[],
    orders=[],
    answers=Counter(),
    skipped=0,
    healing=Healing(1, 2, 12),
    settled_s=3,
    differences=[],
    verdict=AGREED,
)
LOST = Difference("accepted, but missing", "interbank k", "a transfer", "no such transfer")

UNSOUND = [
    pytest.param({"verdict": DISAGREED}, "judge: BOOKS: 1", id="the judge disagrees"),
    pytest.param(
        {"differences": [LOST]}, "accepted, but missing: interbank k", id="a customer does"
    ),
    pytest.param({"healing": Healing(1, 2, 31)}, "NOT HEALED IN TIME", id="it heals too late"),
    pytest.param({"healing": Healing(1)}, "a new transfer accepted: NEVER", id="it does not heal"),
]


class Series:
    """A fake series: outcomes by seed, the seeds that ran, and the printed lines."""

    def __init__(self, reports: Path, outcomes: dict[int, Outcome | Exception]) -> None:
        self.reports = reports
        self.outcomes = outcomes
        self.seeds: list[int] = []
        self.told: list[str] = []

    async def run_schedule(self, seed: int) -> Outcome:
        self.seeds.append(seed)
        outcome = self.outcomes[seed]
        if isinstance(outcome, Exception):
            raise outcome
        return replace(outcome, seed=seed)

    async def run(self) -> int:
        return await one_after_the_other(
            [*self.outcomes], self.run_schedule, self.reports, self.told.append
        )


async def test_schedules_that_pass_are_all_run_and_end_with_exit_code_0(tmp_path: Path) -> None:
    series = Series(tmp_path, {7: SOUND, 8: SOUND})
    assert await series.run() == 0
    assert series.seeds == [7, 8]
    assert series.told[-1] == "2 schedules: nothing lost, nothing doubled, healed each time"
    assert "seed 7: nothing lost, nothing doubled (7 events judged)" in series.told
    assert not any("replay it" in line for line in series.told)
    assert json.loads((tmp_path / "chaos-8.json").read_text())["ok"] is True


@pytest.mark.parametrize(("wrong", "named"), UNSOUND)
async def test_the_first_failed_schedule_ends_the_series_with_exit_code_1_and_a_replay_command(
    tmp_path: Path, wrong: dict[str, Any], named: str
) -> None:
    series = Series(tmp_path, {7: SOUND, 8: replace(SOUND, **wrong), 9: SOUND})
    assert await series.run() == 1
    assert series.seeds == [7, 8], "no schedule may run on wrong books"
    report = tmp_path / "chaos-8.json"
    assert series.told[-1] == f"replay it: bpctl chaos run --seed 8; written to {report}"
    assert "seed 8: FAILED (7 events judged)" in series.told
    assert any(named in line for line in series.told), series.told
    assert json.loads(report.read_text())["ok"] is False


async def test_an_interrupted_run_has_a_replay_command_and_no_verdict(
    tmp_path: Path,
) -> None:
    series = Series(tmp_path, {7: TimeoutError("the bank hangs"), 8: SOUND})
    with pytest.raises(TimeoutError, match="the bank hangs"):
        await series.run()
    assert series.seeds == [7]
    assert "INTERRUPTED" in series.told[-1]
    assert "bpctl chaos run --seed 7" in series.told[-1]


@pytest.mark.parametrize("number", ["0", "-3"])
def test_fewer_than_one_schedule_is_refused(
    number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        make_chaos.main(["--schedules", number])
    assert left.value.code == 2
    assert "must be at least 1" in capsys.readouterr().err
