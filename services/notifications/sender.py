"""Sends pushes: new ones at once, postponed and abandoned ones later.

A delivery is PENDING in the database before it is sent, and its outcome is written after. A crash
in between leaves it PENDING under a lease. When the lease ends, it is sent again with the same tag,
so the device shows one message. A push that cannot be sent is retried for three days.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from services.chassis.unreachable import UNREACHABLE
from services.kernel.clock import utc_now
from services.notifications.partners import PushClient
from services.notifications.settings import NotificationsSettings
from services.notifications.state import Attempt, Outcome, Push, Retries, State, settled
from services.notifications.store import Store

CLAIM_ROWS_MAX = 200
SETTLE_ROWS_MAX = 200
SETTLE_LINGER_S = 0.05
RETRY_S = 1.0

log = structlog.get_logger()


class Sender:
    """The queue between the consumer group and the push service, and its workers."""

    def __init__(self, store: Store, client: PushClient, settings: NotificationsSettings) -> None:
        self._store = store
        self._client = client
        self._settings = settings
        self._waiting: asyncio.Queue[Push] = asyncio.Queue(settings.waiting_pushes_max)
        self._ended: asyncio.Queue[Attempt] = asyncio.Queue(settings.waiting_pushes_max)
        self._owes_outcomes = False
        expiry = timedelta(seconds=settings.expiry_s)
        self._retries = Retries(settings.retry_first_s, settings.retry_s_max, expiry)

    async def accept(self, pushes: Sequence[Push]) -> None:
        """Queue pushes; wait while the queue is full."""
        for push in pushes:
            await self._waiting.put(push)

    async def run(self) -> None:
        """Send pushes until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._settings.sends_max):
                group.create_task(self._work())
            group.create_task(self._settle())
            group.create_task(self._claim())

    async def drain(self) -> None:
        """Wait until every accepted push is sent and its outcome is written."""
        await self._waiting.join()
        await self._ended.join()

    async def _work(self) -> None:
        margin = timedelta(seconds=self._settings.lease_margin_s)
        while True:
            push = await self._waiting.get()
            # If the lease ends too soon for a safe attempt, the process that claims it next sends
            # it.
            if utc_now() + margin < push.lease_end:
                attempt = await self._client.send(push)
                if attempt.outcome is not Outcome.TAKEN:
                    log.warning("push.not_taken", event_id=push.event_id, detail=attempt.detail)
                await self._ended.put(attempt)
            self._waiting.task_done()

    async def _settle(self) -> None:
        while True:
            batch = [await self._ended.get()]
            await asyncio.sleep(SETTLE_LINGER_S)
            while len(batch) < SETTLE_ROWS_MAX and not self._ended.empty():
                batch.append(self._ended.get_nowait())
            await self._written(batch)
            for _ in batch:
                self._ended.task_done()

    async def _written(self, batch: Sequence[Attempt]) -> None:
        outcomes = [settled(attempt, utc_now(), self._retries) for attempt in batch]
        for one in outcomes:
            if one.state is State.UNDELIVERABLE:
                log.warning("push.undeliverable", event_id=one.push.event_id, detail=one.detail)
        while True:
            try:
                await self._store.settle(outcomes)
            except UNREACHABLE as error:
                self._owes_outcomes = True
                log.warning("push.settle_failed", error=repr(error), rows=len(batch))
                await asyncio.sleep(RETRY_S)
            else:
                self._owes_outcomes = False
                return

    async def _claim(self) -> None:
        while True:
            claimed = 0
            # The lease of a sent push may have ended before its outcome is written. If we claimed
            # it now, it would be sent twice.
            has_room = self._waiting.qsize() < self._settings.waiting_pushes_max // 2
            if has_room and not self._owes_outcomes:
                claimed = await self._claimed()
            if claimed < CLAIM_ROWS_MAX:
                await asyncio.sleep(self._settings.poll_s)

    async def _claimed(self) -> int:
        now = utc_now()
        lease_end = now + timedelta(seconds=self._settings.lease_s)
        try:
            pushes = await self._store.claim(now, lease_end, CLAIM_ROWS_MAX)
        except UNREACHABLE as error:
            log.warning("push.claim_failed", error=repr(error))
            return 0
        await self.accept(pushes)
        return len(pushes)
