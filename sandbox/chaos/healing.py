"""How long the bank takes to be well again by itself after the last fault."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from sandbox.chaos.load import Load
from sandbox.stack.testing import RunningStack

HEALED_WITHIN_S = 30.0
WATCHED_S = 120.0
"""How long it is looked at, so that a failure says how bad it is."""


@dataclass(frozen=True, slots=True)
class Healing:
    """When all parts were ready and a fresh transfer was taken, in seconds of the last fault."""

    ready_s: float | None
    taken_s: float | None
    ill: tuple[str, ...] = ()
    """Parts that did not become ready."""

    @property
    def ok(self) -> bool:
        """Whether it was in time."""
        return self.taken_s is not None and self.taken_s <= HEALED_WITHIN_S


async def heal(stack: RunningStack, load: Load, since_s: float) -> Healing:
    """Watch from the last fault's end (`since_s`, monotonic) until the bank is well.

    A fresh transfer counts when it is taken: its money is safe and its state is told. The breaker
    before the clearing house, open for a minute by contract, may hold its submission back.
    """
    deadline = since_s + WATCHED_S
    ready_s: float | None = None
    while True:
        ill = await asyncio.to_thread(not_ready, stack)
        now_s = time.monotonic()
        if not ill:
            ready_s = ready_s or now_s - since_s
            if (await load.one()).taken_as:
                return Healing(ready_s, time.monotonic() - since_s)
        if time.monotonic() > deadline:
            return Healing(ready_s, None, tuple(ill))
        await asyncio.sleep(0.2)


def not_ready(stack: RunningStack) -> list[str]:
    """Return the processes that are not ready."""
    rows = stack.nodes().values()
    return [row["name"] for row in rows if row["kind"] == "process" and row["state"] != "ready"]
