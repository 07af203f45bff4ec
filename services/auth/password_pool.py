"""bcrypt in a few threads of low priority, so that a storm of logins does not stop other calls.

bcrypt releases the interpreter's lock while it works. The threads get a higher nice value than the
event loop, so the kernel prefers the loop when all cores are busy.
"""

import asyncio
import os
import re
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from services.kernel.errors import RateLimited

T = TypeVar("T")

NICENESS = 10
"""Linux gives a thread with it about a tenth of a normal thread's share of a busy core."""
_COST = re.compile(rb"\$2b\$(\d\d)\$")


class PasswordPool:
    """Hashes and verifies pre-hashed passwords; belongs to the event loop that calls it."""

    def __init__(self, cost: int, threads_max: int, queue_max: int) -> None:
        """`queue_max` calls may wait for one of `threads_max` threads. Takes as long as one hash.

        `dummy_hash` is what to verify when an address is unknown. Nothing matches it, and it takes
        as long as a customer's hash of the current cost.
        """
        self._cost = cost
        self._calls_max = threads_max + queue_max
        self._calls = 0
        self._threads = asyncio.Semaphore(threads_max)
        self._executor = ThreadPoolExecutor(threads_max, "bcrypt", _lower_priority)
        self.dummy_hash = bcrypt.hashpw(secrets.token_bytes(32), bcrypt.gensalt(cost))

    async def verify(self, prehashed: bytes, stored: bytes) -> bool:
        """Return True when `stored` is the hash of `prehashed` (passwords.prehash).

        Raise RateLimited when too many calls wait.
        """
        return await self._run(lambda: bcrypt.checkpw(prehashed, stored))

    async def hash(self, prehashed: bytes) -> bytes:
        """Return a new hash of the current cost. Raise RateLimited when too many calls wait."""
        return await self._run(lambda: bcrypt.hashpw(prehashed, bcrypt.gensalt(self._cost)))

    def needs_rehash(self, stored: bytes) -> bool:
        """Return True for a hash of another cost or form, to be replaced at a right login."""
        found = _COST.match(stored)
        return found is None or int(found[1]) != self._cost

    def close(self) -> None:
        """Wait for the hash that each thread computes, and refuse new ones."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        """Run the work when a thread is free. A caller that leaves before also leaves the queue."""
        if self._calls >= self._calls_max:
            raise RateLimited
        self._calls += 1
        try:
            await self._threads.acquire()
            return await asyncio.wrap_future(self._started(work))
        finally:
            self._calls -= 1

    def _started(self, work: Callable[[], T]) -> Future[T]:
        """Start the work; its thread is free when the work ends, not when its caller leaves."""
        loop = asyncio.get_running_loop()
        try:
            future = self._executor.submit(work)
        except RuntimeError:
            self._threads.release()
            raise
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._threads.release))
        return future


def _lower_priority() -> None:
    """Make the calling thread nicer than the process's others; on Linux a thread has its own."""
    thread = threading.get_native_id()
    # A process without privileges can only become nicer.
    niceness = max(os.getpriority(os.PRIO_PROCESS, thread), NICENESS)
    os.setpriority(os.PRIO_PROCESS, thread, niceness)
