"""Payments as it runs in production, with four changes for tests.

Before and after each commit of the saga it asks the test whether to continue, so that the test can
kill it or act at that point. It calls the clearing house without its sidecar. The timeout is short
only if no answer will come, so a busy host causes no timeout. It looks for transfers that are due
or overdue when the test says so, even while an earlier look is held. On a slow host its statements
and leases last longer, because the test is slower too.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import os
import ssl
import uuid
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import aiohttp
import asyncpg

from ops.waiting import scaled_s
from services.chassis import postgres
from services.chassis.grpc_server import run
from services.chassis.unreachable import UNREACHABLE
from services.payments import bootstrap, driver, reconciliation
from services.payments.dependencies import Dependencies
from services.payments.driver import Driver
from services.payments.partners import ach
from services.payments.rows import Debit
from services.payments.saga import Answer
from services.payments.settings import PaymentsSettings
from services.payments.store import Store
from services.payments.transfer import Fact, InterbankTransferOrder, Transfer

PLAN = "BP_STOPS"
"""Environment variable with JSON: the test's socket, and how to reach the clearing house."""

DEBIT = "DEBIT"
"""The step that begins a saga. Every other step is named after its row of the table."""

SUBMIT, QUERY = "POST /ach/transfer", "GET /ach/transfer"
RECALL = "POST /ach/transfer/cancel"

SHORT = "short"
"""The test's answer for a request to which the clearing house will not reply."""

SHORT_S, PATIENT_S = 1.0, scaled_s(25.0)
"""Timeouts of a request. The longer one scales, so that a slow host causes no timeout. It stays
below the lease, which `let_work_last` scales too, so that no other worker claims a transfer whose
request is in flight."""

_step: ContextVar[str] = ContextVar("step")
_patience_s: ContextVar[float] = ContextVar("patience_s", default=PATIENT_S)


class Gate:
    """The connection to the test."""

    def __init__(self, worker: str, writer: asyncio.StreamWriter) -> None:
        self.searches: dict[str, Callable[[], Awaitable[None]]] = {}
        """The looks for transfers that the test can order, by name."""
        self._writer = writer
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[str]] = {}
        self._looks: set[asyncio.Future[Any]] = set()
        self._say({"worker": worker})

    async def ask(
        self, step: str, when: str, memo: str, transfer_id: uuid.UUID, *, done: bool = True
    ) -> str:
        """Ask the test, and return its answer.

        Raises the error of a lost connection, or CancelledError, if the test says so.
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
        """Handle the test's messages until it disconnects."""
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
        # Errors are ignored as in the worker's own loops: the next look tries again.
        searches = [search() for search in self.searches.values()]
        look = asyncio.gather(*searches, return_exceptions=True)
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)

    def _say(self, what: dict[str, Any]) -> None:
        self._writer.write(json.dumps(what).encode() + b"\n")


def stop_at_commits(gate: Gate) -> None:
    """Ask the test before and after each commit."""
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
        # The test holds a debit for longer than its caller waits. The debit continues without its
        # caller, so that debits which the test releases together reach their commit together.
        return await asyncio.shield(asking_debit(self, order, transfer, *more, **named))

    Driver.save, Store.advance, Store.debit = named_save, asking_advance, staying_debit


def look_when_told(gate: Gate) -> None:
    """Look for transfers that are due or overdue when the test says so, besides the regular looks.

    A regular look waits for all its questions. The test may hold one of them until another worker
    asks too, and hold that worker's look for a second transfer in the same way. Then only a further
    look helps.
    """
    resume, ask_for_unsettled = Driver.resume, reconciliation.ask_for_unsettled

    async def known_resume(self: Driver) -> None:
        gate.searches["due"] = partial(resume, self)
        await resume(self)

    async def known_ask_for_unsettled(deps: Dependencies) -> None:
        gate.searches["overdue"] = partial(ask_for_unsettled, deps)
        await ask_for_unsettled(deps)

    Driver.resume, reconciliation.ask_for_unsettled = known_resume, known_ask_for_unsettled


def let_work_last() -> None:
    """Scale the limits of statements and leases with the host.

    A statement may wait for a row that the test locks, and a lease must outlast a request.
    """
    open_pool, more = postgres.open_pool, scaled_s(1)

    async def patient_pool(database: postgres.Database, name: str, size: int) -> asyncpg.Pool:
        timeout_ms = round(postgres.STATEMENT_TIMEOUT_MS * more)
        return await open_pool(database, name, size, timeout_ms)

    postgres.COMMAND_TIMEOUT_S *= more
    bootstrap.open_pool = patient_pool
    driver.LEASE_S = math.ceil(driver.LEASE_S * more)


class ToldClient(ach.AchClient):
    """A client of the clearing house that asks the test for the timeout of each request."""

    def __init__(self, gate: Gate, session: Any, api_key: str) -> None:
        super().__init__(session, session, api_key)
        self._gate = gate

    async def submit(self, transfer: Transfer) -> Answer:
        """Submit a transfer."""
        await self._be_told(SUBMIT, transfer)
        return await super().submit(transfer)

    async def query(self, transfer: Transfer) -> Answer:
        """Query the state of a transfer."""
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
    """A session with the bank's certificate and the timeout that the test chose."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    def request(self, method: str, url: str, **more: Any) -> Any:
        """Send a request as aiohttp's session does."""
        patience = aiohttp.ClientTimeout(total=_patience_s.get())
        return self._session.request(method, url, timeout=patience, **more)


def reach_the_clearing_house(plan: dict[str, str], gate: Gate) -> aiohttp.ClientSession:
    """Make payments use a session of the test. Return that session."""
    tls = ssl.create_default_context(cafile=plan["ca"])
    tls.load_cert_chain(plan["cert"], plan["key"])
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, limit=256))
    ach.BASE = plan["ach_url"]
    house = ClearingHouse(session)
    bootstrap.AchClient = lambda _sidecar, _directory, api_key: ToldClient(gate, house, api_key)  # type: ignore[misc]
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
