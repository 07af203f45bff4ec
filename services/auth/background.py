"""Work that an answer does not wait for: it is bounded, and a shutdown waits for it.

Work that only some answers cause may begin after a random delay. Otherwise it would slow the
caller's next call, and the caller would learn which answers caused it.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from typing import Any

import structlog

from services.chassis.unreachable import UNREACHABLE
from services.kernel.errors import BankError

TASKS_MAX = 256
"""The largest number of tasks at once; a further one is dropped and logged."""

DELAYED_MAX = 4096
"""The same for delayed tasks, which mostly wait: 3,000 a second on average. At the gateway, an
address can cause 20 a second, so it cannot take the places of others."""

DELAY_S = (0.5, 2.0)
"""The shortest and the longest delay of delayed work. All are as likely."""

log = structlog.get_logger()


class Background:
    """Runs tasks next to the calls."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._delayed: set[asyncio.Task[None]] = set()
        self._drains = asyncio.Event()

    def start(
        self, name: str, work: Coroutine[Any, Any, object], *, is_delayed: bool = False
    ) -> bool:
        """Run a coroutine; log an outage or a refusal. Return False if there is no room for it.

        A shutdown ends the delay of delayed work.
        """
        tasks, at_most = (self._delayed, DELAYED_MAX) if is_delayed else (self._tasks, TASKS_MAX)
        if len(tasks) >= at_most:
            work.close()
            log.error("background.full", work=name)
            return False
        begun = self._later(work) if is_delayed else work
        task = asyncio.create_task(attempted(name, begun))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return True

    async def drain(self, within_s: float) -> None:
        """Wait for the running tasks, at most `within_s` seconds; then cancel them.

        No work is delayed from now on.
        """
        self._drains.set()
        if running := self._tasks | self._delayed:
            await asyncio.wait(running, timeout=within_s)
        for task in running:
            task.cancel()

    async def _later(self, work: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine after a random delay."""
        shortest_s, longest_s = DELAY_S
        delay_s = secrets.SystemRandom().uniform(shortest_s, longest_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._drains.wait()
        await work


async def attempted(name: str, work: Awaitable[object]) -> None:
    """Run work whose failure must not be the caller's answer; log an outage or a refusal."""
    try:
        await work
    except (*UNREACHABLE, BankError) as error:
        log.warning("background.failed", work=name, error=type(error).__name__)
