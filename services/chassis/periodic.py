"""Background work that repeats and survives an outage of what it needs."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from services.chassis.unreachable import UNREACHABLE

RETRY_S_MAX = 30.0

log = structlog.get_logger()


async def repeat(name: str, action: Callable[[], Awaitable[object]], every_s: float) -> None:
    """Run an action for ever, `every_s` apart; log an outage and retry within `RETRY_S_MAX`.

    Any other error leaves the loop: it is a defect and must end the process.
    """
    while True:
        wait_s = every_s
        try:
            await action()
        except UNREACHABLE as error:
            log.warning("background.waiting", work=name, error=type(error).__name__)
            wait_s = min(every_s, RETRY_S_MAX)
        await asyncio.sleep(wait_s)
