"""`python -m lab.simulator --transfers N --seed S [--json]`: simulates worlds, prints the verdict.

`--operations` and `--faults` replay one world; a failure prints this command.
"""

import argparse
import sys

import orjson

from lab.simulator.randomness import Fault
from lab.simulator.runs import Report, run
from lab.simulator.shrink import Failure, outcome

TRACE_LINES_MAX = 80


def main() -> int:
    """Run the worlds. Return 0 if every invariant held."""
    parser = argparse.ArgumentParser(prog="python -m lab.simulator")
    parser.add_argument(
        "--transfers",
        type=int,
        default=100_000,
        help="number of operations over all worlds (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the first world (default: %(default)s)"
    )
    parser.add_argument(
        "--processes", type=int, default=None, help="worker processes (default: one for each core)"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--operations", help="replay one world with only these operations, by number"
    )
    parser.add_argument(
        "--faults", help='with --operations: inject only these faults; "none" for no faults'
    )
    args = parser.parse_args()
    if args.operations:
        return _replay(args.seed, args.operations, args.faults)
    report = run(args.transfers, args.seed, args.processes)
    if args.json:
        totals = report.totals()
        if report.failure is not None:
            totals["failure"] = {
                "seed": report.failure.seed,
                "text": report.failure.text,
                "replay": report.failure.command(),
                "trace": report.failure.trace,
            }
        sys.stdout.write(orjson.dumps(totals, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        _tell(report)
    return 1 if report.failure else 0


def _replay(seed: int, operations: str, faults: str | None) -> int:
    allowed = None
    if faults is not None:
        allowed = [] if faults == "none" else [Fault.parse(one) for one in faults.split(",")]
    failure, world = outcome(
        seed, [int(one) for one in operations.split(",")], allowed, tracing=True
    )
    if failure is None:
        sys.stdout.write("\n".join(world.trace[-TRACE_LINES_MAX:]) + "\nevery invariant held\n")
        return 0
    sys.stdout.write(told(failure) + "\n")
    return 1


def told(failure: Failure) -> str:
    """Return a failure as text."""
    lines = [
        f"FAILED in the world of seed {failure.seed}: {failure.text}",
        f"left of it: {len(failure.operations)} operations,"
        f" {'all' if failure.faults is None else len(failure.faults)} faults",
        *failure.trace[-TRACE_LINES_MAX:],
        f"replay: {failure.command()}",
    ]
    return "\n".join(lines)


def _tell(report: Report) -> None:
    totals = report.totals()
    states = ", ".join(f"{count} {name}" for name, count in totals["states"].items())
    lines = [
        f"{totals['transfers']} transfers in {totals['worlds']} worlds,"
        f" {totals['simulated_days']} simulated days: {states}",
        f"{totals['steps']} steps and {totals['events']} events under"
        f" {totals['faults_in_all']} faults, every invariant checked after each",
        f"{totals['wall_s']} s, {totals['cpu_s']} s of CPU,"
        f" as much as {totals['cost_in_yardsticks']} yardsticks",
    ]
    lines.append(told(report.failure) if report.failure else "PASSED: every invariant held")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
