"""Waits for a condition, with a deadline that only catches a hang.

A deadline here never measures speed: the host may be slow and other work may run on it. The
deadlines of the tests, of the stack and of the tools scale with one factor, BP_DEADLINE_FACTOR.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

FACTOR_VARIABLE = "BP_DEADLINE_FACTOR"
POLL_S = 0.05

Found = TypeVar("Found")


def scaled_s(seconds: float) -> float:
    """Return a deadline for this host: the seconds, times BP_DEADLINE_FACTOR (default 1).

    The tests measure the host's speed at their start and set the factor from it. On a host that is
    slower than the documented one, an operator sets it.
    """
    return seconds * float(os.environ.get(FACTOR_VARIABLE, "1"))


async def until(
    condition: Callable[[], Awaitable[Found | None]], timeout_s: float = 30.0, what: str = ""
) -> Found:
    """Wait until a condition returns something true, and return it; TimeoutError names `what`.

    `timeout_s` is the deadline on the documented host; it is scaled for this one.
    """
    deadline = time.monotonic() + scaled_s(timeout_s)
    while True:
        found = await condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {scaled_s(timeout_s):g} s: {what or condition}")
        await asyncio.sleep(POLL_S)


def until_true(
    condition: Callable[[], Found | None],
    timeout_s: float = 30.0,
    what: str = "",
    poll_s: float = POLL_S,
) -> Found:
    """Block until a condition returns something true, and return it: `until` without asyncio."""
    deadline = time.monotonic() + scaled_s(timeout_s)
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {scaled_s(timeout_s):g} s: {what or condition}")
        time.sleep(poll_s)
