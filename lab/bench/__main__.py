"""`python -m lab.bench`: runs the parts of a bench one after the other and writes one report."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from lab.bench.bench import Bench, Findings, Scale
from lab.bench.load import orders
from lab.bench.report import bench_json
from lab.bench.report.show import show
from lab.bench.report.verdict import judged
from lab.bench.test_bench import TestBench
from lab.bench.variants import transfers
from lab.bench.variants.baseline import baseline
from lab.bench.variants.growth import growth
from lab.bench.variants.ledger_alone import PEER_FILE, ledger
from lab.bench.variants.login.part import login
from lab.bench.variants.mesh.hop import hop
from lab.bench.variants.mesh.part import mesh
from lab.bench.variants.soak import soak
from sandbox.stack import cli, memory
from sandbox.stack.home import REPO, Home, home_at
from sandbox.stack.supervisor import control

FILE = "bench.json"
Part = Callable[[Bench], Awaitable[None]]

PARTS: dict[str, Part] = {
    "baseline": baseline,
    "book": transfers.book,
    "interbank": transfers.interbank,
    "widths": transfers.widths,
    "mesh": mesh,
    "hop": hop,
    "open": transfers.arrivals,
    "ledger": ledger,
    "login": login,
}
"""Parts on the main test bench, in order: book transfers run first and warm up Kafka for later
parts."""
APART: dict[str, Part] = {"growth": growth, "soak": soak}
"""Parts that each start a separate test bench with empty stores."""
QUICK = ("baseline", "book", "interbank", "open", "ledger")
LONG_ONLY = ("soak",)


def main(arguments: Sequence[str]) -> int:
    """Measure, write the report and print it. Return 1 when the bench is void."""
    options = parser().parse_args(arguments)
    scale = scale_of(options)
    home, found, wanted = home_at(options.home), Findings(), _wanted(options)
    own = options.home == _own_home()
    given = f' ARGS="{" ".join(arguments)}"' if arguments else ""

    together = [PARTS[name] for name in PARTS if name in wanted]

    def keep() -> dict[str, float]:
        figures = bench_json.figures_of(found, home if together else None)
        bench_json.write(options.report, bench_json.content(found, figures, f"make bench{given}"))
        return figures

    if together:
        _on_test_bench(home, scale, found, together, fresh=own and not options.quick)
    for name in APART:
        if name in wanted:
            keep()  # so that an interrupt in this part does not lose the results of earlier parts
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
    """Run a part on a new test bench and delete that test bench afterwards."""
    place = Home(REPO / f".bp-bench-{name}")
    if control.is_running(place.control_socket):
        cli.down(place)
    cli.wait_for_end(place)
    shutil.rmtree(place.root, ignore_errors=True)
    found.too_many = False
    _on_test_bench(place, scale, found, [APART[name]], fresh=False)
    shutil.rmtree(place.root, ignore_errors=True)


def _on_test_bench(
    home: Home, scale: Scale, found: Findings, wanted: Sequence[Part], *, fresh: bool
) -> None:
    test_bench = TestBench.open(home, fresh=fresh)
    try:
        asyncio.run(_measure(test_bench, scale, found, wanted))
        memory.write_report(home, None)
    finally:
        test_bench.close()


async def _measure(
    test_bench: TestBench, scale: Scale, found: Findings, wanted: Sequence[Part]
) -> None:
    console = Console(stderr=True)
    bench = Bench(test_bench, (), scale, found, lambda what: console.print(f"[dim]{what}[/]"))
    for part in wanted:
        # New tokens for each part, because the bench takes longer than a token is valid.
        await part(replace(bench, callers=await orders.payers(test_bench)))
    if not bench.found.too_many:
        await judged(bench)


def scale_of(options: argparse.Namespace) -> Scale:
    """Return the scale that the options of the command line ask for."""
    return Scale(
        quick=options.quick,
        long=options.long,
        seconds=options.seconds,
        connections=options.connections,
        peer=options.pgledger,
    )


def _own_home() -> Path:
    return REPO / ".bp-bench"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    options = argparse.ArgumentParser(prog="make bench", description=__doc__)
    options.add_argument("--home", type=Path, default=_own_home(), help="home of the stack")
    options.add_argument("--quick", action="store_true", help="short runs of the main parts")
    options.add_argument(
        "--long", action="store_true", help="add 10 million transfers of history and the soak"
    )
    options.add_argument("--seconds", type=float, help="measured seconds of each run")
    options.add_argument("--only", nargs="+", choices=(*PARTS, *APART), help="run only these parts")
    options.add_argument("--connections", type=int, default=64, help="connections of the main runs")
    options.add_argument(
        "--pgledger",
        type=Path,
        help=f"file with pgledger's SQL, measured for comparison (or set {PEER_FILE})",
    )
    options.add_argument(
        "--report", type=Path, default=REPO / ".bp" / "reports" / FILE, help="file to write"
    )
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
