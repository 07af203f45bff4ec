"""Reports of tries whose answer from Valkey is lost, so that auth reports them again."""

import secrets
from dataclasses import replace

import pytest
from redis.exceptions import ConnectionError as ValkeyConnectionError

from services.auth.counters import Tries
from services.auth.errors import TriesExhausted
from services.auth.state import Factor
from services.auth.throttle import RULES, Subject
from tests.rigs.stores import ValkeyStore

HOUR_MS = 3_600_000


async def test_a_right_try_that_is_reported_twice_ends_no_later_lock_of_the_address(
    valkey: ValkeyStore, monkeypatch: pytest.MonkeyPatch
):
    """Valkey's first answer is lost, and strangers lock the address before the second report."""
    client = valkey.client("auth")
    rules = {s: replace(r, lock_first_ms=HOUR_MS, leak_ms=0) for s, r in RULES.items()}
    tries = Tries(client, secrets.token_bytes(32), rules)
    subjects = [Subject(i.to_bytes(32, "big"), None, "198.51.100.5") for i in range(102)]
    for subject in subjects[:99]:
        await tries.admit(subject, Factor.PASSWORD)
    execute = client.execute_command

    async def losing(*args: object, **options: object) -> object:
        await execute(*args, **options)  # pyright: ignore[reportArgumentType]
        monkeypatch.undo()
        for subject in subjects[99:101]:
            await tries.admit(subject, Factor.PASSWORD)
        raise ValkeyConnectionError("the answer is lost")

    monkeypatch.setattr(client, "execute_command", losing)
    await tries.right(subjects[0], Factor.PASSWORD)
    with pytest.raises(TriesExhausted):
        await tries.admit(subjects[101], Factor.PASSWORD)
    await client.aclose()
