"""The sessions that auth ended while their access tokens were still valid.

Each process holds them in memory, so the boundary checks a call with one look-up. A feed reads them
from Valkey: the sorted set `revoked` has the session's id with its position, and `revoked:version`
is the last position. Positions only grow, so the feed reads the entries after the last one that it
has, page by page, and an interrupted read continues where it stopped. No clock of another machine
counts. Without the feed, calls are admitted by the entries that the process has: paying continues.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import islice, takewhile
from typing import Protocol, cast

import structlog
from redis.exceptions import RedisError

from services.chassis.settings import ServiceSettings
from services.chassis.unreachable import UNREACHABLE
from services.chassis.valkey import open_valkey
from services.chassis.vault import Vault

SET = "revoked"
VERSION = "revoked:version"
POLL_S = 1.0
"""How often the last position is read; a revocation applies at most this long plus two reads
later."""
PAGE_MAX = 1_000
"""How many entries one read returns. The client needs milliseconds for them, and its timeout is a
second."""
RECHECK_S = 60.0
"""How often the feed begins to read the set again, one page with each poll. That finds an entry at
a position that the feed has passed: Valkey lost its last entries, and its clock was set back."""
TOKEN_LIFE_S = 600
"""The longest lifetime of an access token. Auth refuses a longer one when the provider returns it,
and the gateway with each call (`tokenLifetime`)."""
CLOCKS_S = 120
"""How far the clocks of two machines may differ, so how far the provider's may be ahead."""
EXPIRED_S = 5
"""How long the gateway still accepts a token after its expiry."""
KEPT_S = TOKEN_LIFE_S + CLOCKS_S + EXPIRED_S
"""How long an entry matters: from the end of a session until the gateway refuses its last token. A
process keeps an entry for this long after it has read it."""
ENTRIES_MAX = 100_000
"""The largest number of entries that auth writes and that a process holds. A process keeps those
that it read last; auth reports a full set."""
LOST_S = 5.0
"""Without a successful read for this long the feed counts as lost, which is an error in the log."""
REMIND_S = 60.0

log = structlog.get_logger()


class RevokedStore(Protocol):
    """The part of Valkey's client that the feed uses."""

    def get(self, name: str, /) -> Awaitable[bytes | None]:
        """Return the value of a key."""
        ...

    def zrangebyscore(
        self, name: str, min: str, max: str, start: int, num: int, withscores: bool, /
    ) -> Awaitable[Sequence[tuple[bytes, float]]]:
        """Return up to `num` members with their scores, the lowest score first."""
        ...


class RevokedSessions:
    """The ids of revoked sessions, each until its access tokens have expired."""

    def __init__(self) -> None:
        self._until_s: dict[str, float] = {}
        """In the order in which entries were added, which is the order of their times."""

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._until_s)

    def is_revoked(self, session_id: str) -> bool:
        """Return whether the session was revoked; no session has the id ""."""
        return session_id in self._until_s

    def add(self, session_ids: Iterable[bytes], until_s: float) -> None:
        """Add sessions until a time of the caller's monotonic clock; keep times of known ones."""
        for session_id in session_ids:
            self._until_s.setdefault(session_id.decode(errors="replace"), until_s)
        self._drop(islice(self._until_s, max(0, len(self._until_s) - ENTRIES_MAX)))

    def drop_expired(self, now_s: float) -> None:
        """Drop the entries whose tokens have all expired."""
        expired = takewhile(lambda each: each[1] <= now_s, self._until_s.items())
        self._drop(session_id for session_id, _ in expired)

    def _drop(self, session_ids: Iterable[str]) -> None:
        for session_id in list(session_ids):
            del self._until_s[session_id]


class RevocationFeed:
    """Reads revoked sessions from Valkey into `revoked`, and reports when it cannot."""

    def __init__(
        self, store: RevokedStore, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.revoked = RevokedSessions()
        self._store = store
        self._monotonic_s = monotonic_s
        self._position = 0.0
        """The feed has read all entries up to this position."""
        self._recheck_position: float | None = None
        """Up to which position the set was read again; None between two rounds."""
        self._recheck_at_s = self._read_at_s = monotonic_s()
        self._reported_at_s: float | None = None

    async def load(self) -> None:
        """Read everything before the process serves. Without Valkey, log an error and return."""
        if not await self.poll():
            self._report("revocations.feed_absent")

    async def run(self) -> None:
        """Read changes until the task is cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            await self.poll()

    async def poll(self) -> bool:
        """Read what has changed; return whether Valkey answered. What was read before stays."""
        try:
            await self._read()
        except (*UNREACHABLE, RedisError) as error:
            self._note_failure(type(error).__name__)
            return False
        self._note_success()
        return True

    async def _read(self) -> None:
        now_s = self._monotonic_s()
        self.revoked.drop_expired(now_s)
        version = float(await self._store.get(VERSION) or 0)
        if version < self._position:
            # Valkey lost its last entries, so new ones may be at positions that were read.
            self._position = 0.0
        while self._position < version:
            self._position = await self._read_page(self._position) or version
        await self._recheck(now_s)

    async def _recheck(self, now_s: float) -> None:
        """Read one page of the entries before the position again, if it is time."""
        if self._recheck_position is None:
            if now_s - self._recheck_at_s < RECHECK_S:
                return
            self._recheck_at_s, self._recheck_position = now_s, 0.0
        self._recheck_position = await self._read_page(self._recheck_position)

    async def _read_page(self, after: float) -> float | None:
        """Read entries after a position; return the last one's position, None at the end."""
        found = await self._store.zrangebyscore(SET, f"({after:.0f}", "+inf", 0, PAGE_MAX, True)
        self.revoked.add((session_id for session_id, _ in found), self._monotonic_s() + KEPT_S)
        return found[-1][1] if len(found) == PAGE_MAX else None

    def _note_failure(self, error: str) -> None:
        now_s = self._monotonic_s()
        last_s = self._reported_at_s
        if now_s - self._read_at_s >= LOST_S and (last_s is None or now_s - last_s >= REMIND_S):
            self._report("revocations.feed_lost", error=error)

    def _report(self, event: str, **more: str) -> None:
        now_s = self._monotonic_s()
        log.error(event, without_s=round(now_s - self._read_at_s), **more)
        self._reported_at_s = now_s

    def _note_success(self) -> None:
        if self._reported_at_s is not None:
            log.warning("revocations.feed_back", sessions=len(self.revoked))
        self._read_at_s, self._reported_at_s = self._monotonic_s(), None


@asynccontextmanager
async def revocation_feed(
    settings: ServiceSettings, vault: Vault
) -> AsyncGenerator[RevocationFeed]:
    """Open a service's feed and read everything; the caller runs it in the background."""
    valkey = open_valkey(settings, await vault.secret(f"valkey/{settings.service}"))
    try:
        # The types of the client's methods are wider: they include those of its blocking twin.
        feed = RevocationFeed(cast("RevokedStore", valkey))
        await feed.load()
        yield feed
    finally:
        await valkey.aclose()
