"""`python -m sandbox.bench`: every kind of run, one after the other, into one report."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rich.console import Console

from sandbox.bench import orders, parts, report
from sandbox.bench.bench import Bench, Findings, Scale
from sandbox.bench.growth import growth
from sandbox.bench.ledger_alone import PEER_FILE, ledger
from sandbox.bench.mesh_aside import mesh
from sandbox.bench.show import show
from sandbox.bench.soak import soak
from sandbox.bench.stand import Stand
from sandbox.bench.verdict import judged
from sandbox.stack import cli, control, memory
from sandbox.stack.home import REPO, Home

FILE = "bench.json"
Part = Callable[[Bench], Awaitable[None]]

PARTS: dict[str, Part] = {
    "floor": parts.floor,
    "internal": parts.internal,
    "interbank": parts.interbank,
    "widths": parts.widths,
    "mesh": mesh,
    "open": parts.arrivals,
    "ledger": ledger,
}
"""In this order: book transfers warm Kafka up for what comes behind them."""
APART: dict[str, Part] = {"growth": growth, "soak": soak}
"""Parts that have a stand of their own, with empty stores."""
QUICK = ("floor", "internal", "interbank", "open", "ledger")
LONG_ONLY = ("soak",)


def main(arguments: Sequence[str]) -> int:
    """Measure, write the report, print it; 1 when a run is void."""
    options = _parser().parse_args(arguments)
    scale = Scale(
        options.quick, options.long, options.seconds, options.connections, options.pgledger
    )
    home, found, wanted = Home(options.home.resolve()), Findings(), _wanted(options)
    own = options.home == _own_home()
    given = f' ARGS="{" ".join(arguments)}"' if arguments else ""

    together = [PARTS[name] for name in PARTS if name in wanted]

    def keep() -> dict[str, float]:
        figures = report.figures_of(found, home if together else None)
        report.write(options.report, report.document(found, figures, f"make bench{given}"))
        return figures

    if together:
        _on_a_stand(home, scale, found, together, fresh=own and not options.quick)
    for name in APART:
        if name in wanted:
            keep()  # what was measured so far, if somebody ends this one
            _apart(name, scale, found)
    show(found, keep())
    print(f"written to {options.report}")
    return 1 if found.reasons else 0


def _wanted(options: argparse.Namespace) -> Sequence[str]:
    if options.only:
        return options.only
    if options.quick:
        return QUICK
    return [name for name in (*PARTS, *APART) if options.long or name not in LONG_ONLY]


def _apart(name: str, scale: Scale, found: Findings) -> None:
    """Run a part on a stand of its own that is new and is thrown away."""
    place = Home(REPO / f".bp-bench-{name}")
    if control.is_running(place.control_socket):
        cli.down(place)
    shutil.rmtree(place.root, ignore_errors=True)
    found.too_many = False
    _on_a_stand(place, scale, found, [APART[name]], fresh=False)
    shutil.rmtree(place.root, ignore_errors=True)


def _on_a_stand(
    home: Home, scale: Scale, found: Findings, wanted: Sequence[Part], *, fresh: bool
) -> None:
    stand = Stand.open(home, fresh=fresh)
    try:
        asyncio.run(_measure(stand, scale, found, wanted))
        memory.write_report(home, None)
    finally:
        stand.close()


async def _measure(stand: Stand, scale: Scale, found: Findings, wanted: Sequence[Part]) -> None:
    console = Console(stderr=True)
    callers = await orders.payers(stand)
    bench = Bench(stand, callers, scale, found, lambda what: console.print(f"[dim]{what}[/]"))
    for part in wanted:
        await part(bench)
    if not bench.found.too_many:
        await judged(bench)


def _own_home() -> Path:
    return REPO / ".bp-bench"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--home", type=Path, default=_own_home(), help="home of the stack to use")
    parser.add_argument("--quick", action="store_true", help="short runs of the main parts")
    parser.add_argument("--long", action="store_true", help="more history, and the soak")
    parser.add_argument("--seconds", type=float, help="measured seconds of each run")
    parser.add_argument("--only", nargs="+", choices=(*PARTS, *APART), help="these parts alone")
    parser.add_argument("--connections", type=int, default=64, help="of the main runs")
    parser.add_argument(
        "--pgledger", type=Path, help=f"SQL of pgledger to measure beside (or {PEER_FILE})"
    )
    parser.add_argument("--report", type=Path, default=REPO / ".bp" / "reports" / FILE)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
