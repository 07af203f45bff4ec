"""Runs several schedules one after the other, prints each result, and stops at the first failure.

It has no access to the bank: the caller passes the function that runs one schedule.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from lab.chaos.report import Outcome

RunSchedule = Callable[[int], Awaitable[Outcome]]
"""Runs the schedule of a seed."""
Tell = Callable[[str], None]


async def one_after_the_other(
    seeds: Sequence[int], run_schedule: RunSchedule, reports: Path, tell: Tell
) -> int:
    """Run the schedules until one fails. Return the exit code: 0, or 1 after a failure.

    An exception that interrupts a run is raised again, after the command to replay it is printed.
    """
    for number, seed in enumerate(seeds, 1):
        tell(f"-- schedule {number} of {len(seeds)}")
        try:
            outcome = await run_schedule(seed)
        except BaseException:
            tell(f"seed {seed}: INTERRUPTED, no verdict; {_replay(seed)}")
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
