"""The part `login` of a bench: its steps in order."""

from __future__ import annotations

from lab.bench.bench import Bench
from lab.bench.load.callers import telephones
from lab.bench.variants.login import boundary, logouts, passwords, refreshes, storm, whole

STORM_CUSTOMERS = 500
KEY_CUSTOMERS = 48
"""Enough that the day's codes of their numbers last for both loops of whole logins."""


async def login(bench: Bench) -> None:
    """Measure logins next to the limit, refreshes, a change of keys, logouts, and a storm."""
    boundary.measure(bench)
    async with telephones(bench.test_bench, STORM_CUSTOMERS, with_faces=False) as apps:
        await passwords.measure(bench, apps)
        await storm.measure(bench, apps)
    async with telephones(bench.test_bench, KEY_CUSTOMERS, with_faces=True) as apps:
        await whole.measure(bench, apps)
        await refreshes.measure(bench, apps)
        await refreshes.change_keys(bench, apps)
        await logouts.measure(bench, apps)
