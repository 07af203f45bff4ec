"""`make check`: one line for each check, its findings under it, and an exit code.

`make check ARGS="types imports"` runs only the named checks.
"""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tools.check import generated, locks, migrations, policies, released, schema
from tools.check.tools import REPO, Check, CheckFailed, run

CHECKS = (
    Check("types", "pyright, strict", lambda: _run("basedpyright", "--pythonpath", sys.executable)),
    Check(
        "style",
        "ruff check",
        lambda: _run("ruff", "check", "--quiet", "--output-format=concise", "."),
    ),
    Check("format", "ruff format", lambda: _run("ruff", "format", "--check", "--quiet", ".")),
    Check("spelling", "typos, British", lambda: _run("typos", "--format=brief")),
    Check("imports", "import-linter", lambda: _run("lint-imports", "--no-cache")),
    Check("protos", "buf lint", lambda: _run("buf", "lint")),
    Check(
        "protoform", "buf format", lambda: _run("buf", "format", "--diff", "--exit-code", "proto")
    ),
    Check("breaking", "buf breaking against proto/released.binpb", released.refuse_breaking),
    Check("migrations", "released migrations are as released", migrations.refuse_changed),
    Check("locks", "new migrations do not lock a table for long", locks.refuse_long),
    Check("schema", "the SQL files match the migrations", schema.refuse_different),
    Check("policies", "every method has a complete policy", policies.refuse_missing),
    Check(
        "generated", "gen/, docs/ and k8s/base/mesh/ are what `make gen` writes", generated.compare
    ),
)
PARALLEL = 2
"""The type checker uses one core for most of the time; the other checks fit on a second one."""


def main() -> int:
    """Run the checks and report them; return 0 when all passed."""
    wanted = _wanted()
    with ThreadPoolExecutor(PARALLEL) as pool:
        passed = [_report(*done) for done in pool.map(_timed, wanted)]
    failed = passed.count(False)
    print(f"{len(passed)} checks, {failed} failed" if failed else f"{len(passed)} checks passed")
    return min(failed, 1)


def _wanted() -> list[Check]:
    parser = argparse.ArgumentParser(prog="make check", description=__doc__)
    parser.add_argument("names", nargs="*", help="; ".join(f"{c.name}: {c.about}" for c in CHECKS))
    names: list[str] = parser.parse_args().names
    unknown = set(names) - {check.name for check in CHECKS}
    if unknown:
        parser.error(f"unknown check: {', '.join(sorted(unknown))}. See --help for the names.")
    return [check for check in CHECKS if not names or check.name in names]


def _run(tool: str, *arguments: str) -> None:
    run(tool, *arguments)


def _timed(check: Check) -> tuple[Check, str, float]:
    begun = time.monotonic()
    findings = ""
    try:
        check.run()
    except CheckFailed as failed:
        findings = str(failed).replace(f"{REPO}/", "")
    return check, findings, time.monotonic() - begun


def _report(check: Check, findings: str, seconds: float) -> bool:
    mark = "FAIL" if findings else "ok"
    print(f"{mark:<5}{check.name:<11}{seconds:6.1f} s  {check.about}", flush=True)
    for line in findings.splitlines():
        print(f"        {line}")
    return not findings


if __name__ == "__main__":
    sys.exit(main())
