"""bcrypt in a few processes of low priority, so that a storm of logins does not stop other calls.

Each process has a thread here that waits for it. Threads could hash themselves, because bcrypt
releases the interpreter's lock. But where Linux groups processes by session, a thread's niceness
counts against its own process only, and payments would get no larger share of a busy core.
"""

import asyncio
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import bcrypt

from services.auth.crowd import Crowd
from services.auth.dummies import Dummies
from services.auth.hashers import Hasher
from services.auth.turns import Turns
from services.kernel.errors import RateLimited

T = TypeVar("T")

STRANGERS_SHARE = 0.75
"""The part of the queue that callers without a known device may fill."""
ACCOUNT_CALLS_MAX = 2
"""How many calls of one account's known devices and sessions may be in the pool at once, so that
one customer cannot fill the queue, even with the right password. An app may send a call twice.
Calls of strangers do not count here; their tries have a lower limit (throttle.RULES)."""
_NEWEST_WEIGHT = 0.2
"""The weight of the newest hash in the average duration."""
_COST = re.compile(rb"\$2b\$(\d\d)\$")


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How many calls may wait, and for how long.

    Callers that proved neither a device nor a session fill at most STRANGERS_SHARE of the queue and
    of the wait. So a storm of them leaves places to known devices.
    """

    calls_max: int
    wait_s_max: float
    """A call that would probably wait longer is refused at once, and one that has waited longer is
    refused then. It would reach its deadline in the queue or during its hash, and the work would be
    lost."""

    def allow(self, ahead: int, hash_s: float, at_once: int, *, is_known: bool) -> bool:
        """Return whether a call may wait in place `ahead`, when a hash takes `hash_s` seconds.

        Strangers wait as if one hash ran at a time: other work may take the other cores before
        their turns, and the rest of the wait belongs to known devices.
        """
        share, divisor = (1.0, at_once) if is_known else (STRANGERS_SHARE, 1)
        return (
            ahead <= self.calls_max * share and ahead * hash_s / divisor <= self.wait_s_max * share
        )


class PasswordPool:
    """Hashes and verifies pre-hashed passwords; belongs to the event loop that calls it."""

    def __init__(
        self,
        cost: int,
        threads_max: int,
        limits: QueueLimits,
        at_once: Callable[[], int] | None = None,
    ) -> None:
        """Calls wait for one of `threads_max` processes. Takes as long as one hash.

        `at_once` returns how many of them may work now (FreeCores); None: always all.

        `dummies` are what to verify when an address is unknown.
        """
        self._cost = cost
        self._limits = limits
        self._at_once = at_once or (lambda: threads_max)
        self._calls = 0
        self._calls_of: Counter[bytes] = Counter()
        self._crowd = Crowd()
        self._turns = Turns(self._at_once)
        self._executor = ThreadPoolExecutor(threads_max, "bcrypt")
        self._hashers = [Hasher() for _ in range(threads_max)]
        begun = time.monotonic()
        hashed = bcrypt.hashpw(secrets.token_bytes(32), bcrypt.gensalt(cost))
        self._hash_s = time.monotonic() - begun
        self.dummies = Dummies(hashed, cost)

    def require_place(self, *, is_known: bool) -> None:
        """Raise RateLimited, with the time when a place is free, if a call would be refused now.

        A caller asks first, so that a refused login costs no statement during a storm. `is_known`:
        the caller proved a device or a session.
        """
        at_once = self._at_once()
        ahead = max(self._calls + 1 - at_once, 0)
        if not self._limits.allow(ahead, self._hash_s, at_once, is_known=is_known):
            raise self._later()

    def _later(self) -> RateLimited:
        """Return the answer that asks a caller to come again when the queue has a place for it."""
        call_s = self._hash_s / self._at_once()
        wait_s = self._crowd.retry_after_s(time.monotonic(), self._calls, call_s)
        return RateLimited(retry_after_s=wait_s)

    async def verify(self, prehashed: bytes, stored: bytes, *, known_account: bytes) -> bool:
        """Return True when `stored` is the hash of `prehashed` (passwords.prehash).

        `known_account` is the account (throttle.Subject) of a caller that proved a device or a
        session, b"" for others. Raise RateLimited when too many calls wait; see `require_place`
        and ACCOUNT_CALLS_MAX.
        """
        return await self._run(lambda hasher: hasher.verify(prehashed, stored), known_account)

    async def hash(self, prehashed: bytes, account: bytes) -> bytes:
        """Return a new hash of the current cost, for an account whose caller is proven.

        Raise RateLimited like `verify`.
        """
        return await self._run(lambda hasher: hasher.hash(prehashed, self._cost), account)

    def needs_rehash(self, stored: bytes) -> bool:
        """Return True for a hash of another cost or form, to be replaced at a right login."""
        found = _COST.match(stored)
        return found is None or int(found[1]) != self._cost

    def close(self) -> None:
        """Wait for the hash that each thread computes, and refuse new ones."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        for hasher in self._hashers:
            hasher.close()
        self._hashers.clear()

    async def _run(self, work: Callable[[Hasher], T], known_account: bytes) -> T:
        """Run the work when a process is free. A caller that leaves before also leaves the
        queue."""
        self.require_place(is_known=bool(known_account))
        with self._counted(known_account):
            try:
                async with asyncio.timeout(self._limits.wait_s_max):
                    await self._turns.take()
            except TimeoutError:
                raise self._later() from None
            return await asyncio.wrap_future(self._started(work))

    @contextmanager
    def _counted(self, known_account: bytes) -> Generator[None]:
        """Count a call; raise RateLimited for an account that has too many."""
        if known_account and self._calls_of[known_account] >= ACCOUNT_CALLS_MAX:
            raise RateLimited
        self._calls += 1
        self._calls_of[known_account] += 1
        try:
            yield
        finally:
            self._calls -= 1
            self._calls_of[known_account] -= 1
            if not self._calls_of[known_account]:
                del self._calls_of[known_account]

    def _started(self, work: Callable[[Hasher], T]) -> Future[T]:
        """Start the work; its process is free when the work ends, not when its caller leaves."""
        loop = asyncio.get_running_loop()
        try:
            future = self._executor.submit(self._with_hasher, work)
        except RuntimeError:
            self._turns.give()
            raise
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._turns.give))
        return future

    def _with_hasher(self, work: Callable[[Hasher], T]) -> T:
        """Do the work with a free process; there are as many as threads."""
        hasher, begun = self._hashers.pop(), time.monotonic()
        try:
            return work(hasher)
        finally:
            self._hash_s += _NEWEST_WEIGHT * (time.monotonic() - begun - self._hash_s)
            self._hashers.append(hasher)
