"""Signs the heads of all chains every minute, and when a verification asks for it.

Order of one round: read the heads, sign, confirm that the lock is still held, store the statement
outside the database, store its mark in OpenBao. After a crash between any two steps, the next
round can continue the sequence.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta

import asyncpg
import structlog

from services.audit.head_files import HeadStore
from services.audit.heads import ChainHead, Mark, Signed, Statement, next_statement
from services.audit.notary import Notary
from services.audit.store import Store, Turn
from services.chassis.unreachable import UNREACHABLE
from services.kernel.clock import utc_now

CHANNEL = "audit_heads"
"""A NOTIFY on this channel asks for a statement now."""
UNCHANGED_MAX = timedelta(hours=1)
"""Heads that did not change are signed again after this time."""
RETRY_S = 5.0
ASKED_EVERY_S = 5.0
"""Requests cause at most one signature in this interval, because many roles may send them.
`bpctl audit verify` waits longer."""

log = structlog.get_logger()


def _is_fresh(last: Statement | None, heads: tuple[ChainHead, ...], now: datetime) -> bool:
    return last is not None and last.heads == heads and abs(now - last.sign_time) < UNCHANGED_MAX


async def _heads_to_sign(turn: Turn, last: Statement | None) -> tuple[ChainHead, ...]:
    """Return the heads of the chains now.

    A chain that no longer has its last signed link keeps that head, so that every later
    verification finds the difference, also one that starts at the last head.
    """
    changed = await turn.changed(last.heads) if last is not None else []
    for head in changed:
        log.error("audit.signed_link_changed", chain=head.chain, sequence=head.sequence)
    heads = {head.chain: head for head in (*turn.heads, *changed)}
    return tuple(heads[chain] for chain in sorted(heads))


class Signer:
    """Signs for all processes of the service: one of them at a time, under a lock."""

    def __init__(self, store: Store, heads: HeadStore, notary: Notary) -> None:
        self._store = store
        self._heads = heads
        self._notary = notary
        self._mark = Mark()
        self._missing: Mark | None = None

    async def sign(self, *, even_unchanged: bool = False) -> Signed | None:
        """Sign the heads; None if they did not change, or if another process is signing or has
        signed in the meantime.
        """
        async with self._store.turn_to_sign() as turn:
            if turn is None:
                return None
            last = await asyncio.to_thread(self._heads.last)
            kept = Mark.of(last) if last is not None else Mark()
            now = utc_now()
            statement = None if last is None else last.statement
            heads = await _heads_to_sign(turn, statement)
            if not even_unchanged and _is_fresh(statement, heads, now):
                return None
            known = await self._notary.mark()
            marks = (kept, known.mark, self._mark)
            self._warn_of_missing(kept, marks)
            signed = await self._notary.sign(next_statement(marks, heads, now, statement))
            # OpenBao may have answered after the session ended and another process signed. The
            # session may also end now, so the store of the statements checks the number again.
            await turn.confirm()
            if not await asyncio.to_thread(self._heads.append, signed):
                log.warning("audit.turn_lost", number=signed.statement.number)
                return None
            self._mark = Mark.of(signed)
            if not await self._notary.keep_mark(self._mark, version=known.version):
                log.error("audit.signed_twice", number=self._mark.number)
            return signed

    def _warn_of_missing(self, kept: Mark, marks: tuple[Mark, ...]) -> None:
        """Log that statements are missing; the next one shows the gap, because numbers continue."""
        highest = max(marks, key=lambda mark: mark.number)
        if highest.number > kept.number and highest != self._missing:
            self._missing = highest
            log.error("audit.heads_missing", kept=kept.number, signed=highest.number)

    async def run(
        self, connect: Callable[[], Awaitable[asyncpg.Connection]], every_s: float
    ) -> None:
        """Sign every `every_s` seconds and when asked, until cancelled; retry after an outage."""
        while True:
            try:
                await self._listening(connect, every_s)
            except UNREACHABLE as error:
                log.warning("audit.signing_waits", error=type(error).__name__)
            await asyncio.sleep(min(every_s, RETRY_S))

    async def _listening(
        self, connect: Callable[[], Awaitable[asyncpg.Connection]], every_s: float
    ) -> None:
        connection = await connect()
        asked, clock = asyncio.Event(), asyncio.get_running_loop().time
        next_asked = clock()
        try:
            await connection.add_listener(CHANNEL, lambda *_: asked.set())
            while not connection.is_closed():
                even_unchanged = asked.is_set()
                asked.clear()
                await self.sign(even_unchanged=even_unchanged)
                if even_unchanged:
                    next_asked = clock() + ASKED_EVERY_S
                with suppress(TimeoutError):
                    await asyncio.wait_for(asked.wait(), every_s)
                    # Requests that arrive before it ends get the same statement.
                    await asyncio.sleep(next_asked - clock())
        finally:
            connection.terminate()
