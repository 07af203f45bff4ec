"""bcrypt in processes: bounded, of low priority, without work for callers that have left."""

import asyncio
import os
import threading
import uuid
from collections.abc import AsyncGenerator

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth.crowd import RETRY_S_MAX
from services.auth.hashers import Hasher
from services.auth.password_pool import ACCOUNT_CALLS_MAX, PasswordPool, QueueLimits
from services.auth.passwords import prehash
from services.kernel.errors import RateLimited

COST = 4
THREADS, QUEUE_MAX = 2, 4
ACCOUNT = b"a" * 32
RIGHT, WRONG = (prehash(b"k" * 32, password) for password in ("right", "wrong"))


class Gate:
    """Replaces the work of a thread by a wait that the test ends, and counts the works."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.begun = 0

    def __call__(self, _password: bytes, _stored: bytes) -> bool:
        self.begun += 1
        return self.opened.wait(60)


@pytest.fixture
async def pool() -> AsyncGenerator[PasswordPool]:
    made = PasswordPool(COST, THREADS, QueueLimits(QUEUE_MAX, wait_s_max=60))
    yield made
    made.close()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch, pool: PasswordPool) -> Gate:
    """Stop each verification in its thread until the test opens the gate."""
    stopped = Gate()
    monkeypatch.setattr(Hasher, "verify", stopped)
    return stopped


def _started(pool: PasswordPool, count: int) -> list[asyncio.Task[bool]]:
    """Start calls of known devices, each of another account."""
    calls = (pool.verify(RIGHT, b"", known_account=uuid.uuid4().bytes) for _ in range(count))
    return [asyncio.create_task(call) for call in calls]


async def _until(condition: object) -> None:
    while not condition():  # type: ignore[operator]
        await asyncio.sleep(0.001)


async def test_a_password_matches_its_own_hash_only(pool: PasswordPool):
    stored = await pool.hash(RIGHT, ACCOUNT)
    assert await pool.verify(RIGHT, stored, known_account=b"")
    assert not await pool.verify(WRONG, stored, known_account=b"")


async def test_nothing_matches_a_dummy_and_the_first_ones_have_the_current_cost(
    pool: PasswordPool,
):
    dummy = pool.dummies.hash_for(ACCOUNT)
    assert not await pool.verify(RIGHT, dummy, known_account=b"")
    assert not pool.needs_rehash(dummy)
    pool.dummies.spread({COST + 1: 1})
    assert not await pool.verify(RIGHT, pool.dummies.hash_for(ACCOUNT), known_account=b"")


@pytest.mark.parametrize(
    ("stored", "needs"),
    [
        (bcrypt.hashpw(RIGHT, bcrypt.gensalt(COST)), False),
        (bcrypt.hashpw(RIGHT, bcrypt.gensalt(COST + 1)), True),
        (bcrypt.hashpw(RIGHT, bcrypt.gensalt(COST, b"2a")), True),
        (b"$argon2id$v=19$", True),
        (b"", True),
    ],
)
def test_a_hash_of_another_cost_or_form_needs_a_new_hash(
    stored: bytes, needs: bool, pool: PasswordPool
):
    assert pool.needs_rehash(stored) == needs


async def test_a_call_beyond_the_queue_is_refused_and_the_queue_is_served(
    pool: PasswordPool, gate: Gate
):
    calls = _started(pool, 6)
    await _until(lambda: gate.begun == 2)
    with pytest.raises(RateLimited):
        await pool.verify(RIGHT, b"", known_account=ACCOUNT)
    with pytest.raises(RateLimited) as refused:
        pool.require_place(is_known=True)
    assert refused.value.retry_after_s in range(1, RETRY_S_MAX + 1)
    gate.opened.set()
    assert await asyncio.gather(*calls) == [True] * 6
    pool.require_place(is_known=True)
    assert await pool.verify(RIGHT, b"", known_account=ACCOUNT)


async def test_strangers_fill_three_quarters_of_the_queue(pool: PasswordPool, gate: Gate):
    """A customer with a known device logs in during a storm of strangers."""
    strangers = [
        asyncio.create_task(pool.verify(WRONG, b"", known_account=b"")) for _ in range(THREADS + 3)
    ]
    await _until(lambda: gate.begun == THREADS)
    with pytest.raises(RateLimited):
        pool.require_place(is_known=False)
    with pytest.raises(RateLimited):
        await pool.verify(WRONG, b"", known_account=b"")
    (owner,) = _started(pool, 1)
    await asyncio.sleep(0)
    assert not owner.done()
    gate.opened.set()
    assert await owner
    assert await asyncio.gather(*strangers) == [True] * (THREADS + 3)


async def test_one_account_has_two_calls_in_the_pool_and_others_have_places(
    pool: PasswordPool, gate: Gate
):
    """Also the right password from seven known devices must not fill the queue."""
    calls = [pool.verify(RIGHT, b"", known_account=ACCOUNT) for _ in range(ACCOUNT_CALLS_MAX)]
    theirs = [asyncio.create_task(call) for call in calls]
    await _until(lambda: gate.begun == THREADS)
    with pytest.raises(RateLimited):
        await pool.verify(RIGHT, b"", known_account=ACCOUNT)
    with pytest.raises(RateLimited):
        await pool.hash(RIGHT, ACCOUNT)
    others = _started(pool, QUEUE_MAX)
    gate.opened.set()
    assert await asyncio.gather(*theirs, *others) == [True] * (ACCOUNT_CALLS_MAX + QUEUE_MAX)
    assert await pool.verify(RIGHT, b"", known_account=ACCOUNT)


async def test_calls_that_leave_the_pool_free_the_places_of_their_account(
    pool: PasswordPool, gate: Gate
):
    for _ in range(3):
        calls = [pool.verify(RIGHT, b"", known_account=ACCOUNT) for _ in range(ACCOUNT_CALLS_MAX)]
        waiting = [asyncio.create_task(call) for call in calls]
        await asyncio.sleep(0)
        for call in waiting:
            call.cancel()
        left = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(each) for each in left} == {asyncio.CancelledError}
    gate.opened.set()
    assert await pool.verify(RIGHT, b"", known_account=ACCOUNT)


@pytest.mark.parametrize(
    ("ahead", "hash_s", "at_once", "known", "stranger"),
    [
        (0, 0.0, 1, True, True),
        (48, 0.0, 1, True, True),
        (49, 0.0, 1, True, False),
        (64, 0.0, 1, True, False),
        (65, 0.0, 1, False, False),
        (18, 0.25, 1, True, True),
        (19, 0.25, 1, True, False),
        (25, 0.25, 1, False, False),
        (18, 0.25, 2, True, True),
        (19, 0.25, 2, True, False),
        (48, 0.25, 2, True, False),
        (49, 0.25, 2, False, False),
    ],
)
def test_a_stranger_waits_behind_fewer_calls_and_for_less_time(
    ahead: int, hash_s: float, at_once: int, known: bool, stranger: bool
):
    limits = QueueLimits(calls_max=64, wait_s_max=6.0)
    assert limits.allow(ahead, hash_s, at_once, is_known=True) is known
    assert limits.allow(ahead, hash_s, at_once, is_known=False) is stranger


@given(st.integers(1, 64), st.integers(1, 64), st.floats(0, 8), st.integers(0, 64))
def test_a_known_device_finds_a_place_behind_strangers_when_other_work_takes_cores(
    before: int, now: int, hash_s: float, ahead: int
):
    limits = QueueLimits(calls_max=64, wait_s_max=6.0)
    if limits.allow(ahead, hash_s, before, is_known=False):
        assert limits.allow(ahead, hash_s, now, is_known=True)


async def test_a_call_that_has_waited_too_long_is_refused_and_leaves_the_queue(gate: Gate):
    """Other work took the processor after the call came, so it would reach its deadline."""
    hurried = PasswordPool(COST, 1, QueueLimits(100, wait_s_max=0.5))
    first, *waiting = _started(hurried, 3)
    refused = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in refused] == [RateLimited, RateLimited]
    assert gate.begun == 1
    gate.opened.set()
    assert await first
    hurried.require_place(is_known=False)
    assert await hurried.verify(RIGHT, b"", known_account=ACCOUNT)
    hurried.close()


async def test_a_call_that_would_wait_too_long_is_refused_at_once(gate: Gate):
    """In a storm on a slow host, each call reached its deadline during its hash."""
    hurried = PasswordPool(COST, 1, QueueLimits(100, wait_s_max=0))
    (running,) = _started(hurried, 1)
    await _until(lambda: gate.begun == 1)
    with pytest.raises(RateLimited):
        await hurried.verify(RIGHT, b"", known_account=ACCOUNT)
    gate.opened.set()
    assert await running
    assert await hurried.verify(RIGHT, b"", known_account=ACCOUNT)
    hurried.close()


async def test_a_caller_that_leaves_the_queue_costs_no_hash(pool: PasswordPool, gate: Gate):
    running = _started(pool, 2)
    await _until(lambda: gate.begun == 2)
    queued = _started(pool, 3)
    await asyncio.sleep(0)
    for call in queued:
        call.cancel()
    await asyncio.gather(*queued, return_exceptions=True)
    gate.opened.set()
    assert await asyncio.gather(*running) == [True, True]
    assert await pool.verify(RIGHT, b"", known_account=ACCOUNT)
    assert gate.begun == 3


async def test_a_caller_that_leaves_during_its_hash_does_not_free_the_thread(
    pool: PasswordPool, gate: Gate
):
    running = _started(pool, 2)
    await _until(lambda: gate.begun == 2)
    for call in running:
        call.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    (next_call,) = _started(pool, 1)
    await asyncio.sleep(0.02)
    assert gate.begun == 2
    gate.opened.set()
    assert await next_call
    assert gate.begun == 3


async def test_the_loop_runs_while_all_threads_hash(pool: PasswordPool, gate: Gate):
    """Bcrypt on the loop stops every other call."""
    running = _started(pool, 2)
    await _until(lambda: gate.begun == 2)
    await asyncio.sleep(0)
    assert not any(call.done() for call in running)
    gate.opened.set()
    assert await asyncio.gather(*running) == [True, True]


async def test_a_closed_pool_leaves_no_process(pool: PasswordPool):
    seen: set[int] = set()
    found = Hasher.verify

    def note(self: Hasher, prehashed: bytes, stored: bytes) -> bool:
        seen.add(self.pid)
        return found(self, prehashed, stored)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hasher, "verify", note)
        stored = await pool.hash(RIGHT, ACCOUNT)
        calls = (pool.verify(RIGHT, stored, known_account=bytes([n])) for n in range(1, 5))
        assert await asyncio.gather(*calls) == [True] * 4
    pool.close()
    for pid in seen:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_closed_pool_refuses_calls(pool: PasswordPool):
    pool.close()
    with pytest.raises(RuntimeError):
        await pool.verify(RIGHT, pool.dummies.hash_for(ACCOUNT), known_account=ACCOUNT)
    with pytest.raises(RuntimeError):
        await pool.hash(RIGHT, ACCOUNT)
