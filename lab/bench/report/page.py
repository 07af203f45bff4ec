"""`python -m lab.bench.report.page`: writes a report's figures into the documents, and its charts.

Only the text between the two markers of a document is replaced. `comparison.py` writes the
comparison with other systems between separate markers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.bench.report import bench_json, plots
from lab.bench.report.documents import replaced, table
from sandbox.stack.home import REPO

BEGIN = "<!-- figures: written by python -m lab.bench.report.page -->"
END = "<!-- figures end -->"
REPORT = REPO / ".bp" / "reports" / "bench.json"
CHARTS = REPO / "docs" / "img"
PARTS_NAMED = 9
SHOWN = (
    "baseline",
    "book.c64",
    "interbank.c16",
    "interbank.c64",
    "baseline.after",
    "interbank.c128",
    "open100",
    "open70",
    "mesh.c64",
    "no_sidecar.c64",
    "mesh.c64.after",
    "growth.10k",
    "growth.1m",
    "growth.10m",
    "soak",
)
"""The runs, in the order of the table."""


def main(arguments: Sequence[str]) -> int:
    """Write the charts and both documents. Return 1 when a report is void.

    Several files are merged as parts of one bench; the date comes from the last file.
    """
    parser = argparse.ArgumentParser(prog="python -m lab.bench.report.page", description=__doc__)
    parser.add_argument(
        "reports", nargs="*", type=Path, default=[REPORT], help="files of `make bench`"
    )
    files: list[Path] = parser.parse_args(arguments).reports
    reports = [json.loads(file.read_text()) for file in files]
    for file, one in zip(files, reports, strict=True):
        if one["void"]:
            print(f"{file} is void and is not written: {one['reason']}", file=sys.stderr)
            return 1
    merged = together(reports)
    CHARTS.mkdir(exist_ok=True)
    for name, drawing in plots.draw(merged).items():
        (CHARTS / name).write_text(drawing)
    for name, text in (("docs/performance.md", whole(merged)), ("README.md", short(merged))):
        document = REPO / name
        document.write_text(replaced(document.read_text(), text, BEGIN, END))
    return 0


def together(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge several reports into one. If two reports have the same figure, the first one counts.

    Figures of the stack itself are the maximum: a single part loads the stack less.
    """
    merged: dict[str, Any] = {"figures": {}, "runs": {}}
    for one in reports:
        for name in merged:
            merged[name] = {**one[name], **merged[name]}
    for one in reports:
        for name, value in one["figures"].items():
            if name.startswith("stack."):
                merged["figures"][name] = max(value, merged["figures"][name])
    rest = {key: v for one in reversed(reports) for key, v in one.items() if key not in merged}
    return {
        **rest,
        **merged,
        "time": reports[-1]["time"],
        "targets": bench_json.targets_of(merged["figures"]),
        "command": "`, `".join(dict.fromkeys(one["command"] for one in reports)),
    }


def whole(bench: Mapping[str, Any]) -> str:
    """Return the figures for docs/performance.md."""
    figures = bench["figures"]
    pieces = [
        f"`{bench['command']}` on {bench['machine']}, {bench['time'][:10]}:",
        _runs(bench),
        _sentence(figures),
        _company(bench),
        "![CPU of a transfer by process](img/cpu.svg)",
        _cpu(bench),
        "![Latency of each run](img/latency.svg)",
        "### Targets and goals",
        _targets(bench["targets"]),
        "### The ledger function alone",
        _ledger(bench),
    ]
    return "\n\n".join(piece for piece in pieces if piece)


def short(bench: Mapping[str, Any]) -> str:
    """Return the figures for README.md."""
    figures = bench["figures"]
    words = [
        f"**{figures[name]:,.0f} {what} a second**, 99 of 100 within "
        f"{figures[name.replace('per_s', 'p99_ms')]:,.0f} ms"
        for name, what in (
            ("interbank.c64.per_s", "interbank transfers"),
            ("book.c64.per_s", "book transfers"),
        )
        if name in figures
    ]
    cost = figures.get("interbank.cpu_ms")
    worth = (
        f"; {cost:.1f} ms of CPU for an interbank transfer, including its events, audit records "
        "and pushes"
        if cost
        else ""
    )
    where = f"`{bench['command']}` on {bench['machine']}, {bench['time'][:10]}"
    return "\n\n".join(
        (
            f"{'; '.join(words)}{worth} ({where}). {_company(bench)}".strip(),
            "The targets, and where the time goes: [performance](docs/performance.md).",
        )
    )


def _runs(bench: Mapping[str, Any]) -> str:
    figures = bench["figures"]
    columns = ("per_s", "p50_ms", "p95_ms", "p99_ms", "p999_ms", "cpu_ms", "round_trips")
    behind = ("disk_bytes", "peak_mib", "events_lag_p99_ms", "drain_s")
    titles = (
        *("run", "per second", "p50 ms", "p95 ms", "p99 ms", "p99.9 ms", "CPU ms"),
        *("round trips", "bytes written", "peak MiB", "event lag p99 ms", "drained s"),
        "others' share",
    )
    rows = [
        (
            f"`{run}`",
            *(_number(figures.get(f"{run}.{name}")) for name in (*columns, *behind)),
            f"{figures[share]:.0%}" if (share := f"{run}.others_share") in figures else "",
        )
        for run in SHOWN
        if f"{run}.per_s" in figures
    ]
    return table(titles, rows)


def _sentence(figures: Mapping[str, float]) -> str:
    told = {
        "mesh.hop_cpu_us": "a pass through a sidecar costs {:,.0f} µs of CPU",
        "mesh.share": "the mesh takes {:.0%} of the throughput",
        "control_plane.edit.p99_ms": "99 of 100 edits of the mesh are in every proxy within "
        "{:,.0f} ms",
        "control_plane.full_push.cpu_s": "a full push to 1,000 proxies takes {:.2f} s of CPU",
        "growth.cpu_ratio_1m": "CPU at 1 million transfers is {:.2f} times that at 10 thousand",
        "growth.postgres_ratio_1m": "PostgreSQL's alone is {:.2f} times",
        "growth.cpu_ratio_10m": "at 10 million it is {:.2f} times that at 10 thousand in the same "
        "bench",
        "soak.rss_slope": "memory grows by {:.2f} MiB a minute in the soak",
        "stack.rss_mib": "the stack takes {:,.0f} MiB",
        "stack.up_warm_s": "a warm start takes {:.1f} s",
    }
    known = [text.format(figures[name]) for name, text in told.items() if name in figures]
    text = "; ".join(known)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _company(bench: Mapping[str, Any]) -> str:
    figures = bench["figures"]
    shares = [figures[name] for run in SHOWN if (name := f"{run}.others_share") in figures]
    if not shares:
        return ""
    least, most = f"{min(shares):.0%}", f"{max(shares):.0%}"
    return (
        "Other processes, the kernel and the host used "
        f"{least if least == most else f'{least} to {most}'} of the cores in these runs."
    )


def _cpu(bench: Mapping[str, Any]) -> str:
    run = bench["runs"].get("interbank.c64")
    if run is None:
        return ""
    parts: dict[str, float] = run["cpu_ms_by_part"]
    own = [(name, ms) for name, ms in parts.items() if not name.startswith("partner-")]
    named = ", ".join(f"{name} {ms:.2f}" for name, ms in own[:PARTS_NAMED])
    rest = sum(ms for _, ms in own[PARTS_NAMED:])
    outside = sum(ms for name, ms in parts.items() if name.startswith("partner-"))
    return (
        f"CPU ms of one interbank transfer: {named}, all others {rest:.2f}. Outside the bank: "
        f"partners {outside:.2f}, load generator {run['generator_cpu_ms']:.2f}."
    )


def _targets(judged: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        (
            one["what"],
            f"{_number(one['measured'])} {one['unit']}".strip(),
            one["target"],
            one["standing"],
            one["goal"] or "",
            one["goal_standing"] or "",
        )
        for one in judged
    ]
    return table(("what", "measured", "target", "", "goal", ""), rows)


def _ledger(bench: Mapping[str, Any]) -> str:
    figures = bench["figures"]
    if "ledger.spread.per_s" not in figures:
        return ""
    shapes = {one["name"]: one for one in bench["ledger"]["shapes"]}
    rows = [
        (
            name,
            str(shapes[name]["clients"]) if name in shapes else "",
            _number(figures[f"ledger.{name}.per_s"]),
            _number(figures[f"ledger.{name}.call_ms"]),
        )
        for kind in ("single", "batch", "pgledger")
        for where in ("spread", "hot")
        if f"ledger.{(name := f'{kind}.{where}')}.per_s" in figures
    ]
    form = bench["ledger"]["form"]
    return (
        table(("form and accounts", "clients", "postings a second", "ms a call"), rows)
        + f"\n\n`ledger.spread` and `ledger.hot` are the form that the services use: {form}."
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
