"""Takes a step back when what follows it fails."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def undone_on_failure(undo: Callable[[], Awaitable[object]]) -> AsyncGenerator[None]:
    """Call `undo` if the block raises or its call is cancelled; a cancellation does not stop it."""
    done = False
    try:
        yield
        done = True
    finally:
        if not done:
            await asyncio.shield(undo())
