"""What the check for revoked sessions adds to each call of each service."""

from __future__ import annotations

import timeit
import uuid

from lab.bench.bench import Bench
from services.chassis.revocations import ENTRIES_MAX, RevokedSessions

ROUNDS = 5
CHECKS = 1_000
"""Different sessions in a round, so that no processor cache keeps the whole answer."""


def measure(bench: Bench) -> None:
    """Measure a check with no revoked session, and with as many as a process can hold."""
    bench.say("login: the check for revoked sessions")
    for name, entries in (("empty", 0), ("full", ENTRIES_MAX)):
        bench.found.figures[f"login.check.{name}_us"] = round(check_us(entries), 3)


def check_us(entries: int) -> float:
    """Return microseconds for one check; the best of several rounds, as timeit recommends."""
    revoked = RevokedSessions()
    ids = [str(uuid.uuid4()) for _ in range(max(entries, CHECKS))]
    revoked.add((session_id.encode() for session_id in ids[:entries]), until_s=1.0)
    # Half of the sessions are revoked, if any are.
    looked_up = ids[: CHECKS // 2] + [str(uuid.uuid4()) for _ in range(CHECKS // 2)]

    def check_all() -> None:
        for session_id in looked_up:
            revoked.is_revoked(session_id)

    return min(timeit.repeat(check_all, number=1, repeat=ROUNDS)) / CHECKS * 1e6
