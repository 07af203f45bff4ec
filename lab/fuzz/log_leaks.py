"""Finds forbidden words in the bank's logs: payees' personal data, and secrets."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from sandbox.client import Customer
from sandbox.seed.people import password
from sandbox.stack.testing import RunningStack

PAYEE_NAME = "Zulema Quirk"
PAYEE_ACCOUNT = "7301958264"
"""Words that appear nowhere else, so any log line with one of them is a leak."""

SECRET_IDS = (
    "email",
    "password",
    "current_password",
    "new_password",
    "refresh_token",
    "device_token",
)
"""The fields of generated requests whose values are secrets or personal data. `session_id` is
not among them: it names sessions of a login, which are secrets, and sessions that logs may name."""

PARTNER_PREFIX = "partner-"
"""Prefix of the partners' logs, which the bank does not write."""
MUST_LOG = ("payments", "transfers", "customers", "postgres")
"""Processes that always log something. Without their logs, a search proves nothing."""


def secrets_of(people: Sequence[Customer], ids: Mapping[str, Sequence[str]]) -> set[str]:
    """Return what no log may have of customers and of the requests that were made from `ids`."""
    own = [(one.token, one.user_name, password(one.user_name)) for one in people]
    return {word for words in (*own, *(ids[name] for name in SECRET_IDS)) for word in words}


def find_leaks(stack: RunningStack, words: Collection[str]) -> list[str]:
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
