"""Concurrent calls that end together: an error of one cancels the others before it is raised."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


@asynccontextmanager
async def joint_tasks() -> AsyncGenerator[asyncio.TaskGroup]:
    """Open a TaskGroup that raises the first error of its tasks, and not an ExceptionGroup.

    `asyncio.gather` would raise the error and let the other calls continue.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
