"""Undoes what a failed step has reserved, also when its caller hangs up."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager


@asynccontextmanager
async def undone_on_failure(undo: Callable[[], Awaitable[object]]) -> AsyncGenerator[None]:
    """Run `undo` if the block raises or is cancelled; the error of the block is raised."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_shielded, undo)
        yield
        stack.pop_all()


async def _shielded(undo: Callable[[], Awaitable[object]]) -> None:
    """Complete the work even if the caller is cancelled meanwhile."""
    await asyncio.shield(asyncio.ensure_future(undo()))
