"""Payments as it runs in production, except for four things that a test needs of it.

Before and after each commit of the saga it asks the test whether it may go on, so that the test
can kill it there, or do something else meanwhile. It reaches the clearing house itself, and how
long it waits for an answer follows from whether there will be one: real timeouts are short, and
a busy host causes none. It looks for what is due when the test says so, not only once a second.
And its statements and leases last longer on a slow host, because the test is slower there too.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import os
import ssl
import uuid
from contextvars import ContextVar
from typing import Any

import aiohttp
import asyncpg

from ops.waiting import scaled_s
from services.chassis import postgres
from services.chassis.grpc_server import run
from services.chassis.unreachable import UNREACHABLE
from services.payments import bootstrap, driver
from services.payments.driver import Driver
from services.payments.partners import ach
from services.payments.saga import Answer
from services.payments.settings import PaymentsSettings
from services.payments.store import Debit, Store
from services.payments.transfer import Fact, InterbankTransferOrder, Transfer

PLAN = "BP_STOPS"
"""Environment variable: where the test listens, and the way to the clearing house, as JSON."""

DEBIT = "DEBIT"
"""The step that begins a saga; every other one is named after its row of the table."""

SUBMIT, QUERY = "POST /ach/transfer", "GET /ach/transfer"
RECALL = "POST /ach/transfer/cancel"

SHORT = "short"
"""The test's word for a question that the clearing house will not answer."""

SHORT_S, PATIENT_S = 1.0, scaled_s(25.0)
"""Timeouts of a question. The longer one scales, so that no answer counts as missing on a slow
host; it stays below the lease, which `let_work_last` scales too: nobody else takes a transfer up
while its question is under way."""

_step: ContextVar[str] = ContextVar("step")
_patience_s: ContextVar[float] = ContextVar("patience_s", default=PATIENT_S)


class Gate:
    """The line to the test."""

    def __init__(self, worker: str, writer: asyncio.StreamWriter) -> None:
        self.driver: Driver | None = None
        """Whoever is to look for what is due."""
        self._writer = writer
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[str]] = {}
        self._looks: set[asyncio.Future[Any]] = set()
        self._say({"worker": worker})

    async def ask(
        self, step: str, when: str, memo: str, transfer_id: uuid.UUID, *, done: bool = True
    ) -> str:
        """Wait for the test's word, and return it.

        Raises what a lost connection raises, or CancelledError, when the test says so.
        """
        number = next(self._numbers)
        self._asked[number] = asyncio.get_running_loop().create_future()
        hit = {"step": step, "when": when, "memo": memo, "transfer": str(transfer_id)}
        self._say(hit | {"number": number, "done": done})
        try:
            word = await self._asked[number]
        except asyncio.CancelledError:
            self._say({"number": number, "gone": True})
            raise
        if word == "lost":
            raise asyncpg.ConnectionDoesNotExistError("the database's answer was lost")
        if word == "away":
            raise asyncio.CancelledError
        return word

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Take what the test says, until it is gone."""
        while line := await reader.readline():
            answer = json.loads(line)
            if answer.get("look"):
                self._look()
                continue
            for number, word in answer["words"]:
                future = self._asked.pop(number)
                if not future.done():
                    future.set_result(word)

    def _look(self) -> None:
        if self.driver is not None:
            # As the worker does by itself: what fails now is done by the next look.
            look = asyncio.gather(self.driver.resume(), return_exceptions=True)
            self._looks.add(look)
            look.add_done_callback(self._looks.discard)

    def _say(self, what: dict[str, Any]) -> None:
        self._writer.write(json.dumps(what).encode() + b"\n")


def stop_at_commits(gate: Gate) -> None:
    """Have each commit asked for, before it is begun and after it is made."""
    ask, save, advance, debit = gate.ask, Driver.save, Store.advance, Store.debit

    async def named_save(
        self: Driver, transfer: Transfer, fact: Fact, notice_id: str | None = None
    ) -> tuple[Transfer, bytes | None]:
        _step.set(f"{transfer.state.name}-{fact.event.name}")
        return await save(self, transfer, fact, notice_id)

    async def asking_advance(
        self: Store, moved: Transfer, *more: Any, **kept: Any
    ) -> tuple[bool, bytes | None]:
        step = _step.get()
        await ask(step, "before", moved.memo, moved.transfer_id)
        try:
            advanced, response = await advance(self, moved, *more, **kept)
        except UNREACHABLE:
            await ask(step, "failed", moved.memo, moved.transfer_id)
            raise
        await ask(step, "after", moved.memo, moved.transfer_id, done=advanced)
        return advanced, response

    async def asking_debit(
        self: Store, order: InterbankTransferOrder, transfer: Transfer, *more: Any, **named: Any
    ) -> Debit:
        await ask(DEBIT, "before", order.memo, transfer.transfer_id)
        made = await debit(self, order, transfer, *more, **named)
        await ask(DEBIT, "after", order.memo, made.transfer_id, done=made.outcome == "DEBITED")
        return made

    async def staying_debit(
        self: Store, order: InterbankTransferOrder, transfer: Transfer, *more: Any, **named: Any
    ) -> Debit:
        # The test holds a debit for longer than its caller waits. It goes on without its caller,
        # so that those which the test lets go together come to their commit together.
        return await asyncio.shield(asking_debit(self, order, transfer, *more, **named))

    Driver.save, Store.advance, Store.debit = named_save, asking_advance, staying_debit


def look_when_told(gate: Gate) -> None:
    """Have the test say when to look for what is due, beside the look once a second."""
    resume = Driver.resume

    async def known_resume(self: Driver) -> None:
        gate.driver = self
        await resume(self)

    Driver.resume = known_resume


def let_work_last() -> None:
    """Scale the limits of statements and leases with the host.

    A statement may wait for a row that the test holds, and a lease outlasts a question.
    """
    open_pool, more = postgres.open_pool, scaled_s(1)

    async def patient_pool(database: postgres.Database, name: str, size: int) -> asyncpg.Pool:
        timeout_ms = round(postgres.STATEMENT_TIMEOUT_MS * more)
        return await open_pool(database, name, size, timeout_ms)

    postgres.COMMAND_TIMEOUT_S *= more
    bootstrap.open_pool = patient_pool
    driver.LEASE_S = math.ceil(driver.LEASE_S * more)


class ToldClient(ach.AchClient):
    """The client of the clearing house, told before each question whether it will be answered."""

    def __init__(self, gate: Gate, session: Any, api_key: str) -> None:
        super().__init__(session, api_key)
        self._gate = gate

    async def submit(self, transfer: Transfer) -> Answer:
        """Hand a transfer over."""
        await self._be_told(SUBMIT, transfer)
        return await super().submit(transfer)

    async def query(self, transfer: Transfer) -> Answer:
        """Ask what became of a transfer."""
        await self._be_told(QUERY, transfer)
        return await super().query(transfer)

    async def recall(self, transfer: Transfer) -> Answer:
        """Cancel a transfer, or forbid its late arrival."""
        await self._be_told(RECALL, transfer)
        return await super().recall(transfer)

    async def _be_told(self, endpoint: str, transfer: Transfer) -> None:
        word = await self._gate.ask(endpoint, "asked", transfer.memo, transfer.transfer_id)
        _patience_s.set(SHORT_S if word == SHORT else PATIENT_S)


class ClearingHouse:
    """A session that shows the bank's certificate and waits as long as it is told."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    def request(self, method: str, url: str, **more: Any) -> Any:
        """As aiohttp's session does."""
        patience = aiohttp.ClientTimeout(total=_patience_s.get())
        return self._session.request(method, url, timeout=patience, **more)


def reach_the_clearing_house(plan: dict[str, str], gate: Gate) -> aiohttp.ClientSession:
    """Have payments ask through a session of the test's; return that session."""
    tls = ssl.create_default_context(cafile=plan["ca"])
    tls.load_cert_chain(plan["cert"], plan["key"])
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, limit=256))
    ach.BASE = plan["ach_url"]
    house = ClearingHouse(session)
    bootstrap.AchClient = lambda _sidecar, api_key: ToldClient(gate, house, api_key)  # type: ignore[misc]
    return session


async def main(settings: PaymentsSettings, stop: asyncio.Event) -> None:
    """Run payments until `stop` is set."""
    plan = json.loads(os.environ[PLAN])
    reader, writer = await asyncio.open_unix_connection(plan["gate"])
    gate = Gate(settings.slot, writer)
    stop_at_commits(gate)
    look_when_told(gate)
    let_work_last()
    listening = asyncio.create_task(gate.listen(reader))
    async with reach_the_clearing_house(plan, gate):
        await bootstrap.main(settings, stop)
    listening.cancel()


if __name__ == "__main__":
    run(PaymentsSettings(), main)  # type: ignore[call-arg, arg-type]
