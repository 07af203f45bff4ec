"""Work that a call completes although its caller hangs up."""

import asyncio

import pytest
from structlog.testing import capture_logs

from services.auth.errors import OtpInvalid
from services.auth.handlers.undoing import completed, undone_on_failure

LOOPS = 10
"""More turns of the event loop than a cancellation needs."""


async def _turns() -> None:
    for _ in range(LOOPS):
        await asyncio.sleep(0)


async def _hung_up(call: asyncio.Task[None], times: int) -> None:
    for _ in range(times):
        await _turns()
        call.cancel()
    await _turns()


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_call_ends_after_its_work_however_often_it_is_cancelled(times: int) -> None:
    """At a deadline, the gateway resets the stream, and the service's own timer ends too. A call
    that ends earlier frees its place, and what it undoes runs at the same time as its work."""
    ended: list[str] = []
    opened = asyncio.Event()

    async def work() -> None:
        await opened.wait()
        ended.append("work")

    async def undo() -> None:
        ended.append("undo")

    async def call() -> None:
        async with undone_on_failure(undo):
            await completed(work())

    calling = asyncio.create_task(call())
    await _hung_up(calling, times)
    assert ended == []
    opened.set()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert ended == ["work", "undo"]


@pytest.mark.parametrize(
    ("error", "logged"), [(KeyError("k"), ["hang_up.defect"]), (OtpInvalid(), []), (OSError(), [])]
)
async def test_a_defect_is_logged_although_the_caller_has_hung_up(
    error: Exception, logged: list[str]
) -> None:
    opened = asyncio.Event()

    async def work() -> None:
        await opened.wait()
        raise error

    calling = asyncio.create_task(completed(work()))
    with capture_logs() as lines:
        await _hung_up(calling, 1)
        opened.set()
        with pytest.raises(asyncio.CancelledError):
            await calling
    assert [line["event"] for line in lines] == logged


async def test_the_error_of_work_is_that_of_its_call() -> None:
    async def work() -> None:
        raise OtpInvalid

    with pytest.raises(OtpInvalid):
        await completed(work())
