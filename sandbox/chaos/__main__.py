"""`make chaos`: schedules of two minutes one after the other, each seed printed with its verdict.

It stops at the first that is not sound: a later one would be judged by the same spoilt books. The
stack's home is kept, with its logs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.chaos.runner import run
from sandbox.stack import control
from sandbox.stack.home import REPO, Home
from sandbox.stack.testing import RunningStack

SEED_MAX = 1_000_000
SCHEDULES = 20
SECONDS = 120.0


def main(arguments: Sequence[str]) -> int:
    """Run the schedules; 1 when one was not sound."""
    options = _parser().parse_args(arguments)
    home = Home(options.home.resolve())
    if options.home == _own_home() and not control.is_running(home.control_socket):
        shutil.rmtree(home.root, ignore_errors=True)
    stack = RunningStack.open(home.root)
    try:
        stack.ensure()
        return asyncio.run(_run_all(stack, _seeds(options)))
    finally:
        if stack.started:
            stack.down()


async def _run_all(stack: RunningStack, seeds: Sequence[int]) -> int:
    for number, seed in enumerate(seeds, 1):
        print(f"-- schedule {number} of {len(seeds)}", flush=True)
        outcome = await run(stack, seed, SECONDS, lambda line: print(line, flush=True))
        report = stack.home.reports / f"chaos-{seed}.json"
        report.write_text(json.dumps(outcome.to_json(), indent=1) + "\n")
        print("\n".join(outcome.lines()), flush=True)
        if not outcome.ok:
            print(f"replay it: bpctl chaos run --seed {seed}; written to {report}")
            return 1
    print(f"{len(seeds)} schedules: nothing lost, nothing doubled, healed each time")
    return 0


def _seeds(options: argparse.Namespace) -> list[int]:
    return options.seed or [random.randrange(SEED_MAX) for _ in range(options.schedules)]


def _own_home() -> Path:
    return REPO / ".bp-chaos"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--home", type=Path, default=_own_home(), help="home of the stack to use")
    parser.add_argument("--schedules", type=int, default=SCHEDULES)
    parser.add_argument("--seed", type=int, action="append", help="this seed; may be repeated")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
