"""Undoes what a failed step has reserved, also when its caller hangs up."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType

Undo = Callable[[], Awaitable[object]]


@asynccontextmanager
async def undone_on_failure(undo: Undo, *, on_hang_up: Undo | None = None) -> AsyncGenerator[None]:
    """Run `undo` if the block raises or is cancelled; the error of the block is raised.

    A caller that hangs up, or whose deadline passes, cancels the block. Then `on_hang_up` runs
    instead, if it is given.
    """

    async def leave(
        kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        has_hung_up = kind is not None and issubclass(kind, asyncio.CancelledError)
        await _shielded(on_hang_up if has_hung_up and on_hang_up else undo)

    async with AsyncExitStack() as stack:
        stack.push_async_exit(leave)
        yield
        stack.pop_all()


async def _shielded(undo: Undo) -> None:
    """Complete the work even if the caller is cancelled meanwhile."""
    await asyncio.shield(asyncio.ensure_future(undo()))
