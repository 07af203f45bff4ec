"""Reports of right tries: one whose answer from Valkey is lost, and two at the same time."""

import secrets
from dataclasses import replace

import pytest
from redis.exceptions import ConnectionError as ValkeyConnectionError

from services.auth.counters import Tries
from services.auth.errors import TriesExhausted
from services.auth.state import Factor
from services.auth.throttle import RULES, Subject, counters_of
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


async def test_right_tries_at_the_same_time_leave_no_try_at_the_address(valkey: ValkeyStore):
    """An app sends a login twice. Such tries would lock an address that many customers share."""
    client, key = valkey.client("auth"), secrets.token_bytes(32)
    tries, subject = Tries(client, key), Subject(bytes(32), None, "2001:db8:1:2::/64")
    for _ in range(2):
        await tries.admit(subject, Factor.PASSWORD)
    for _ in range(2):
        await tries.right(subject, Factor.PASSWORD)
    keys = [one.key for one in counters_of(key, subject, Factor.PASSWORD)]
    assert len(keys) == 3
    assert await client.mget(keys) == [None] * 3
    await client.aclose()
