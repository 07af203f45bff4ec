"""Any order of tries against the counters in Valkey, compared with a model in a few lines."""

import asyncio
import secrets
import uuid
from dataclasses import dataclass
from typing import cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.auth.counters import Tries
from services.auth.errors import TriesExhausted
from services.auth.state import Factor
from services.auth.throttle import Lock, Rule, Scope, Subject, WrongTry, counters_of
from tests.rigs.stores import ValkeyStore

HOUR_MS = 3_600_000
RULES = {
    Scope.DEVICE: Rule(3, HOUR_MS, 8 * HOUR_MS),
    Scope.SESSION: Rule(3, HOUR_MS, 8 * HOUR_MS),
    Scope.STRANGERS: Rule(2, HOUR_MS, 4 * HOUR_MS),
    Scope.ADDRESS: Rule(5, HOUR_MS, 2 * HOUR_MS, leak_ms=HOUR_MS),
    Scope.SITE: Rule(7, HOUR_MS, 2 * HOUR_MS, leak_ms=HOUR_MS),
}
"""Locks and leaks that last longer than a test, after few tries."""
DEVICES = (uuid.UUID(int=1), uuid.UUID(int=2))
SUBJECTS = [
    *(Subject(account, None, address) for account in (b"a", b"b") for address in ("x", "y", "")),
    *(Subject(b"a", device, "x") for device in DEVICES),
    Subject(b"a", DEVICES[0], "x", session_id=uuid.UUID(int=3)),
]
FACTORS = [Factor.PASSWORD, Factor.SMS_CODE]
Names = tuple[tuple[Scope, object], ...]


@dataclass
class Count:
    """One counter of the model."""

    tries: int = 0
    is_locked: bool = False
    unreported_ms: int = 0
    refused: int = 0
    compares: int = 0
    """Tries that passed since the counter was empty or its lock ended."""


def _names(subject: Subject, factor: Factor) -> Names:
    if subject.session_id is not None:
        return ((Scope.SESSION, (subject.session_id, factor)),)
    if subject.device_id is not None:
        return ((Scope.DEVICE, (subject.device_id, factor)),)
    address = ((Scope.ADDRESS, subject.address),) if subject.address else ()
    return ((Scope.STRANGERS, (subject.account, factor)), *address)


class TriesMachine(RuleBasedStateMachine):
    """Admits, judges, waits and unlocks in any order; tries may be in progress meanwhile."""

    store: ValkeyStore
    loop: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.key = secrets.token_bytes(32)
        self.client = self.store.client("auth")
        self.tries = Tries(self.client, self.key, RULES)
        self.model: dict[tuple[Scope, object], Count] = {}
        self.in_progress: list[tuple[Subject, Factor]] = []

    def teardown(self) -> None:
        self.loop.run(self.client.aclose())

    @rule(subject=st.sampled_from(SUBJECTS), factor=st.sampled_from(FACTORS))
    def admit(self, subject: Subject, factor: Factor) -> None:
        counts = [self.model.get(name, Count()) for name in _names(subject, factor)]
        locked = [count for count in counts if count.is_locked]
        admitted = self.loop.run(self._admitted(subject, factor))
        assert admitted == (not locked)
        own = RULES[_names(subject, factor)[0][0]]
        if subject.device_id is not None and counts[0].tries < own.free:
            assert admitted, "strangers, an address or a session locked a known device"
        if locked:
            locked[0].refused += 1
            return
        self.in_progress.append((subject, factor))
        for name, count in zip(_names(subject, factor), counts, strict=True):
            self._reserve(RULES[name[0]], count)
            self.model[name] = count

    def _reserve(self, limits: Rule, count: Count) -> None:
        count.compares += 1
        count.tries += 1
        if count.tries >= limits.free:
            count.is_locked = True
            delay_ms = limits.lock_first_ms * 2 ** (count.tries - limits.free)
            count.unreported_ms = min(delay_ms, limits.lock_ms_max)

    async def _admitted(self, subject: Subject, factor: Factor) -> bool:
        try:
            await self.tries.admit(subject, factor)
        except TriesExhausted:
            return False
        return True

    @precondition(lambda self: self.in_progress)
    @rule(data=st.data(), is_recorded=st.booleans())
    def wrong(self, data: st.DataObject, is_recorded: bool) -> None:
        subject, factor = self._judged(data)
        if not is_recorded:
            report = self.loop.run(self.tries.wrong(subject, factor))
            self.loop.run(self.tries.unrecorded(subject, factor, report))
        counts = {name: self.model[name] for name in self._held(subject, factor)}
        lock, refused = None, sum(count.refused for count in counts.values())
        for (scope, _), count in counts.items():
            count.refused = 0
            if lock is None and count.unreported_ms:
                lock = Lock(scope, count.unreported_ms // 1000)
                count.unreported_ms = 0
        assert self.loop.run(self.tries.wrong(subject, factor)) == WrongTry(lock, refused)

    @precondition(lambda self: self.in_progress)
    @rule(data=st.data())
    def right(self, data: st.DataObject) -> None:
        subject, factor = self._judged(data)
        own, *shared = _names(subject, factor)
        self.model.pop(own, None)
        for name in shared:
            count = self.model.get(name, Count())
            if count.tries > 1:
                count.tries, count.is_locked, count.unreported_ms = count.tries - 1, False, 0
                count.compares = max(count.compares - 1, 0)
            else:
                self.model.pop(name, None)
        self.loop.run(self.tries.right(subject, factor))

    @precondition(lambda self: self.in_progress)
    @rule(data=st.data())
    def hang_up(self, data: st.DataObject) -> None:
        subject, factor = self._judged(data)
        own, *_ = _names(subject, factor)
        self._undo((own,) if own[0] is Scope.STRANGERS else ())
        self.loop.run(self.tries.hang_up(subject, factor))

    @precondition(lambda self: self.in_progress)
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        subject, factor = self._judged(data)
        self._undo(_names(subject, factor))
        self.loop.run(self.tries.undo(subject, factor))

    def _undo(self, names: Names) -> None:
        for name in names:
            count = self.model.get(name, Count())
            if count.tries > 1:
                count.tries, count.compares = count.tries - 1, max(count.compares - 1, 0)
                count.is_locked, count.unreported_ms = False, 0
            else:
                self.model.pop(name, None)

    @rule(address=st.sampled_from(["x", "y"]), hours=st.integers(1, 3))
    def tries_of_an_address_leak_away(self, address: str, hours: int) -> None:
        """Time passes for the leak alone; locks end by another rule."""
        if count := self.model.get((Scope.ADDRESS, address)):
            count.tries = max(count.tries - hours, 0)
            count.compares = max(count.compares - hours, 0)
        self.loop.run(self._leak(Subject(b"a", None, address), hours))

    async def _leak(self, subject: Subject, hours: int) -> None:
        _, address = counters_of(self.key, subject, Factor.PASSWORD)
        if text := cast("bytes | None", await self.client.get(address.key)):
            *rest, leak_from = text.decode().split()
            changed = " ".join((*rest, str(int(leak_from) - hours * HOUR_MS)))
            await self.client.set(address.key, changed, keepttl=True)

    @rule(subject=st.sampled_from(SUBJECTS), factor=st.sampled_from(FACTORS))
    def wait_for_the_locks_to_end(self, subject: Subject, factor: Factor) -> None:
        for name in self._held(subject, factor):
            self.model[name].is_locked, self.model[name].compares = False, 0
        self.loop.run(self._end_locks(subject, factor))

    async def _end_locks(self, subject: Subject, factor: Factor) -> None:
        for counter in counters_of(self.key, subject, factor):
            if text := cast("bytes | None", await self.client.get(counter.key)):
                tries, _, *rest = text.decode().split()
                await self.client.set(counter.key, " ".join((tries, "0", *rest)), keepttl=True)

    @rule(account=st.sampled_from([b"a", b"b"]))
    def unlock(self, account: bytes) -> None:
        devices = DEVICES if account == b"a" else ()
        subjects = [Subject(account, device, "") for device in (None, *devices)]
        names = {_names(subject, factor)[0] for subject in subjects for factor in FACTORS}
        found = [name for name in names if self.model.pop(name, None)]
        assert self.loop.run(self.tries.unlock(account, devices)) == len(found)

    @invariant()
    def free_tries_are_never_exceeded(self) -> None:
        for (scope, _), count in self.model.items():
            assert count.compares <= RULES[scope].free

    def _judged(self, data: st.DataObject) -> tuple[Subject, Factor]:
        at = data.draw(st.integers(0, len(self.in_progress) - 1))
        return self.in_progress.pop(at)

    def _held(self, subject: Subject, factor: Factor) -> list[tuple[Scope, object]]:
        return [name for name in _names(subject, factor) if name in self.model]


def test_any_order_of_tries_keeps_the_limits(valkey: ValkeyStore) -> None:
    with asyncio.Runner() as loop:
        TriesMachine.store, TriesMachine.loop = valkey, loop
        run_state_machine_as_test(
            TriesMachine, settings=settings(max_examples=40, stateful_step_count=60, deadline=None)
        )
