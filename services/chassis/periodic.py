"""Background work that repeats, and retries during an outage of a store or a service."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from services.chassis.unreachable import UNREACHABLE

RETRY_S_MAX = 30.0

log = structlog.get_logger()


async def repeat(name: str, action: Callable[[], Awaitable[object]], every_s: float) -> None:
    """Run an action every `every_s` seconds; log an outage and retry within `RETRY_S_MAX`.

    The loop raises any other error: it is a defect and must end the process.
    """
    while True:
        wait_s = every_s
        try:
            await action()
        except UNREACHABLE as error:
            log.warning("background.waiting", work=name, error=type(error).__name__)
            wait_s = min(every_s, RETRY_S_MAX)
        await asyncio.sleep(wait_s)
