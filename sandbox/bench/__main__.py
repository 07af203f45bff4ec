"""`python -m sandbox.bench`: floor, interbank and book transfers, one after the other."""

from __future__ import annotations

import argparse
import asyncio
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from sandbox.bench import orders, report
from sandbox.bench.floor_stage import floor_in_place
from sandbox.bench.orders import Payer
from sandbox.bench.runs import Load, Result, run
from sandbox.bench.stand import Stand
from sandbox.stack import memory
from sandbox.stack.home import REPO, Home

CONNECTIONS = 64
FILE = "bench.json"


def main(arguments: Sequence[str]) -> int:
    """Measure, write the report, print it; 1 when the run is void."""
    options = _parser().parse_args(arguments)
    home = Home(options.home.resolve())
    stand = Stand.open(home, fresh=not options.quick and options.home == _own_home())
    try:
        results = asyncio.run(_measure(stand, options))
        memory.write_report(home, None)
    finally:
        stand.close()
    figures = report.figures_of(results, home)
    void = [f"{result.load.name}: {reason}" for result in results for reason in result.void]
    report.write(options.report, report.document(results, figures, void))
    report.show(results, figures, void)
    print(f"written to {options.report}")
    return 1 if void else 0


def _own_home() -> Path:
    return REPO / ".bp-bench"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--home", type=Path, default=_own_home(), help="home of the stack to use")
    parser.add_argument("--quick", action="store_true", help="short runs, within a minute")
    parser.add_argument("--seconds", type=float, help="measured seconds of each run")
    parser.add_argument("--only", choices=("floor", "interbank", "internal"), help="one run alone")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--report", type=Path, default=REPO / ".bp" / "reports" / FILE)
    return parser


async def _measure(stand: Stand, options: argparse.Namespace) -> list[Result]:
    callers = await orders.payers(stand)
    results: list[Result] = []
    if options.only in (None, "floor"):
        results.append(await _floor(stand, callers, _load("floor", options, 4, 15)))
    if options.only in (None, "interbank"):
        load = _load(f"interbank.c{options.connections}", options, 8, 40)
        results.append(await run(stand, load, orders.interbank(stand, callers)))
    if options.only in (None, "internal"):
        load = _load(f"internal.c{options.connections}", options, 4, 20)
        results.append(await run(stand, load, orders.internal(stand, callers)))
    return results


def _load(name: str, options: argparse.Namespace, warm_up_s: float, seconds: float) -> Load:
    if options.quick:
        warm_up_s, seconds = 2.0, 6.0
    return Load(name, options.connections, warm_up_s, options.seconds or seconds)


async def _floor(stand: Stand, callers: Sequence[Payer], load: Load) -> Result:
    account_ids = [uuid.UUID(caller.account_id) for caller in callers]
    async with floor_in_place(stand, account_ids) as pid:
        return await run(stand, load, orders.interbank(stand, callers), floor_pid=pid)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
