"""The machine's own limit for logins: bcrypt on all cores and nothing else.

A login cannot be cheaper than its hash, so this is the most that any bank could make here. Each
core has a process with the priority of auth's hash processes. On a quiet machine the priority
changes nothing. On a busy one, other work takes the same share from the limit and from the logins.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

import bcrypt

from sandbox.stack.home import REPO
from services.auth.hash_process import yield_to_others

WARM_UP_S = 0.5
_PASSWORD = b"a password of the usual length"


async def limit_per_s(cost: int, seconds: float) -> float:
    """Return the hashes a second that all cores compare together."""
    cores = range(os.cpu_count() or 1)
    return sum(await asyncio.gather(*(_of_a_core(cost, seconds) for _ in cores)))


async def _of_a_core(cost: int, seconds: float) -> float:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, str(cost), str(seconds)),
        cwd=REPO,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # so that it has a niceness of its own, as a hash process
    )
    printed, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the process for the machine's limit ended with {process.returncode}")
    return float(printed)


def per_s(stored: bytes, seconds: float) -> float:
    """Compare in this process; the rate counts whole hashes only."""
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


def main() -> None:
    """Print the hashes a second of one core; the arguments are the cost and the seconds."""
    yield_to_others()
    cost, seconds = int(sys.argv[1]), float(sys.argv[2])
    print(per_s(bcrypt.hashpw(_PASSWORD, bcrypt.gensalt(cost)), seconds))


if __name__ == "__main__":
    main()
