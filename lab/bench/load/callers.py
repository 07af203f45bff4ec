"""Customers who log in: each with a telephone of its own, from many addresses, in a closed loop.

They are new in every run, because the bank limits the codes that it sends to one number a day.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import TypeVar

from lab.bench import series
from lab.bench.test_bench import TestBench
from sandbox.app import App
from sandbox.client import Answer, BankClient, LoginIdentity
from sandbox.seed import cluster, logins, people, planting
from sandbox.seed.people import Person

ADDRESSES_MAX = 100
"""Enough that no address reaches the limits of an address."""
REFUSALS_SHOWN = 3
CODES_USED_UP = "OTP_SENDS_EXHAUSTED"

Telephone = TypeVar("Telephone")
Step = Callable[[App], Awaitable[Answer]]
"""What a caller repeats; the last answer of the step counts."""


@dataclass(slots=True)
class Answers:
    """The answers of a closed loop."""

    begun: float
    """`time.monotonic` of the start of the measured time."""
    ended: list[float] = field(default_factory=list[float])
    """When each good answer of the measured time came."""
    took_ms: list[float] = field(default_factory=list[float])
    refused: Counter[str] = field(default_factory=Counter[str])
    """Status and reason of the other answers, from the first request on."""
    total: int = 0
    """All good answers, including those of the warm-up."""
    callers_short: int = 0
    """Callers that stopped before the end, because no telephone was left for them."""

    @property
    def per_s(self) -> float:
        """Good answers a second, between the first and the last one."""
        if len(self.ended) < 2:
            return 0.0
        return (len(self.ended) - 1) / (self.ended[-1] - self.ended[0])

    def percentile_ms(self, percent: float) -> float:
        """Return the latency that `percent` of the good answers did not exceed."""
        return series.percentile(sorted(self.took_ms), percent)

    def note(self, answer: Answer, begun: float, now: float) -> None:
        """Add an answer that came at `now` to a request that was sent at `begun`."""
        if answer.status != 200:
            self.refused[f"{answer.status} {answer.reason}"] += 1
            return
        self.total += 1
        if now >= self.begun:
            self.ended.append(now)
            self.took_ms.append((now - begun) * 1000)

    def problems(self, name: str) -> list[str]:
        """Return reasons why the run is void: errors, callers that stopped, or no good answer."""
        refused = [f"{name}: {count} x {what}" for what, count in self.refused.most_common()]
        problems = refused[:REFUSALS_SHOWN]
        if self.callers_short:
            problems.append(f"{name}: callers without a telephone: {self.callers_short}")
        return problems or ([] if self.ended else [f"{name}: no answer"])


@asynccontextmanager
async def telephones(
    test_bench: TestBench, count: int, *, with_faces: bool
) -> AsyncGenerator[list[App]]:
    """Give `count` new customers a login and a telephone each; close the connections at the end."""
    run = secrets.token_hex(4)
    persons = [Person(f"guest-{run}-{n}", "Guest Customer", ()) for n in range(count)]
    await _plant(test_bench, persons, with_faces=with_faces)
    async with AsyncExitStack() as stack:
        clients: list[BankClient] = []
        for number in range(min(count, ADDRESSES_MAX)):
            clients.append(
                BankClient(test_bench.stack, f"127.0.{1 + number // 250}.{number % 250}")
            )
            stack.push_async_callback(clients[-1].close)
        yield [
            _app(client, person) for client, person in zip(cycle(clients), persons, strict=False)
        ]


async def _plant(test_bench: TestBench, persons: Sequence[Person], *, with_faces: bool) -> None:
    await planting.open_people(test_bench.connect, persons)
    vault = await cluster.auth_vault(test_bench.where, test_bench.stack.home.run)
    connection = await test_bench.connect("bp_auth")
    try:
        await logins.plant(connection, vault, persons, with_faces=with_faces)
    finally:
        await connection.close()


def _app(client: BankClient, person: Person) -> App:
    name = person.user_name
    return App(client, LoginIdentity(person.email, people.password(name), people.phone(name)), name)


async def repeat(
    telephones: Sequence[Telephone],
    step: Callable[[Telephone], Awaitable[Answer]],
    at_once: int,
    warm_up_s: float,
    seconds: float,
) -> Answers:
    """Let the telephones do a step in turn, `at_once` of them at a time, in a closed loop.

    A telephone does one step at a time, so `at_once` must not exceed their number. A telephone that
    got the day's codes does no further step. A caller without a telephone stops, which is a problem
    of the run: it had fewer callers than `at_once`.
    """
    free = deque(telephones)
    answers = Answers(time.monotonic() + warm_up_s)
    until = answers.begun + seconds

    async def caller() -> None:
        while (begun := time.monotonic()) < until:
            if not free:
                answers.callers_short += 1
                return
            telephone = free.popleft()
            answer = await step(telephone)
            if answer.status == 429 and answer.reason == CODES_USED_UP:
                continue
            answers.note(answer, begun, time.monotonic())
            free.append(telephone)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(caller())
    answers.ended.sort()
    return answers
