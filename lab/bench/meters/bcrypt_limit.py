"""The machine's own limit for logins: bcrypt on all cores and nothing else.

A login cannot be cheaper than its hash, so this is the most that any bank could make here.
"""

from __future__ import annotations

import asyncio
import os
import time

import bcrypt

WARM_UP_S = 0.5
_PASSWORD = b"a password of the usual length"


async def limit_per_s(cost: int, seconds: float) -> float:
    """Return the hashes a second that all cores compare together."""
    stored = await asyncio.to_thread(bcrypt.hashpw, _PASSWORD, bcrypt.gensalt(cost))
    cores = range(os.cpu_count() or 1)
    return sum(await asyncio.gather(*(asyncio.to_thread(_per_s, stored, seconds) for _ in cores)))


def _per_s(stored: bytes, seconds: float) -> float:
    """Compare in the calling thread; the rate counts whole hashes only."""
    warm = time.monotonic() + WARM_UP_S
    while time.monotonic() < warm:
        bcrypt.checkpw(_PASSWORD, stored)
    begun = now = time.monotonic()
    done = 0
    while now - begun < seconds:
        bcrypt.checkpw(_PASSWORD, stored)
        done += 1
        now = time.monotonic()
    return done / (now - begun)
