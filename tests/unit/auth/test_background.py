"""Work that an answer does not wait for: its places, its delay and its end at a shutdown."""

import asyncio

import pytest

from ops.waiting import scaled_s
from services.auth import background
from services.auth.background import Background

HOUR_S = 3600.0


class Work:
    """Work that notes that it ran."""

    def __init__(self) -> None:
        self.ran = asyncio.Event()

    async def run(self) -> None:
        self.ran.set()


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delays that outlast the test."""
    monkeypatch.setattr(background, "DELAY_S", (HOUR_S, 2 * HOUR_S))


async def _loop_runs() -> None:
    """Let each task that is ready run, many times."""
    for _ in range(100):
        await asyncio.sleep(0)


@pytest.mark.usefixtures("hours")
async def test_delayed_work_waits_and_other_work_runs_at_once() -> None:
    queue, delayed, prompt = Background(), Work(), Work()
    assert queue.start("delayed", delayed.run(), is_delayed=True)
    assert queue.start("prompt", prompt.run())
    await _loop_runs()
    assert (delayed.ran.is_set(), prompt.ran.is_set()) == (False, True)
    await queue.drain(scaled_s(60))


@pytest.mark.usefixtures("hours")
async def test_a_shutdown_ends_each_delay_and_loses_no_work() -> None:
    queue, works = Background(), [Work() for _ in range(background.TASKS_MAX + 1)]
    assert all([queue.start("delayed", work.run(), is_delayed=True) for work in works])
    await queue.drain(scaled_s(60))
    assert all(work.ran.is_set() for work in works)
    late = Work()
    assert queue.start("late", late.run(), is_delayed=True)
    async with asyncio.timeout(scaled_s(60)):
        await late.ran.wait()


async def test_delayed_work_runs_after_its_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "DELAY_S", (0.001, 0.01))
    queue, work = Background(), Work()
    assert queue.start("delayed", work.run(), is_delayed=True)
    async with asyncio.timeout(scaled_s(60)):
        await work.ran.wait()


@pytest.mark.usefixtures("hours")
async def test_work_that_waits_has_a_place_and_takes_none_of_other_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "TASKS_MAX", 1)
    monkeypatch.setattr(background, "DELAYED_MAX", 2)
    queue, works = Background(), [Work() for _ in range(4)]
    *waiting, prompt = works
    started = [queue.start("delayed", work.run(), is_delayed=True) for work in waiting]
    started.append(queue.start("prompt", prompt.run()))
    assert started == [True, True, False, True]
    await queue.drain(scaled_s(60))
    assert [work.ran.is_set() for work in works] == started
