"""Callers that wait until a balance shows a posting.

The projection, in whichever process it runs, notifies on a PostgreSQL channel after each batch;
a notice leads to one read of all the accounts that are waited for here. Nothing polls.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import asyncpg
import structlog

from services.chassis.unreachable import UNREACHABLE

CHANNEL = "customers_balance"
RECONNECT_S = 0.5
WAITERS_MAX = 10_000

log = structlog.get_logger()

Positions = Callable[[Collection[uuid.UUID]], Awaitable[dict[uuid.UUID, int]]]
Connect = Callable[[], Awaitable["asyncpg.Connection"]]
_Waiter = tuple[int, asyncio.Future[None]]


class BalanceWaiters:
    """The waiting callers of one process."""

    def __init__(self, positions: Positions, connect: Connect) -> None:
        self._positions = positions
        self._connect = connect
        self._waiters: dict[uuid.UUID, set[_Waiter]] = {}
        self._count = 0
        self._noticed = asyncio.Event()

    async def reached(self, account_id: uuid.UUID, position: int, within_s: float) -> bool:
        """Wait until the account has the position; False when it has not in time."""
        if self._count >= WAITERS_MAX:
            return False
        waiter = (position, asyncio.get_running_loop().create_future())
        self._waiters.setdefault(account_id, set()).add(waiter)
        self._count += 1
        # The balance may have arrived between the caller's read and now: read once more.
        self._noticed.set()
        try:
            async with asyncio.timeout(within_s):
                await waiter[1]
        except TimeoutError:
            return False
        finally:
            self._forget(account_id, waiter)
        return True

    def _forget(self, account_id: uuid.UUID, waiter: _Waiter) -> None:
        self._count -= 1
        remaining = self._waiters[account_id]
        remaining.discard(waiter)
        if not remaining:
            del self._waiters[account_id]

    async def run(self) -> None:
        """Listen and answer for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._answer())

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_until_lost()
            except UNREACHABLE as error:
                log.warning("balance_waiters.listener_lost", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_S)

    async def _listen_until_lost(self) -> None:
        lost = asyncio.Event()
        connection = await self._connect()
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, self._on_notice)
            self._noticed.set()  # notices may have been missed while nobody listened
            await lost.wait()
        finally:
            connection.terminate()

    def _on_notice(self, *_: Any) -> None:
        self._noticed.set()

    async def _answer(self) -> None:
        while True:
            await self._noticed.wait()
            self._noticed.clear()
            if not self._waiters:
                continue
            try:
                found = await self._positions(list(self._waiters))
            except UNREACHABLE as error:
                # The callers get POSITION_NOT_REACHED unless a later notice is answered.
                log.warning("balance_waiters.read_failed", error=type(error).__name__)
                continue
            self._wake(found)

    def _wake(self, found: dict[uuid.UUID, int]) -> None:
        for account_id, position in found.items():
            for wanted, future in self._waiters.get(account_id, ()):
                if wanted <= position and not future.done():
                    future.set_result(None)
