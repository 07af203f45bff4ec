"""What cannot be reached now, and work in the background that outlives it.

An outage is waited for; a defect ends the process, so that it is seen.
"""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

UNREACHABLE: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    # What asyncpg says when the server closes a connection in the moment it is taken up.
    asyncpg.InternalClientError,
)
"""Errors of a call whose other side is gone, stopping, starting or full: it may come again."""

RETRY_S_MAX = 30.0

log = structlog.get_logger()


async def repeat(name: str, action: Callable[[], Awaitable[object]], every_s: float) -> None:
    """Do something for ever, `every_s` apart; an outage is logged and it is tried again sooner."""
    while True:
        wait_s = every_s
        try:
            await action()
        except UNREACHABLE as error:
            log.warning("background.waiting", work=name, error=type(error).__name__)
            wait_s = min(every_s, RETRY_S_MAX)
        await asyncio.sleep(wait_s)
