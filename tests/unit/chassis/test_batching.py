"""Concurrent calls share a batch; a lone call starts at once; each caller gets its own result."""

import asyncio
from collections.abc import Sequence

import pytest

from ops.waiting import scaled_s
from services.chassis.batching import Batcher, BatchLimits


class Recorder:
    """Doubles numbers, records the batches, and blocks or fails when a test needs it."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        if 7 in items:
            await self.open.wait()
        if 13 in items:
            raise ConnectionError("lost")
        return [2 * item for item in items]


async def test_a_lone_call_starts_at_once() -> None:
    batcher = Batcher(Recorder(), BatchLimits(interval_s=3600.0, items_max=10))
    assert await asyncio.wait_for(batcher.submit(1), timeout=scaled_s(5)) == 2


async def test_calls_that_arrive_together_share_a_batch() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder, BatchLimits(interval_s=0.0, items_max=3))
    assert await asyncio.gather(*map(batcher.submit, (1, 2, 3, 4, 5))) == [2, 4, 6, 8, 10]
    assert recorder.batches == [[1, 2, 3], [4, 5]]


async def test_a_slow_batch_does_not_delay_the_others() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder, BatchLimits(interval_s=0.0, items_max=10))
    slow = asyncio.create_task(batcher.submit(7))
    while not recorder.batches:
        await asyncio.sleep(0)
    assert await asyncio.wait_for(batcher.submit(1), timeout=scaled_s(5)) == 2
    assert not slow.done()
    recorder.open.set()
    assert await slow == 14


async def test_at_most_batches_max_batches_are_in_flight() -> None:
    recorder = Recorder()
    limits = BatchLimits(interval_s=0.0, items_max=1, batches_max=4)
    batcher = Batcher(recorder, limits)
    calls = [asyncio.create_task(batcher.submit(7)) for _ in range(limits.batches_max + 2)]
    for _ in range(1000):
        await asyncio.sleep(0)
    assert len(recorder.batches) == limits.batches_max
    recorder.open.set()
    assert await asyncio.gather(*calls) == [14] * len(calls)


async def test_each_caller_of_a_failed_batch_gets_the_error_and_the_next_batch_runs() -> None:
    batcher = Batcher(Recorder(), BatchLimits(interval_s=0.0, items_max=2))
    answers = await asyncio.gather(*map(batcher.submit, (12, 13, 14)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ConnectionError, ConnectionError, int]
    assert [str(answer) for answer in answers] == ["lost", "lost", "28"]
    assert answers[0] is not answers[1], "each raise would add to the traceback of the other caller"
    with pytest.raises(ConnectionError):
        await batcher.submit(13)
    assert await batcher.submit(1) == 2


async def test_an_error_that_cannot_be_copied_reaches_every_caller_too() -> None:
    class Stubborn(Exception):
        def __init__(self, code: int, *, detail: str) -> None:
            super().__init__(code)
            self.detail = detail

    async def fail(_items: Sequence[int]) -> list[int]:
        raise Stubborn(5, detail="no room")

    batcher = Batcher(fail, BatchLimits(interval_s=0.0, items_max=2))
    answers = await asyncio.gather(*map(batcher.submit, (1, 2)), return_exceptions=True)
    assert [getattr(answer, "detail", "") for answer in answers] == ["no room", "no room"]


async def test_begun_is_called_when_the_batch_starts_and_not_for_a_caller_that_gave_up() -> None:
    recorder, begun = Recorder(), list[int]()
    batcher = Batcher(recorder, BatchLimits(interval_s=0.0, items_max=1, batches_max=1))
    calls = [
        asyncio.create_task(batcher.submit(number, lambda n=number: begun.append(n)))
        for number in (7, 2, 3)
    ]
    while not recorder.batches:
        await asyncio.sleep(0)
    assert begun == [7]
    calls[1].cancel()
    recorder.open.set()
    await asyncio.gather(*calls, return_exceptions=True)
    assert begun == [7, 3]


async def test_a_caller_that_gives_up_does_not_delay_the_others() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder, BatchLimits(interval_s=0.0, items_max=10))
    impatient, patient = (asyncio.create_task(batcher.submit(number)) for number in (7, 2))
    while not recorder.batches:
        await asyncio.sleep(0)
    impatient.cancel()
    recorder.open.set()
    assert await patient == 4


async def test_a_batch_with_too_few_results_fails_and_does_not_hang() -> None:
    async def short(items: Sequence[int]) -> list[int]:
        return [2 * item for item in items[1:]]

    batcher = Batcher(short, BatchLimits(interval_s=0.0, items_max=10))
    with pytest.raises(ValueError, match="0 results for 1 calls"):
        await asyncio.wait_for(batcher.submit(1), timeout=scaled_s(5))


async def test_a_call_whose_caller_has_given_up_is_not_started() -> None:
    """After the store stalled, batches served callers that had already timed out, so the callers
    still waiting timed out too."""
    recorder = Recorder()
    batcher = Batcher(recorder, BatchLimits(interval_s=0.0, items_max=1, batches_max=1))
    slow, gone, present = (asyncio.create_task(batcher.submit(number)) for number in (7, 2, 3))
    while not recorder.batches:
        await asyncio.sleep(0)
    gone.cancel()
    recorder.open.set()
    assert await asyncio.gather(slow, present) == [14, 6]
    assert recorder.batches == [[7], [3]]
