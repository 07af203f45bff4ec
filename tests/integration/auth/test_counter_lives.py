"""How long the counters of addresses live: no longer than they matter, and never shorter.

Any caller can make one for each of its addresses, and Valkey's memory is limited.
"""

import asyncio
import secrets
from dataclasses import dataclass
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from services.auth.counters import Tries
from services.auth.errors import TriesExhausted
from services.auth.state import Factor
from services.auth.throttle import (
    ADDRESS_LEAK_S,
    RULES,
    SITE_LEAK_S,
    Rule,
    Scope,
    Subject,
    counters_of,
    counters_of_reset,
)
from tests.rigs.stores import ValkeyStore

HALF_HOUR_MS = 1_800_000
LEAK_MS = 2 * HALF_HOUR_MS
LIMITS = Rule(3, LEAK_MS, 3 * LEAK_MS, leak_ms=LEAK_MS)
"""The third try begins a lock. Each lasts much longer than a test."""
NO_LIMIT = Rule(1_000_000, 1, 1)
IPV6 = "2001:db8:1:2::/64"

steps = st.sampled_from(["wrong", "right", "undo", "hang_up"]) | st.integers(1, 12)
"""A try and what follows it, or half hours that pass."""


@dataclass
class Model:
    """The counter of an address that is never deleted."""

    now_ms: int = 0
    tries: int = 0
    lock_end_ms: int = 0
    leak_from_ms: int = 0

    def wait(self, ms: int) -> None:
        self.now_ms += ms
        leaked = (self.now_ms - self.leak_from_ms) // LEAK_MS
        self.tries = max(self.tries - leaked, 0)
        self.leak_from_ms += leaked * LEAK_MS

    def admit(self) -> bool:
        if self.lock_end_ms > self.now_ms:
            return False
        self.leak_from_ms = self.leak_from_ms if self.tries else self.now_ms
        self.tries += 1
        if self.tries >= LIMITS.free:
            lock_ms = LIMITS.lock_first_ms * 2 ** (self.tries - LIMITS.free)
            self.lock_end_ms = self.now_ms + min(lock_ms, LIMITS.lock_ms_max)
        return True

    def give_back(self) -> None:
        self.tries, self.lock_end_ms = self.tries - 1, 0


class Address:
    """One address, each of whose tries is for another account."""

    def __init__(self, client: Redis) -> None:
        self.client, self.key = client, secrets.token_bytes(32)
        rules = {**RULES, Scope.STRANGERS: NO_LIMIT, Scope.ADDRESS: LIMITS}
        self.tries = Tries(client, self.key, rules)

    def subject(self) -> Subject:
        return Subject(secrets.token_bytes(32), None, "192.0.2.1")

    @property
    def name(self) -> str:
        return counters_of(self.key, self.subject(), Factor.PASSWORD)[1].key

    async def try_once(self, outcome: str) -> bool:
        """Make a try; return whether the bank admitted it."""
        subject = self.subject()
        try:
            await self.tries.admit(subject, Factor.PASSWORD)
        except TriesExhausted:
            return False
        await getattr(self.tries, outcome)(subject, Factor.PASSWORD)
        return True

    async def wait(self, ms: int) -> None:
        """Change the times of the counter and its end, as if `ms` had passed."""
        life_ms = await self.client.pttl(self.name) - ms
        text = cast("bytes | None", await self.client.get(self.name))
        if text is None or life_ms <= 0:
            await self.client.delete(self.name)
            return
        tries, lock_end, refused, unreported, leak_from = text.decode().split()
        lock, leak = max(int(lock_end) - ms, 0), int(leak_from) - ms
        changed = f"{tries} {lock} {refused} {unreported} {leak}"
        await self.client.set(self.name, changed, px=life_ms)


async def _compared(store: ValkeyStore, steps: list[str | int]) -> None:
    client, model = store.client("auth"), Model()
    address = Address(client)
    try:
        for step in steps:
            if isinstance(step, int):
                model.wait(step * HALF_HOUR_MS)
                await address.wait(step * HALF_HOUR_MS)
                continue
            expected = model.admit()
            most_ms = max(model.tries * LEAK_MS, LIMITS.lock_ms_max)
            assert await address.try_once(step) == expected
            if expected and step in ("right", "undo"):
                model.give_back()
            assert await client.pttl(address.name) <= most_ms
    finally:
        await client.aclose()


@given(st.lists(steps, max_size=30))
@settings(max_examples=50, deadline=None)
def test_a_counter_that_was_deleted_admits_the_tries_that_it_would_have_admitted(
    valkey: ValkeyStore, steps: list[str | int]
) -> None:
    with asyncio.Runner() as loop:
        loop.run(_compared(valkey, steps))


@pytest.mark.parametrize("count", [1, 7])
async def test_a_counter_of_an_address_ends_when_its_tries_have_expired(
    valkey: ValkeyStore, count: int
) -> None:
    """Those of tries, and those of resets that begin."""
    client, key = valkey.client("auth"), secrets.token_bytes(32)
    tries = Tries(client, key)
    try:
        for _ in range(count):
            subject = Subject(secrets.token_bytes(32), None, IPV6)
            await tries.admit(subject, Factor.PASSWORD)
            await tries.wrong(subject, Factor.PASSWORD)
            await tries.admit_reset(None, IPV6)
        counters = (
            *counters_of(key, Subject(b"", None, IPV6), Factor.PASSWORD)[1:],
            *counters_of_reset(key, None, IPV6),
        )
        leaks = {Scope.ADDRESS: ADDRESS_LEAK_S, Scope.SITE: SITE_LEAK_S}
        assert len(counters) == 4
        for each in counters:
            life_ms = await client.pttl(each.key)
            assert 0 < life_ms <= count * leaks[each.scope] * 1000
    finally:
        await client.aclose()
