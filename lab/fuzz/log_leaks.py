"""Finds forbidden words in the bank's logs: payees' personal data, and secrets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sandbox.stack.testing import RunningStack

PAYEE_NAME = "Zulema Quirk"
PAYEE_ACCOUNT = "7301958264"
"""Words that appear nowhere else, so any log line with one of them is a leak."""

PARTNER_PREFIX = "partner-"
"""Prefix of the partners' logs, which the bank does not write."""
MUST_LOG = ("payments", "transfers", "customers", "postgres")
"""Processes that always log something. Without their logs, a search proves nothing."""


def find_leaks(stack: RunningStack, words: Sequence[str]) -> list[str]:
    """Return each log that holds one of the words, and each log that is missing or empty."""
    logs = list(_logs(stack))
    logged = {file.name.partition(".")[0] for file in logs}
    found = [f"the log of {name} is missing or empty" for name in MUST_LOG if name not in logged]
    for file in logs:
        text = file.read_text(errors="replace")
        found += [f"{file.name} has {word[:12]}…" for word in words if word in text]
    return found


def _logs(stack: RunningStack) -> Iterator[Path]:
    # Includes `.log.1`, to which the supervisor moves the older part of a long log.
    for file in sorted(stack.home.logs.glob("*.log*")):
        if not file.name.startswith(PARTNER_PREFIX) and file.stat().st_size:
            yield file
