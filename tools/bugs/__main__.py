"""Lists known bugs, reintroduces one in a copy of the repository, or checks that tests find them.

    python -m tools.bugs list         # or --missing: rows of docs/known-bugs.md that need an entry
    python -m tools.bugs check NAME…  # or --quick: those that need no running service; or --all
    python -m tools.bugs put NAME     # prints the folder of the copy

In the folder that `put` prints, every command works as in the repository: `make simulate`,
`make chaos`, `make fuzz`, `make test`.
"""

import argparse
import sys
from collections.abc import Sequence

from tools.bugs import copies
from tools.bugs.document import missing, read_rows
from tools.bugs.table import Bug, read_bugs
from tools.bugs.verdicts import Verdict, judged


def main() -> int:
    """Run a command; return 0, or 1 if a test did not find its bug."""
    bugs = read_bugs()
    options = _options()
    unknown = {*getattr(options, "names", ())} - bugs.keys()
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}. `list` prints the names.", file=sys.stderr)
        return 2
    match options.command:
        case "list":
            return _missing([*bugs.values()]) if options.missing else _list([*bugs.values()])
        case "put":
            return _put(bugs[options.names[0]])
        case _:
            return _check([bug for bug in bugs.values() if _is_wanted(bug, options)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.bugs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    shown = commands.add_parser("list", help="print each bug with its area and its test")
    shown.add_argument("--missing", action="store_true", help="print the rows that need an entry")
    check = commands.add_parser("check", help="reintroduce bugs and run the tests that find them")
    check.add_argument("names", nargs="*", metavar="NAME")
    check.add_argument("--quick", action="store_true", help="check bugs without services")
    check.add_argument("--all", action="store_true", help="check all bugs; takes over an hour")
    put = commands.add_parser("put", help="introduce a bug into a copy of the repository")
    put.add_argument("names", nargs=1, metavar="NAME")
    options = parser.parse_args()
    if options.command == "check" and not (options.names or options.quick or options.all):
        check.error("Name a bug, or give --quick or --all")
    return options


def _is_wanted(bug: Bug, options: argparse.Namespace) -> bool:
    return bug.name in options.names or options.all or (options.quick and bug.is_quick)


def _list(bugs: Sequence[Bug]) -> int:
    for bug in bugs:
        print(f"{bug.area:<14} {bug.name:<56} {bug.test}")
    print(f"{len(bugs)} bugs, {sum(bug.is_quick for bug in bugs)} of which are quick to check")
    return 0


def _missing(bugs: Sequence[Bug]) -> int:
    rows = read_rows()
    explained = sum(bool(row.reason) for row in rows)
    without = missing(rows, bugs)
    for row in without:
        print(f"- {row.text}")
    print(f"{len(without)} of {len(rows)} rows need an entry; {explained} say why they have none")
    return 0


def _put(bug: Bug) -> int:
    copy = copies.make_copy()
    copies.put(copy, bug)
    print(copy)
    return 0


def _check(bugs: Sequence[Bug]) -> int:
    missed = 0
    for one in judged(bugs):
        missed += one.verdict is not Verdict.FOUND
        print(f"{one.verdict.value:<8} {one.bug.name}: {one.detail}", flush=True)
    print(f"{len(bugs)} bugs, {missed} not found")
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
