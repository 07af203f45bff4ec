"""Calls that come together are carried out together; none waits for company, none is mixed up."""

import asyncio
from collections.abc import Sequence

import pytest

from services.payments.groups import Groups


class Recorder:
    """Doubles numbers, remembers the groups, and is as slow or as broken as a test wants."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.groups.append(list(items))
        await self.open.wait()
        if 13 in items:
            raise ConnectionError("lost")
        return [2 * item for item in items]


async def test_a_lone_call_goes_at_once() -> None:
    recorder = Recorder()
    groups = Groups(recorder, every_s=60.0, items_max=10)
    assert await asyncio.wait_for(groups.do(1), timeout=5) == 2


async def test_calls_that_come_during_a_group_form_the_next() -> None:
    recorder = Recorder()
    groups = Groups(recorder, every_s=0.0, items_max=3)
    recorder.open.clear()
    calls = [asyncio.create_task(groups.do(1))]
    while not recorder.groups:
        await asyncio.sleep(0)
    calls += [asyncio.create_task(groups.do(number)) for number in (2, 3, 4, 5)]
    await asyncio.sleep(0)
    recorder.open.set()
    assert await asyncio.gather(*calls) == [2, 4, 6, 8, 10]
    assert recorder.groups == [[1], [2, 3, 4], [5]]


async def test_each_caller_of_a_failed_group_learns_it_and_the_next_group_goes_on() -> None:
    recorder = Recorder()
    groups = Groups(recorder, every_s=0.0, items_max=2)
    answers = await asyncio.gather(*map(groups.do, (12, 13, 14)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ConnectionError, ConnectionError, int]
    with pytest.raises(ConnectionError):
        await groups.do(13)
    assert await groups.do(1) == 2


async def test_a_caller_that_gives_up_holds_up_nobody() -> None:
    recorder = Recorder()
    groups = Groups(recorder, every_s=0.0, items_max=10)
    recorder.open.clear()
    impatient, patient = (asyncio.create_task(groups.do(number)) for number in (1, 2))
    await asyncio.sleep(0)
    impatient.cancel()
    recorder.open.set()
    assert await patient == 4
