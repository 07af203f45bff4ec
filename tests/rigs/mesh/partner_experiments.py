"""What the sidecars do for one row of the table of external systems, as the partner sees it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from ops.waiting import until
from tests.rigs.mesh.partner_table import (
    BROKEN,
    EJECTION,
    REFERENCE,
    SPACING,
    TIMEOUT,
    TRIES,
    Row,
    Table,
    hosts_of,
)
from tests.rigs.mesh.scripted_partner import HANG, RESET, Scenario, Step, Try

CALLS = 160
FIRST_WAITS = 40
FAILURES = (500, 503, RESET, 504)
ANSWERS_AT_ONCE = 5
_PACE_S = 0.06
"""So that fewer calls wait at the same time than a sidecar retries (maxRetries 32)."""
_BROKEN_CALLERS = 2
_BETWEEN_CALLS_S = 0.03
_T = TypeVar("_T")
Measured = dict[str, asyncio.Task[_T]]
"""The experiment of each row, by its host."""


async def all_at_once(
    rows: Iterable[Row], measure: Callable[[Row], Coroutine[Any, Any, _T]]
) -> AsyncIterator[Measured[_T]]:
    """Run an experiment for all rows at the same time, so that their waiting passes together."""
    tasks = {row.host: asyncio.create_task(measure(row)) for row in rows}
    try:
        yield tasks
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


def in_a_row(count: int) -> list[Step]:
    """Return failures of several kinds; the breaker counts them all."""
    return [FAILURES[number % len(FAILURES)] for number in range(count)]


async def spacing(table: Table, row: Row) -> list[list[float]]:
    """Make many calls that fail until their last try, with one back-off for all rows.

    Return the waits before each retry in seconds: from the partner's answer to the next arrival.
    """
    path = f"/{SPACING}/{row.host}"
    seen = table.scenario(row, path, each_call=(503,) * row.retries)
    calls: list[asyncio.Task[int]] = []
    for _ in range(CALLS if row.retries else 0):
        calls.append(asyncio.create_task(table.call(row, path, SPACING)))
        await asyncio.sleep(_PACE_S)
    await asyncio.gather(*calls)
    complete = [tries for tries in _by_call(seen) if len(tries) == 1 + row.retries]
    return [
        [tries[n].arrived_s - tries[n - 1].answered_s for tries in complete]
        for n in range(1, row.retries + 1)
    ]


async def first_waits(table: Table, *rows: Row) -> list[list[float]]:
    """Return the waits of each row before the first retry, with its own back-off, in seconds.

    All rows are called at the same time and one call after another, so a busy host delays all
    alike.
    """
    scenarios = [table.scenario(row, f"/first-wait/{row.host}", each_call=(503,)) for row in rows]
    for _ in range(FIRST_WAITS):
        await asyncio.gather(*(table.call(row, f"/first-wait/{row.host}") for row in rows))
    return [
        [tries[1].arrived_s - tries[0].answered_s for tries in _by_call(seen) if len(tries) > 1]
        for seen in scenarios
    ]


def _by_call(seen: Scenario) -> list[list[Try]]:
    by_key: dict[str, list[Try]] = defaultdict(list)
    for each in seen.tries:
        by_key[each.key].append(each)
    return list(by_key.values())


@dataclass
class Hang:
    """How a call ended to a partner that never answers."""

    status: int
    took_s: float
    retries: int
    before_reference: bool


async def hang(table: Table, row: Row) -> tuple[Hang, Hang]:
    """Return how a call ended whose tries have no timeout of their own, and how an ordinary one."""
    loop, ended = asyncio.get_running_loop(), list[str]()

    async def one(variant: str) -> tuple[int, float]:
        table.scenario(row, f"/{variant}/{row.host}", then=HANG)
        begun = loop.time()
        status = await table.call(row, f"/{variant}/{row.host}", variant)
        ended.append(variant)
        return status, loop.time() - begun

    async def arrived() -> bool:
        return all(table.partner(row).arrived(f"/{each}/{row.host}") for each in variants)

    variants = (TIMEOUT, TRIES)
    calls = [asyncio.create_task(one(each)) for each in variants]
    await until(arrived, 10, f"both calls reach {row.host}")
    # The reference begins later in the same Envoy and ends later: its timer is the last to fire.
    await one(REFERENCE)
    for _ in range(20):
        # The event loop reads what Envoy sent earlier on other connections.
        await asyncio.sleep(0)
    before = tuple(ended)
    results = await asyncio.gather(*calls)
    retries = [
        (await table.bench.counters(row.service, hosts_of(row)[each]))["upstream_rq_retry"]
        for each in variants
    ]
    whole, ordinary = (
        Hang(*result, number, variant in before)
        for variant, result, number in zip(variants, results, retries, strict=True)
    )
    return whole, ordinary


@dataclass
class Opening:
    """What opened the breaker of an unchanged file, and what it did then."""

    after_one_less: int
    failures: int
    calls_while_open: int
    refused_at_once: int
    retries_while_open: int


async def opening(table: Table, row: Row) -> Opening:
    """Open the breaker of a row's own host, which stays open for the time that its file says."""
    breaker = table.breaker(row)
    # One less does not open it, and a success in between starts the count again.
    for _ in range(2):
        await breaker.play(*in_a_row(row.failures - 1), 200)
    after_one_less = await breaker.openings()
    before = len(breaker.scenario.tries)
    await breaker.open_by(*in_a_row(row.failures))
    failed = [each for each in breaker.scenario.tries[before:] if each.answered_s]
    await until(breaker.refuses, 10, f"the worker knows that the breaker of {row.host} is open")
    tries, counted = len(breaker.scenario.tries), await table.bench.counters(row.service, row.host)
    assert [await breaker.call() for _ in range(ANSWERS_AT_ONCE)] == [503] * ANSWERS_AT_ONCE
    after = await table.bench.counters(row.service, row.host)
    return Opening(
        after_one_less,
        len(failed),
        len(breaker.scenario.tries) - tries,
        *(
            after[name] - counted[name]
            for name in ("upstream_cx_none_healthy", "upstream_rq_retry")
        ),
    )


@dataclass
class Closing:
    """How long the breaker was open, as a call and as Envoy saw it, and how it opened again."""

    until_a_call_s: float
    until_returned_s: float
    after_one_less: int
    again_until_returned_s: float


async def closing(table: Table, row: Row) -> Closing:
    """Open a breaker with a shorter time twice, and wait until it closes."""
    breaker = table.breaker(row, EJECTION)
    while True:
        failed_s = await breaker.open_by(*in_a_row(row.failures))
        # A test that was delayed finds the breaker closed and opens it again.
        while not (refused := await breaker.refuses()):
            if not await breaker.is_open():
                break
        if refused:
            break
    arrived = await breaker.passed()
    returned_s = await breaker.ended()
    before = await breaker.openings()
    await breaker.play(*in_a_row(row.failures - 1), 200)
    after_one_less = await breaker.openings() - before
    again_s = await breaker.open_by(*in_a_row(row.failures))
    return Closing(
        arrived.arrived_s - failed_s,
        returned_s - failed_s,
        after_one_less,
        await breaker.ended() - again_s,
    )


@dataclass
class Outage:
    """How the breaker treated a partner that stayed broken."""

    failures_for_each_opening: int
    second_ended_before_reference: bool


async def outage(table: Table, row: Row) -> Outage:
    """Call a partner that stays broken until its breaker has opened and closed twice.

    The reference is a breaker that opens after the second opening has begun, and stays open for
    longer than one ejection time and shorter than two. Envoy's main thread closes both.
    """
    broken, reference = table.breaker(row, BROKEN), table.breaker(row, REFERENCE)
    broken.scenario.then = 503

    async def caller() -> None:
        while True:
            await broken.call()
            await asyncio.sleep(_BETWEEN_CALLS_S)

    async def opened_twice() -> int:
        opened = await broken.openings()
        return opened if opened > 1 else 0

    async def reference_ended() -> tuple[int, int] | None:
        of_broken, of_reference = await table.bench.breakers(
            row.service, broken.host, reference.host
        )
        return of_broken if of_reference[0] and not of_reference[1] else None

    callers = [asyncio.create_task(caller()) for _ in range(_BROKEN_CALLERS)]
    try:
        second = await until(opened_twice, 30, f"the breaker of {broken.host} opens twice")
        failures = len(broken.scenario.tries) // second
        await reference.open_by(503)
        opened, active = await until(reference_ended, 30, f"the breaker of {reference.host} closes")
    finally:
        for each in callers:
            each.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
    return Outage(failures, opened > second or not active)


async def breaker_times(table: Table, row: Row) -> tuple[Closing, Outage]:
    """Measure a breaker of a partner that recovers and one of a partner that stays broken."""
    return await asyncio.gather(closing(table, row), outage(table, row))
