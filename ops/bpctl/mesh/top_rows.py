"""The rows of `bpctl mesh top`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ops.bpctl.mesh.rehearsing import minutes

COLUMNS = ("caller", "callee", "rate", "errors", "no answer", "p50", "p95", "retries", "breaker")
BY_METHOD = ("caller", "callee", "method", "rate", "errors", "no answer", "p50", "p95", "p99")
NUMBERS = frozenset({"rate", "errors", "no answer", "p50", "p95", "p99", "retries"})
"""The columns whose digits are below each other."""
_LESS = ("p50", "retries", "p99")
"""The columns that a narrow screen leaves out, the first one first."""
_NAMES = ("method", "callee", "caller")
_NAME_MIN = 12


def title(found: dict[str, Any]) -> str:
    """Return what the table is about."""
    return f"Calls of the last {minutes(found['seconds'])}"


def rows(found: dict[str, Any]) -> list[dict[str, str]]:
    """Return the calls as rows of text, the highest rate first."""
    edges = sorted(found["edges"], key=lambda each: -each["per_second"])
    return [row(each) for each in edges]


def row(edge: dict[str, Any]) -> dict[str, str]:
    """Return one row."""
    return {
        "caller": edge["caller"],
        "callee": edge["callee"],
        "method": edge["method"].rpartition("/")[2],
        "rate": f"{edge['per_second']:.2f}/s",
        "errors": f"{edge['failed_percent']:.1f} %",
        "no answer": f"{edge['unanswered_percent']:.1f} %" if edge["unanswered"] else "",
        "p50": milliseconds(edge["p50_ms"]),
        "p95": milliseconds(edge["p95_ms"]),
        "p99": milliseconds(edge["p99_ms"]),
        "retries": "" if edge["retries"] is None else str(edge["retries"]),
        "breaker": edge["breaker"],
    }


def is_bad(edge: dict[str, Any]) -> bool:
    """Return whether an operator should look at these calls."""
    return bool(edge["failed"] or edge["unanswered"] or edge["breaker"] in ("open", "full"))


def fitted(
    columns: Sequence[str], lines: Sequence[dict[str, str]], width: int
) -> list[tuple[str, int]]:
    """Return the columns that fit into a width, each with its own; names are shortened last."""
    found = {name: max((len(each[name]) for each in lines), default=0) for name in columns}
    wide = {name: max(number, len(name)) for name, number in found.items()}
    for name in _LESS:
        if name in wide and _total(wide) > width:
            del wide[name]
    while _total(wide) > width:
        longest = max((each for each in _NAMES if each in wide), key=lambda each: wide[each])
        if wide[longest] <= _NAME_MIN:
            break
        wide[longest] -= 1
    return list(wide.items())


def _total(wide: dict[str, int]) -> int:
    """Return the width of a line; there is a space after each column."""
    return sum(wide.values()) + len(wide)


def cut(text: str, width: int) -> str:
    """Return a text that is not longer than a width."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def milliseconds(value: float | None) -> str:
    """Return a time, or "" if none is known."""
    return "" if value is None else f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"
