"""`make chaos`: runs schedules of random faults, two minutes each; prints each seed and verdict.

It stops at the first schedule that fails, because the same wrong books would make every later
schedule fail too. The stack's home and its logs are kept.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.chaos.report import Outcome
from lab.chaos.runner import run
from lab.chaos.series import one_after_the_other
from sandbox.stack.home import REPO, home_at
from sandbox.stack.supervisor import control
from sandbox.stack.testing import RunningStack

SEED_MAX = 1_000_000
SCHEDULES = 20
SECONDS = 120.0


def main(arguments: Sequence[str]) -> int:
    """Run the schedules. Return 1 if a schedule failed."""
    options = _parser().parse_args(arguments)
    home = home_at(options.home)
    if options.home == _own_home() and not control.is_running(home.control_socket):
        shutil.rmtree(home.root, ignore_errors=True)
    stack = RunningStack.open(home.root)
    try:
        stack.ensure()

        async def run_schedule(seed: int) -> Outcome:
            return await run(stack, seed, SECONDS, _tell)

        seeds = _seeds(options)
        return asyncio.run(one_after_the_other(seeds, run_schedule, stack.home.reports, _tell))
    finally:
        if stack.started:
            stack.down()


def _tell(line: str) -> None:
    print(line, flush=True)


def _seeds(options: argparse.Namespace) -> list[int]:
    return options.seed or [random.randrange(SEED_MAX) for _ in range(options.schedules)]


def _own_home() -> Path:
    return REPO / ".bp-chaos"


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--home", type=Path, default=_own_home(), help="home of the stack")
    parser.add_argument(
        "--schedules",
        type=_at_least_one,
        default=SCHEDULES,
        help="number of schedules with random seeds (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, action="append", help="run the schedule of this seed; may be repeated"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
