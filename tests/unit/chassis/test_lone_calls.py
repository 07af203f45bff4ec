"""Calls that run alone: few at once, one for each key, and a locked row delays no other row."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.chassis.lone_calls import CALLS_MAX, LoneCalls
from services.kernel.errors import AccountBusy

Row = Callable[[str], Awaitable[str]]


async def _call(calls: LoneCalls, key: str, row: Row) -> str:
    async with calls.turn(key):
        return await row(key)


async def test_calls_of_one_key_take_turns_and_few_run_at_once() -> None:
    calls, running, most = LoneCalls(2), [""], 0

    async def row(key: str) -> str:
        nonlocal most
        assert key not in running
        running.append(key)
        most = max(most, len(running) - 1)
        await asyncio.sleep(0)
        running.remove(key)
        return key

    keys = [key for key in "abcd" for _ in range(5)]
    assert await asyncio.gather(*(_call(calls, key, row) for key in keys)) == keys
    assert most == 2
    assert calls._lines == {}


async def test_a_row_that_stays_locked_fails_those_that_wait_for_it_and_nobody_else() -> None:
    calls, asked, held = LoneCalls(2), [""], asyncio.Event()

    async def row(key: str) -> str:
        asked.append(key)
        if key == "held":
            await held.wait()
            raise AccountBusy
        return key

    waiting = [asyncio.create_task(_call(calls, "held", row)) for _ in range(10)]
    await asyncio.sleep(0)
    free = await asyncio.gather(*(_call(calls, f"free-{n}", row) for n in range(20)))
    assert free == [f"free-{n}" for n in range(20)]
    held.set()
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(end) for end in ends} == {AccountBusy}
    assert asked.count("held") == 1
    with pytest.raises(AccountBusy):
        await _call(calls, "held", row)
    assert asked.count("held") == 2, "a later call tries again"
    assert calls._lines == {}


async def test_too_many_calls_of_one_key_are_refused_at_once() -> None:
    calls, held = LoneCalls(1), asyncio.Event()

    async def row(key: str) -> str:
        await held.wait()
        return key

    waiting = [asyncio.create_task(_call(calls, "held", row)) for _ in range(CALLS_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(AccountBusy):
        await _call(calls, "held", row)
    held.set()
    assert await asyncio.gather(*waiting) == ["held"] * CALLS_MAX
