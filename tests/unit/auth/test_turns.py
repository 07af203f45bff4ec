"""Turns: first come, first served; never more at once than allowed; no turn is lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth import free_cores
from services.auth.free_cores import FreeCores, Spent, hashes_at_once, read
from services.auth.turns import Turns

STAT = "cpu  100 50 30 800 20 1 2 7 90 5\ncpu0 1 1 1 1 1 1 1 1 1 1\n"


async def _settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


class Room:
    """Calls that wait for a turn, take it and give it back when the test says so."""

    def __init__(self) -> None:
        self.allowed = 1
        self.turns = Turns(lambda: self.allowed)
        self.began: list[int] = []
        self._calls: list[asyncio.Task[None]] = []
        self._ends: list[asyncio.Event] = []

    async def come(self) -> None:
        """Start one more call."""
        number = len(self._calls)
        self._ends.append(asyncio.Event())
        self._calls.append(asyncio.create_task(self._call(number)))
        await _settle()

    async def _call(self, number: int) -> None:
        await self.turns.take()
        self.began.append(number)
        try:
            await self._ends[number].wait()
        finally:
            self.turns.give()

    @property
    def running(self) -> list[int]:
        return [number for number in self.began if not self._calls[number].done()]

    async def leave(self, number: int) -> None:
        """Let the caller hang up, in whatever state its call is."""
        if self._calls:
            self._calls[number % len(self._calls)].cancel()
            await _settle()

    async def end_one(self) -> None:
        if self.running:
            self._ends[self.running[0]].set()
            await _settle()

    async def close(self) -> None:
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self.come()
        assert self.running == [len(self._calls) - 1], "all turns were given back"
        self._ends[-1].set()
        await self._calls[-1]


STEPS = st.lists(
    st.one_of(
        st.just("come"),
        st.just("end"),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("allow"), st.integers(1, 3)),
    ),
    max_size=40,
)


@given(STEPS)
def test_turns_come_in_order_and_never_more_at_once_than_were_allowed(
    steps: list[str | tuple[str, int]],
) -> None:
    async def play() -> None:
        room = Room()
        for step in steps:
            before, begun = len(room.running), list(room.began)
            match step:
                case "come":
                    await room.come()
                case "end":
                    await room.end_one()
                case ("leave", int(number)):
                    await room.leave(number)
                case ("allow", int(allowed)):
                    room.allowed = allowed
                case _:
                    raise AssertionError(step)
            assert all(new > old for new in room.began[len(begun) :] for old in begun)
            assert len(room.running) <= max(before, room.allowed)
        await room.close()

    asyncio.run(play())


async def test_a_caller_that_leaves_when_its_turn_comes_gives_it_to_the_next() -> None:
    turns = Turns(lambda: 1)
    await turns.take()
    leaving, next_one = (asyncio.create_task(turns.take()) for _ in range(2))
    await _settle()
    turns.give()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await _settle()
    assert next_one.done()


async def test_a_caller_that_has_just_left_gets_no_turn() -> None:
    turns = Turns(lambda: 1)
    await turns.take()
    leaving, next_one = (asyncio.create_task(turns.take()) for _ in range(2))
    await _settle()
    leaving.cancel()
    turns.give()
    await _settle()
    assert next_one.done()
    assert leaving.cancelled()


async def test_a_caller_whose_turn_fails_leaves_the_queue() -> None:
    """The kernel may refuse the file with the counts, because the process has too many open."""
    failing = [OSError("too many open files")]

    def at_once() -> int:
        if failing:
            raise failing.pop()
        return 1

    turns = Turns(at_once)
    with pytest.raises(OSError, match="too many"):
        await turns.take()
    next_one = asyncio.create_task(turns.take())
    await _settle()
    assert next_one.done()


def test_the_earlier_counts_are_used_while_the_kernel_refuses_new_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(free_cores, "WINDOW_S", 0.0)
    monkeypatch.setattr(free_cores, "COUNTS", tmp_path / "stat")
    cores = FreeCores(2, 2)
    assert cores.hashes_at_once() == 2
    (tmp_path / "stat").write_text(STAT)
    assert cores.hashes_at_once() == 2
    (tmp_path / "stat").unlink()
    assert cores.hashes_at_once() == 2


def test_work_that_yields_is_free_and_guests_are_not_counted_twice() -> None:
    assert read(STAT) == Spent(free=50 + 800 + 20, all=1010)


@pytest.mark.parametrize(
    ("cores", "free", "at_most", "expected"),
    [(2, 100, 2, 2), (2, 76, 2, 2), (2, 74, 2, 1), (2, 0, 2, 1), (8, 50, 8, 4), (8, 100, 2, 2)],
)
def test_hashes_take_the_cores_that_other_work_leaves_and_at_least_one(
    cores: int, free: int, at_most: int, expected: int
) -> None:
    assert hashes_at_once(Spent(7, 11), Spent(7 + free, 111), cores, at_most) == expected


def test_all_cores_are_free_until_time_has_passed() -> None:
    assert hashes_at_once(Spent(7, 11), Spent(7, 11), 8, 3) == 3


def test_the_counts_of_this_machine_are_read_again_after_their_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passing: Callable[[], float] = iter((0.0, 0.5, 1.0, 1.5)).__next__
    counts = iter((Spent(0, 0), Spent(0, 100), Spent(100, 200)))
    monkeypatch.setattr(free_cores.time, "monotonic", passing)
    monkeypatch.setattr(free_cores, "read", lambda _text: next(counts))  # pyright: ignore[reportUnknownLambdaType]
    cores = FreeCores(2, 2)
    assert [cores.hashes_at_once() for _ in range(4)] == [2, 2, 1, 1]
