"""Several schedules one after the other: what is told of each, and whether there is a next one.

Knows nothing of a bank: how one schedule is carried out is handed over.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from lab.chaos.report import Outcome

Strike = Callable[[int], Awaitable[Outcome]]
"""Carries out the schedule of a seed."""
Tell = Callable[[str], None]


async def one_after_the_other(
    seeds: Sequence[int], strike: Strike, reports: Path, tell: Tell
) -> int:
    """Return the exit code: 0, or 1 after the first that was not sound. None comes behind it.

    What breaks a run off is raised, once it is told how to repeat that run.
    """
    for number, seed in enumerate(seeds, 1):
        tell(f"-- schedule {number} of {len(seeds)}")
        try:
            outcome = await strike(seed)
        except BaseException:
            tell(f"seed {seed}: BROKEN OFF, nothing is judged; {_replay(seed)}")
            raise
        report = reports / f"chaos-{seed}.json"
        report.write_text(json.dumps(outcome.to_json(), indent=1) + "\n")
        for line in outcome.lines():
            tell(line)
        if not outcome.ok:
            tell(f"{_replay(seed)}; written to {report}")
            return 1
    tell(f"{len(seeds)} schedules: nothing lost, nothing doubled, healed each time")
    return 0


def _replay(seed: int) -> str:
    return f"replay it: bpctl chaos run --seed {seed}"
