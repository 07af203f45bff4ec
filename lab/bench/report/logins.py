"""`python -m lab.bench.report.logins`: writes the figures of the part `login` into the documents.

They come from a report of `make bench ARGS="--only login"`. Only the text between two markers of
docs/performance.md is replaced.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.bench.report import targets
from lab.bench.report.documents import replaced, table
from lab.bench.report.page import REPORT
from sandbox.stack.home import REPO

BEGIN = "<!-- logins: written by python -m lab.bench.report.logins -->"
END = "<!-- logins end -->"
DOCUMENT = REPO / "docs" / "performance.md"
RUNS = {
    "login": "first factor: password, code sent",
    "login.face": "whole login: password, code, face",
    "login.key": "whole login: password, code, device key",
    "refresh": "refresh",
}
"""The closed loops, in the order of the table."""
REST = (
    *(
        (f"p{p} of transfers, 20 a second, {when}, ms", f"{run}.p{p}_ms", ".0f")
        for run, when in (
            ("calm", "before the storm"),
            ("storm", "in the storm"),
            ("calm.after", "after the storm"),
        )
        for p in (50, 99)
    ),
    (
        "customers who passed the first factor in the storm, a second",
        "storm.logins_per_s",
        ".3g",
    ),
    ("customers who passed it until the storm's end, of 500", "storm.logged_in", ",.0f"),
    ("the slowest transfer of the storm's first ten seconds, ms", "storm.crest_p99_ms", ",.0f"),
    ("answers in the storm that asked a caller to come later", "storm.busy_answers", ",.0f"),
    ("requests while the provider changed its key", "login.new_key.requests", ",.0f"),
    ("requests refused meanwhile", "login.new_key.refused", ".0f"),
    ("check for revoked sessions, no entry, µs", "login.check.empty_us", ".2g"),
    ("check for revoked sessions, 100,000 entries, µs", "login.check.full_us", ".2g"),
    (
        "from a logout until every service refuses the token, median, s",
        "login.logout.p50_s",
        ".2g",
    ),
    ("the longest time from a logout until then, s", "login.logout.p100_s", ".2g"),
)
"""The other figures: what, name, format."""


def main(arguments: Sequence[str]) -> int:
    """Write the figures of a report. Return 1 when the report is void."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench.report.logins", description=__doc__)
    parser.add_argument("report", nargs="?", type=Path, default=REPORT, help="file of `make bench`")
    report: Mapping[str, Any] = json.loads(parser.parse_args(arguments).report.read_text())
    if report["void"]:
        print(f"The report is void and is not written: {report['reason']}", file=sys.stderr)
        return 1
    DOCUMENT.write_text(replaced(DOCUMENT.read_text(), whole(report), BEGIN, END))
    return 0


def whole(report: Mapping[str, Any]) -> str:
    """Return the tables of a report."""
    figures: Mapping[str, float] = report["figures"]
    setting = f"`{report['command']}` on {report['machine']}, {report['time'][:10]}:"
    return "\n\n".join((setting, _speeds(figures), _against_limits(figures), _rest(figures)))


def _speeds(figures: Mapping[str, float]) -> str:
    limit = figures["login.limit_per_s"]
    rows: list[tuple[str, ...]] = [
        ("the machine's limit: bcrypt on all cores", f"{limit:.3g}", "", "", "", "", "")
    ]
    for name, what in RUNS.items():
        per_s = figures[f"{name}.per_s"]
        rows.append(
            (
                what,
                f"{per_s:.3g}",
                "" if name == "refresh" else f"{per_s / limit:.2f}",
                *(f"{figures[f'{name}.{one}']:,.0f}" for one in ("p50_ms", "p99_ms")),
                f"{figures[f'{name}.cpu_ms']:.3g}",
                f"{figures[f'{name}.others_share']:.0%}",
            )
        )
    titles = ("what", "a second", "of the limit", "p50 ms", "p99 ms", "CPU ms", "others' share")
    return table(titles, rows)


def _against_limits(figures: Mapping[str, float]) -> str:
    own = {one.what for one in targets.LOGIN} | {"warm start", "memory of the stack"}
    rows = [
        (
            one.target.what,
            "" if one.value is None else f"{one.value:,.4g} {one.target.unit}".strip(),
            f"{one.target.comparison} {one.target.bound:g}",
            str(one.standing),
        )
        for one in targets.judge(figures)
        if one.target.what in own
    ]
    return table(("what", "measured", "target", ""), rows)


def _rest(figures: Mapping[str, float]) -> str:
    rows = [(what, format(figures[name], form)) for what, name, form in REST]
    return table(("what", "measured"), rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
