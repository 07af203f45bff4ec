"""What may not stand in any log: whom a payment was for, and what proves who somebody is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sandbox.stack.testing import RunningStack

PAYEE_NAME = "Zulema Quirk"
PAYEE_ACCOUNT = "7301958264"
"""Words that stand nowhere else, so that a log line with one of them gives itself away."""

PARTNER_PREFIX = "partner-"
"""Logs of the world outside, which the bank does not write."""
MUST_LOG = ("payments", "transfers", "customers", "postgres")
"""Who always writes something: a log that is not found would prove nothing."""


def find_leaks(stack: RunningStack, words: Sequence[str]) -> list[str]:
    """Return which log holds which of the words; also a log that should be there and is not."""
    logs = list(_logs(stack))
    logged = {file.name.partition(".")[0] for file in logs}
    found = [f"{name} wrote nothing" for name in MUST_LOG if name not in logged]
    for file in logs:
        text = file.read_text(errors="replace")
        found += [f"{file.name} has {word[:12]}…" for word in words if word in text]
    return found


def _logs(stack: RunningStack) -> Iterator[Path]:
    # With `.log.1`, where the supervisor keeps what it cut off.
    for file in sorted(stack.home.logs.glob("*.log*")):
        if not file.name.startswith(PARTNER_PREFIX) and file.stat().st_size:
            yield file
