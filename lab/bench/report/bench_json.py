"""bench.json: the figures under flat names, and the data behind them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.bench.bench import Findings
from lab.bench.report import targets
from lab.bench.runs import Result
from sandbox.stack.home import Home

INTERBANK = "interbank.c64"
OF_THE_MAIN_RUN = ("cpu_ms", "events_lag_p99_ms", "drain_s", "round_trips")
OF_THE_STACK = ("rss_mib", "setup_s", "up_warm_s")
STATEMENTS_KEPT = 16


def figures_of(found: Findings, home: Home | None) -> dict[str, float]:
    """Return every measured figure under its flat name.

    `home` is the home of the main test bench; with it, figures about start and memory are added.
    None if the main test bench was not used.
    """
    figures: dict[str, float] = {}
    for result in found.results:
        own = result.figures()
        figures |= own
        if result.load.name == INTERBANK:
            figures |= {
                f"interbank.{name}": own[f"{INTERBANK}.{name}"]
                for name in OF_THE_MAIN_RUN
                if f"{INTERBANK}.{name}" in own
            }
    figures |= found.figures
    if home is None or not (report := home.reports / "stack.json").exists():
        return figures
    stack: dict[str, Any] = json.loads(report.read_text())
    return figures | {f"stack.{name}": stack[name] for name in OF_THE_STACK if name in stack}


def content(
    found: Findings, figures: dict[str, float], command: str = "make bench"
) -> dict[str, Any]:
    """Return the content of bench.json: void or not, figures, targets, and the data behind them."""
    void = found.reasons
    return {
        "void": bool(void),
        **({"reason": "; ".join(void)} if void else {}),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "machine": f"{os.cpu_count()} cores, {_memory_gib():.0f} GiB",
        "figures": figures,
        "targets": targets_of(figures),
        "runs": {result.load.name: _run(result) for result in found.results},
        **found.details,
    }


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def write(file: Path, content: dict[str, Any]) -> None:
    """Write the content atomically: a reader sees the old file or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    draft.replace(file)


def targets_of(figures: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return every target and goal with the measured value."""
    return [_target(one) for one in targets.judge(figures)]


def _target(one: targets.Judged) -> dict[str, Any]:
    target = one.target
    return {
        "what": target.what,
        "unit": target.unit,
        "measured": None if one.value is None else round(one.value, 3),
        "target": f"{target.comparison} {target.bound:g}",
        "standing": one.standing,
        "goal": None if target.goal is None else f"{target.comparison} {target.goal:.3g}",
        "goal_standing": one.goal_standing,
    }


def _run(result: Result) -> dict[str, Any]:
    load, spent, outcome = result.load, result.spent, result.outcome
    return {
        "connections": load.connections,
        "arrivals_per_s": load.rate or None,
        "seconds": load.seconds,
        "warm_up_s": load.warm_up_s,
        "accepted": outcome.accepted,
        "refused": outcome.refused,
        "cpu_ms_by_part": {k: round(result.cpu_ms(s), 3) for k, s in spent.cpu_s.items()},
        "generator_cpu_ms": round(result.cpu_ms(outcome.cpu_s), 3),
        "memory_mib": spent.memory_mib,
        "slice_s": load.slice_s,
        "slices": outcome.slices,
        "database": _database(result),
    }


def _database(result: Result) -> dict[str, Any]:
    work = result.spent.database
    return {
        "round_trips": round(result.each(work.round_trips), 3),
        "commits": round(result.each(work.commits), 3),
        "wal_bytes": round(result.each(work.wal_bytes)),
        "written_bytes": round(result.each(work.written_bytes)),
        "flushes": round(result.each(work.flushes), 3),
        "round_trips_by_role": {
            role: round(result.each(calls), 3) for role, calls in work.by_role().items()
        },
        "statements": [
            {
                "role": one.role,
                "calls": round(result.each(one.calls), 3),
                "ms": round(result.each(one.ms), 3),
                "text": one.text,
            }
            for one in work.statements[:STATEMENTS_KEPT]
        ],
    }
