"""Waits for what a parallel call does, which only a store shows."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

POLL_S = 0.05
"""The pause between two looks."""

T = TypeVar("T")


async def polled(look: Callable[[], Awaitable[T | None]], within_s: float) -> T | None:
    """Return the first result of `look` that is not None; None if none came within `within_s`.

    `look` is called at least once.
    """
    give_up = time.monotonic() + within_s
    while True:
        found = await look()
        if found is not None or time.monotonic() >= give_up:
            return found
        await asyncio.sleep(POLL_S)
