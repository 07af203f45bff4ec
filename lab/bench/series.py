"""Arithmetic over measurements: percentiles, slopes, slices of time. Pure."""

from __future__ import annotations

from collections.abc import Sequence

Slice = tuple[int, float, float]
"""A slice of time: number of answers, with median and 99th percentile of their latency in ms."""


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the percentile of an ordered series for `percent`; 0 for an empty series."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Return the least-squares slope of `values` over `times`; 0 for one point."""
    count = len(times)
    if count != len(values):
        raise ValueError(f"{count} times but {len(values)} values")
    if count < 2:
        return 0.0
    middle_t, middle_v = sum(times) / count, sum(values) / count
    spread = sum((t - middle_t) ** 2 for t in times)
    if not spread:
        return 0.0
    both = sum((t - middle_t) * (v - middle_v) for t, v in zip(times, values, strict=True))
    return both / spread


def slices(
    ended_s: Sequence[float], took_ms: Sequence[float], slice_s: float, total_s: float
) -> list[Slice]:
    """Cut answers into slices of time. `ended_s` has the time of each answer in seconds from the
    start."""
    count = max(1, round(total_s / slice_s))
    parts: list[list[float]] = [[] for _ in range(count)]
    for at, took in zip(ended_s, took_ms, strict=True):
        if 0 <= at < count * slice_s:
            parts[int(at / slice_s)].append(took)
    return [_slice(sorted(part)) for part in parts]


def _slice(ordered: list[float]) -> Slice:
    return (
        len(ordered),
        round(percentile(ordered, 50), 1),
        round(percentile(ordered, 99), 1),
    )
