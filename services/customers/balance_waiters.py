"""Lets callers wait until a balance shows a posting.

The projection, in any process, notifies a PostgreSQL channel after each batch. Each notification
makes this process read all the accounts that its callers wait for, in one statement. Nothing polls.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Collection
from typing import Any, NamedTuple

import asyncpg
import structlog

from services.chassis.unreachable import UNREACHABLE

CHANNEL = "customers_balance"
RECONNECT_S = 0.5

log = structlog.get_logger()

Positions = Callable[[Collection[uuid.UUID]], Awaitable[dict[uuid.UUID, int]]]
Connect = Callable[[], Awaitable["asyncpg.Connection"]]


class _Waiter(NamedTuple):
    """A caller that waits."""

    position: int
    """The lowest position that ends the wait."""
    future: asyncio.Future[None]


class BalanceWaiters:
    """The waiting callers of one process."""

    def __init__(self, positions: Positions, connect: Connect) -> None:
        self._positions = positions
        self._connect = connect
        self._waiters: dict[uuid.UUID, set[_Waiter]] = {}
        self._notified = asyncio.Event()

    async def reached(self, account_id: uuid.UUID, position: int, within_s: float) -> bool:
        """Wait until the account has the position; False after `within_s`.

        The caller holds a place of the process's WaitLimit, which bounds the waiters.
        """
        waiter = _Waiter(position, asyncio.get_running_loop().create_future())
        self._waiters.setdefault(account_id, set()).add(waiter)
        # The balance may have changed since the caller read it: read once more.
        self._notified.set()
        try:
            async with asyncio.timeout(within_s):
                await waiter.future
        except TimeoutError:
            return False
        finally:
            self._forget(account_id, waiter)
        return True

    def _forget(self, account_id: uuid.UUID, waiter: _Waiter) -> None:
        remaining = self._waiters[account_id]
        remaining.discard(waiter)
        if not remaining:
            del self._waiters[account_id]

    async def run(self) -> None:
        """Listen and wake callers forever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._wake_on_notification())

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
            await connection.add_listener(CHANNEL, self._on_notification)
            # Notifications sent before this connection listened are lost, so read once.
            self._notified.set()
            await lost.wait()
        finally:
            connection.terminate()

    def _on_notification(self, *_: Any) -> None:
        self._notified.set()

    async def _wake_on_notification(self) -> None:
        while True:
            await self._notified.wait()
            self._notified.clear()
            if not self._waiters:
                continue
            try:
                positions = await self._positions(list(self._waiters))
            except UNREACHABLE as error:
                # The callers get POSITION_NOT_REACHED unless a later notification wakes them.
                log.warning("balance_waiters.read_failed", error=type(error).__name__)
                continue
            self._wake(positions)

    def _wake(self, positions: dict[uuid.UUID, int]) -> None:
        for account_id, position in positions.items():
            for waiter in self._waiters.get(account_id, ()):
                if waiter.position <= position and not waiter.future.done():
                    waiter.future.set_result(None)
