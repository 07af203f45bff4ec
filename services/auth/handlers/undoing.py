"""Undoes what a failed step has reserved, and completes steps that must not be half done.

Both also hold when the caller hangs up, or its deadline passes: that cancels the handler.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import TypeVar

import structlog

from services.chassis.unreachable import is_unreachable
from services.kernel.errors import BankError

T = TypeVar("T")
Undo = Callable[[], Awaitable[object]]

log = structlog.get_logger()


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
        await completed((on_hang_up if has_hung_up and on_hang_up else undo)())

    async with AsyncExitStack() as stack:
        stack.push_async_exit(leave)
        yield
        stack.pop_all()


async def completed(work: Awaitable[T]) -> T:
    """Run work to its end and return its result. A caller that hangs up is cancelled only then.

    So a hang-up never comes between its steps, and the call keeps its place until the work is done.
    The call may be cancelled more than once: at a deadline, the gateway resets the stream, and the
    service's own timer ends too. Each step needs a time limit of its own.
    """
    task, hang_up = asyncio.ensure_future(work), None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as cancelled:
            hang_up = cancelled
    if hang_up is None:
        return task.result()
    _log_defect(task)
    raise hang_up


def _log_defect(task: asyncio.Future[T]) -> None:
    """Log the error of work whose caller gets no answer, unless it is an outage or a refusal."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, BankError) and not is_unreachable(error):
        log.error("hang_up.defect", exc_info=error)
