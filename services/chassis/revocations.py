"""The sessions that auth ended while their access tokens were still valid.

Each process holds them in memory, so the boundary checks a call with one look-up. A feed reads them
from Valkey: the sorted set `revoked` has the session's id with the Unix time in milliseconds until
which a token of the session may still be valid, and the counter `revoked:version` changes with each
entry. Without the feed, calls are admitted by the entries that the process has: paying continues.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, cast

import structlog
from redis.exceptions import RedisError

from services.chassis.settings import ServiceSettings
from services.chassis.unreachable import UNREACHABLE
from services.chassis.valkey import open_valkey
from services.chassis.vault import Vault
from services.kernel.clock import utc_now

SET = "revoked"
VERSION = "revoked:version"
POLL_S = 1.0
"""How often the counter is read; a revocation applies at most this long plus two reads later."""
WHOLE_S = 60.0
"""How often the whole set is read, also if the counter did not change."""
OVERLAP_MS = 150_000
"""How far below the newest known entry a read begins: clocks of auth's hosts may differ by two
minutes, so a newer entry may have an earlier time."""
ENTRIES_MAX = 100_000
"""The largest number of entries that a process holds; it keeps those that matter longest."""
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
        self, name: str, min: float, max: str, start: int, num: int, withscores: bool, /
    ) -> Awaitable[Sequence[tuple[bytes, float]]]:
        """Return up to `num` members with their scores, the lowest score first."""
        ...


class RevokedSessions:
    """The ids of revoked sessions, each until the time from which it no longer matters."""

    def __init__(self) -> None:
        self._until_ms: dict[str, float] = {}

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._until_ms)

    def is_revoked(self, session_id: str) -> bool:
        """Return whether the session was revoked; no session has the id ""."""
        return session_id in self._until_ms

    def add(self, found: Sequence[tuple[bytes, float]]) -> None:
        """Add entries: the session's id, and the Unix time in milliseconds until it matters."""
        self._until_ms.update((each.decode(errors="replace"), until) for each, until in found)
        if len(self._until_ms) > ENTRIES_MAX:
            log.error("revocations.too_many", kept=ENTRIES_MAX)
            longest = sorted(self._until_ms.items(), key=lambda each: each[1], reverse=True)
            self._until_ms = dict(longest[:ENTRIES_MAX])

    def drop_expired(self, now_ms: float) -> None:
        """Drop the entries whose tokens have all expired."""
        self._until_ms = {each: until for each, until in self._until_ms.items() if until > now_ms}

    @property
    def newest_ms(self) -> float:
        """The latest time of an entry; 0 if there is none."""
        return max(self._until_ms.values(), default=0)


class RevocationFeed:
    """Reads revoked sessions from Valkey into `revoked`, and reports when it cannot."""

    def __init__(
        self, store: RevokedStore, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.revoked = RevokedSessions()
        self._store = store
        self._monotonic_s = monotonic_s
        self._version: bytes | None = None
        self._whole_at_s: float | None = None
        """When the whole set was last read; None if a failed read may hide a change."""
        self._read_at_s = monotonic_s()
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
        """Read what has changed; return whether Valkey answered."""
        try:
            await self._read()
        except (*UNREACHABLE, RedisError) as error:
            self._whole_at_s = None
            self._note_failure(type(error).__name__)
            return False
        self._note_success()
        return True

    async def _read(self) -> None:
        version = await self._store.get(VERSION)
        now_s = self._monotonic_s()
        whole = self._whole_at_s is None or now_s - self._whole_at_s >= WHOLE_S
        if not whole and version == self._version:
            return
        now_ms = utc_now().timestamp() * 1000
        known_ms = 0 if whole else self.revoked.newest_ms - OVERLAP_MS
        found = await self._store.zrangebyscore(
            SET, max(now_ms, known_ms), "+inf", 0, ENTRIES_MAX, True
        )
        self.revoked.add(found)
        self._version = version
        if whole:
            self.revoked.drop_expired(now_ms)
            self._whole_at_s = now_s

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
