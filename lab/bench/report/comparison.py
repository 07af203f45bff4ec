"""`python -m lab.bench.report.comparison`: writes the comparison with other systems.

The figures come from `peers.py`. The figures of a bench are written by `page.py`, between other
markers, so neither program changes the other's part of a document.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from lab.bench.report import peers
from lab.bench.report.charts import Bar, bars
from lab.bench.report.documents import replaced, table
from lab.bench.report.peers import Measured
from sandbox.stack.home import REPO

BEGIN = "<!-- comparison: written by python -m lab.bench.report.comparison -->"
END = "<!-- comparison end -->"
CHARTS = REPO / "docs" / "img"
SETTING = (
    f"All systems ran on the same machine in one sitting ({peers.DATE}, {peers.MACHINE}). "
    "PostgreSQL 18.6 used fsync and synchronous commit for all. The load generator ran on the same "
    "machine. It kept 32 requests in flight for 20 s, after 8 s of warm-up, and alternated between "
    "BP and the other system. "
)


def main(arguments: Sequence[str]) -> int:
    """Write the charts and both documents."""
    argparse.ArgumentParser(
        prog="python -m lab.bench.report.comparison", description=__doc__
    ).parse_args(arguments)
    CHARTS.mkdir(exist_ok=True)
    for name, drawing in draw().items():
        (CHARTS / name).write_text(drawing)
    for name, text in (("docs/performance.md", whole()), ("README.md", short())):
        document = REPO / name
        document.write_text(replaced(document.read_text(), text, BEGIN, END))
    return 0


def draw() -> dict[str, str]:
    """Return each chart by its file name."""
    systems = [
        Bar(one.label, one.most_per_s, _pace(one), one.ours, one.least_per_s)
        for one in peers.SYSTEMS
    ]
    functions = [
        Bar(f"{one.label}{where}", per_s, f"{per_s:,}", one.ours)
        for one in peers.FUNCTIONS
        for where, per_s in (("", one.spread_per_s), (", hot account", one.hot_per_s))
    ]
    return {
        "peers.svg": bars("Units a second in one sitting (each unit is different work)", systems),
        "peers-functions.svg": bars("SQL alone: postings a second in one run", functions),
    }


def whole() -> str:
    """Return the comparison for docs/performance.md."""
    return "\n\n".join(
        (
            f"{SETTING}A ratio of two figures is accurate to ± 0.15. The bench above ran in "
            "another hour, with twice as many requests in flight, and made more than three times "
            "as many book transfers a second, so figures of another sitting must not be compared "
            "with these.",
            "![Units a second in one sitting](img/peers.svg)",
            _systems(),
            "BP's transfers are not ahead of a bare posting. A book transfer costs 9.3 ms of CPU; "
            "a posting of Blnk costs 5.6 to 6.5 ms. In return, the book transfer has TLS, mTLS, "
            "events, an audit record and two pushes. BP's baseline is ahead, but it is a part of "
            "the bench, not a product: gateway, sidecars and one durable debit.",
            "![SQL alone](img/peers-functions.svg)",
            "The chart shows the SQL functions under pgbench, on many accounts and on one hot "
            "account. In batches, BP posts several transfers with one statement, as its services "
            "do.",
            "What the systems do with contradictory requests, three tries each:",
            _races(),
            "In Bank of Anthos, one balance fell to -24,999,949.00, the cached balances of 400 of "
            "1,000 accounts were wrong, and 8 connections made 1.9 logins a second.",
        )
    )


def _systems() -> str:
    titles = (
        *("system, version", "one unit", "a second", "with 64 connections"),
        *("p99 ms", "CPU ms a unit"),
    )
    rows = [
        (one.system, one.unit, _pace(one), str(one.per_s_at_64 or ""), one.p99_ms, one.cpu_ms)
        for one in peers.SYSTEMS
    ]
    return table(titles, rows)


def _races() -> str:
    titles = (
        "system",
        "accepted of 50 concurrent debits of a whole balance",
        "rows for one key that is sent 50 times",
    )
    return table(titles, [(one.system, one.accepted, one.rows) for one in peers.RACES])


def short() -> str:
    """Return the comparison for README.md."""
    return "\n\n".join(
        (
            "![Units a second in one sitting](docs/img/peers.svg)",
            f"{SETTING}The bench above ran in another hour, with twice as many requests in "
            "flight, and made more than three times as many book transfers a second. So compare "
            "only figures of this chart.",
            "Each system does different work for one unit. A posting of Blnk "
            f"({_pace(peers.BLNK)} a second) has no TLS, no authentication and no hash chain. A "
            f"book transfer of BP ({peers.BOOK.typical_per_s} a second) has TLS, mTLS, events, an "
            "audit record and two pushes; it is slower than a bare posting. BP's gateway and "
            "sidecars with one durable debit and nothing else make "
            f"{_pace(peers.BASELINE)} a second. What each system does for one unit, its "
            "latency and its CPU: [performance](docs/performance.md).",
        )
    )


def _pace(one: Measured) -> str:
    span = f"{one.least_per_s} to {one.most_per_s}"
    return span if one.typical_per_s is None else f"{one.typical_per_s} ({span})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
