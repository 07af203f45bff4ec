"""The rows of `bpctl mesh top`. Pure."""

from __future__ import annotations

from typing import Any

from ops.bpctl.mesh.rehearsing import minutes

COLUMNS = ("caller", "callee", "rate", "errors", "p50", "p95", "retries", "breaker")
BY_METHOD = ("caller", "callee", "method", "rate", "errors", "p50", "p95", "p99")


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
        "p50": milliseconds(edge["p50_ms"]),
        "p95": milliseconds(edge["p95_ms"]),
        "p99": milliseconds(edge["p99_ms"]),
        "retries": "" if edge["retries"] is None else str(edge["retries"]),
        "breaker": edge["breaker"],
    }


def milliseconds(value: float | None) -> str:
    """Return a time, or "" if none is known."""
    return "" if value is None else f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"
