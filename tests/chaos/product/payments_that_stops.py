"""Payments as it runs in production, but for two things that a test needs of it.

Before and after each commit of the saga it asks the test whether it may go on, so that the test
can kill it there, or do something else meanwhile. And it reaches the clearing house itself, with
a time-out of seconds, so that real time-outs neither take 30 s nor open the sidecar's breaker.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import ssl
import uuid
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import datetime
from typing import Any

import aiohttp
import asyncpg

from services.chassis.grpc_server import run
from services.payments import bootstrap
from services.payments.driver import Driver
from services.payments.partners import ach
from services.payments.saga import Answer, Outcome
from services.payments.settings import PaymentsSettings
from services.payments.state import Effect
from services.payments.store import Debit, Lease, Store
from services.payments.transfer import Fact, Transfer, TransferOrder

PLAN = "BP_STOPS"
"""Environment variable: where the test listens, and the way to the clearing house, as JSON."""

DEBIT = "DEBIT"
"""The step that begins a saga; every other one is named after its row of the table."""

ACH_TIMEOUT_S = 2.0

_step: ContextVar[str] = ContextVar("step")

Ask = Callable[..., Awaitable[None]]


class Gate:
    """The line to the test."""

    def __init__(self, worker: str, writer: asyncio.StreamWriter) -> None:
        self._worker = worker
        self._writer = writer
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[str]] = {}

    async def ask(
        self, step: str, when: str, memo: str, transfer_id: uuid.UUID, *, done: bool = True
    ) -> None:
        """Wait for the test's word; raises what a lost connection raises if the word is so."""
        number = next(self._numbers)
        self._asked[number] = asyncio.get_running_loop().create_future()
        hit = {"step": step, "when": when, "memo": memo, "transfer": str(transfer_id)}
        hit |= {"number": number, "worker": self._worker, "done": done}
        self._writer.write(json.dumps(hit).encode() + b"\n")
        if await self._asked[number] == "lost":
            raise asyncpg.ConnectionDoesNotExistError("the database's answer was lost")

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Take the test's answers, until it is gone."""
        while line := await reader.readline():
            answer = json.loads(line)
            future = self._asked.pop(answer["number"])
            if not future.done():
                future.set_result(answer["word"])


def stop_at_commits(ask: Ask) -> None:
    """Have each commit asked for, before it is begun and after it is made."""
    save, advance, debit = Driver.save, Store.advance, Store.debit

    async def named_save(
        self: Driver, transfer: Transfer, fact: Fact, notice_id: str | None = None
    ) -> tuple[Transfer, bytes | None]:
        _step.set(f"{transfer.state.name}-{fact.event.name}")
        return await save(self, transfer, fact, notice_id)

    async def asking_advance(
        self: Store, moved: Transfer, effect: Effect, lease_until: datetime, **kept: Any
    ) -> tuple[bool, bytes | None]:
        step = _step.get()
        await ask(step, "before", moved.memo, moved.transfer_id)
        advanced, response = await advance(self, moved, effect, lease_until, **kept)
        await ask(step, "after", moved.memo, moved.transfer_id, done=advanced)
        return advanced, response

    async def asking_debit(
        self: Store, order: TransferOrder, transfer: Transfer, lease: Lease
    ) -> Debit:
        await ask(DEBIT, "before", order.memo, transfer.transfer_id)
        made = await debit(self, order, transfer, lease)
        await ask(DEBIT, "after", order.memo, made.transfer_id, done=made.outcome == "DEBITED")
        return made

    Driver.save, Store.advance, Store.debit = named_save, asking_advance, asking_debit


def read_refusals_of_queries() -> None:
    """Have an answer 422 to a query read as a refusal.

    The table has the row; today's clearing house never says so. The test's does.
    """
    queried = ach.queried

    def with_refusal(status: int, answer: dict[str, Any]) -> Answer:
        refused = status == 422
        return Answer(Outcome.REFUSED, reason="REFUSED") if refused else queried(status, answer)

    ach.queried = with_refusal


def reach_the_clearing_house(plan: dict[str, str]) -> aiohttp.ClientSession:
    """Return a session that shows the bank's certificate, and have AchClient use it."""
    tls = ssl.create_default_context(cafile=plan["ca"])
    tls.load_cert_chain(plan["cert"], plan["key"])
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls, limit=256),
        timeout=aiohttp.ClientTimeout(total=ACH_TIMEOUT_S),
    )
    ach.BASE = plan["ach_url"]
    client = ach.AchClient
    bootstrap.AchClient = lambda _sidecar, api_key: client(session, api_key)  # type: ignore[misc]
    return session


async def main(settings: PaymentsSettings, stop: asyncio.Event) -> None:
    """Run payments until `stop` is set."""
    plan = json.loads(os.environ[PLAN])
    reader, writer = await asyncio.open_unix_connection(plan["gate"])
    gate = Gate(settings.slot, writer)
    stop_at_commits(gate.ask)
    read_refusals_of_queries()
    listening = asyncio.create_task(gate.listen(reader))
    async with reach_the_clearing_house(plan):
        await bootstrap.main(settings, stop)
    listening.cancel()


if __name__ == "__main__":
    run(PaymentsSettings(), main)  # type: ignore[call-arg, arg-type]
