"""Work that an answer does not wait for: it is bounded, and a shutdown waits for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from services.chassis.unreachable import UNREACHABLE
from services.kernel.errors import BankError

TASKS_MAX = 256
"""The largest number of tasks at once; a further one is dropped and logged."""

log = structlog.get_logger()


class Background:
    """Runs tasks next to the calls."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, work: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine; log an outage or a refusal."""
        if len(self._tasks) >= TASKS_MAX:
            work.close()
            log.error("background.full", work=name)
            return
        task = asyncio.create_task(_logged(name, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, within_s: float) -> None:
        """Wait for the running tasks, at most `within_s` seconds; then cancel them."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)
        for task in self._tasks:
            task.cancel()


async def _logged(name: str, work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except (*UNREACHABLE, BankError) as error:
        log.warning("background.failed", work=name, error=type(error).__name__)
