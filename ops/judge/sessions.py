"""Compares auth's sessions in PostgreSQL with Valkey: refresh tokens and revoked sessions.

A session and its keys in Valkey are not written in one step, so what changed in the last seconds is
skipped, and differences that auth removes within SETTLE_S do not count. All reading is by pages.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from ops.judge.findings import Findings, Kind
from ops.judge.stores import AUTH_DATABASE, PAGE_ROWS, Stores, queries
from ops.waiting import scaled_s
from services.auth.families import LOGIN_ENDS_MS
from services.chassis.revocations import KEPT_S, SET, TOKEN_LIFE_S
from services.kernel.clock import utc_now

SETTLE_S = 6.0
"""How long auth may take to repair Valkey. It compares every two seconds."""
POLL_S = 0.5
JUST_NOW = timedelta(seconds=5)
"""An end of a session that is not older than this may not be in Valkey yet."""
LOGIN_ENDS = timedelta(milliseconds=2 * LOGIN_ENDS_MS)
"""A login writes the refresh tokens before the row. After LOGIN_ENDS_MS, auth deletes the tokens of
a login that wrote no row; the other half is for a backlog of that work."""
MATTERS = timedelta(seconds=KEPT_S)
TOKEN_LIFE = timedelta(seconds=TOKEN_LIFE_S)
"""How long an access token lives, so how long a revoked session must be in the set."""
FIRST_ID = uuid.UUID(int=0)
_UUID_TIME_VERSION = 7


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One comparison of all sessions."""

    connection: asyncpg.Connection
    valkey: Any
    """A client of Valkey as the judge's user. It is untyped, because the types of its methods
    include those of its blocking twin."""
    findings: Findings

    async def run(self) -> None:
        """Compare the refresh tokens, then the open sessions, then those that ended recently."""
        await self._families()
        await self._open_sessions()
        await self._ended_sessions()

    async def _families(self) -> None:
        """Check that refresh tokens belong to an open session, its customer and its device."""
        async for ids in self._scanned():
            owners = await self._owners(ids)
            known = [one for one in ids if _is_uuid(one)]
            rows = await self.connection.fetch(queries("auth").sessions_of, known, JUST_NOW)
            sessions = {row["session_id"]: row for row in rows}
            for session_id, owner in zip(ids, owners, strict=True):
                # The tokens may have expired since the scan.
                if owner is not None:
                    self.findings.checked["refresh_token_families"] += 1
                    self._compare_family(session_id, owner, sessions.get(session_id))

    def _compare_family(
        self, session_id: str, owner: dict[str, str], row: asyncpg.Record | None
    ) -> None:
        if row is None:
            if not _may_be_in_a_login(session_id):
                self.findings.add(Kind.FAMILY_UNKNOWN, None, owner, session_id=session_id)
        elif row["is_ended"]:
            ended = f"ended {row['end_time'] or row['expire_time']}"
            self.findings.add(Kind.FAMILY_ENDED, ended, owner, session_id=session_id)
        else:
            expected = {name: row[name] for name in owner}
            if owner != expected:
                self.findings.add(Kind.FAMILY_OWNER, expected, owner, session_id=session_id)

    async def _scanned(self) -> AsyncIterator[list[str]]:
        """Yield pages of the ids of sessions with refresh tokens; an id may come twice."""
        cursor = -1
        while cursor != 0:
            position = max(cursor, 0)
            cursor, keys = await self.valkey.scan(position, "family:*", PAGE_ROWS, "HASH")
            if keys:
                names = (key.decode(errors="replace") for key in keys)
                yield [name.partition(":")[2] for name in names]

    async def _owners(self, session_ids: Sequence[str]) -> list[dict[str, str] | None]:
        """Return whose refresh tokens they are; None for tokens that do not exist."""
        names = ("customer_id", "device_id")
        async with self.valkey.pipeline(transaction=False) as pipe:
            for session_id in session_ids:
                pipe.hmget(f"family:{session_id}", *names)
            answers: list[list[bytes | None]] = await pipe.execute()
        return [
            {name: (value or b"").decode() for name, value in zip(names, values, strict=True)}
            if any(values)
            else None
            for values in answers
        ]

    async def _open_sessions(self) -> None:
        """Count open sessions, and those without refresh tokens, whose customers log in again.

        An open session that is revoked is a difference.
        """
        last = FIRST_ID
        while rows := await self.connection.fetch(queries("auth").open_sessions, last, PAGE_ROWS):
            ids = [str(row["session_id"]) for row in rows]
            self.findings.checked["open_sessions"] += len(ids)
            with_tokens = sum(one is not None for one in await self._owners(ids))
            self.findings.checked["open_sessions_without_tokens"] += len(ids) - with_tokens
            await self._compare_revoked(ids)
            last = rows[-1]["session_id"]

    async def _compare_revoked(self, open_ids: Sequence[str]) -> None:
        scores = await self.valkey.zmscore(SET, open_ids)
        revoked = [one for one, score in zip(open_ids, scores, strict=True) if score is not None]
        # Those that ended since their row was read are no difference.
        for row in await self.connection.fetch(queries("auth").sessions_of, revoked, JUST_NOW):
            if row["end_time"] is None:
                one = row["session_id"]
                self.findings.add(Kind.REVOKED_OPEN, "not revoked", "revoked", session_id=one)

    async def _ended_sessions(self) -> None:
        """Check that the set has each session that ended while its access token may be valid."""
        after, last = utc_now() - MATTERS, FIRST_ID
        sql = queries("auth").ended_sessions
        while rows := await self.connection.fetch(sql, after, last, JUST_NOW, PAGE_ROWS):
            ids = [str(row["session_id"]) for row in rows]
            self.findings.checked["revoked_sessions"] += len(ids)
            for row, position in zip(rows, await self.valkey.zmscore(SET, ids), strict=True):
                self._compare_revocation(str(row["session_id"]), row["end_time"], position)
            after, last = rows[-1]["end_time"], rows[-1]["session_id"]

    def _compare_revocation(
        self, session_id: str, end_time: datetime, position: float | None
    ) -> None:
        """An entry may be gone when its time ends, with the seconds that its removal takes.

        The position of an entry is the time of the revocation in unix microseconds.
        """
        if position is None:
            if end_time + MATTERS < utc_now() + JUST_NOW:
                return
            until = None
        else:
            until = datetime.fromtimestamp(position / 1e6, UTC) + MATTERS
        needed = end_time + TOKEN_LIFE
        if until is None or until < needed:
            actual = None if until is None else f"revoked until {until}"
            self.findings.add(
                Kind.REVOCATION_LOST,
                f"revoked until {needed} or later",
                actual,
                session_id=session_id,
            )


async def compare_sessions(stores: Stores, findings: Findings) -> None:
    """Compare sessions with Valkey until they agree, for at most SETTLE_S."""
    deadline = time.monotonic() + scaled_s(SETTLE_S)
    async with AsyncExitStack() as opened:
        connection: Any = await stores.connect(AUTH_DATABASE)
        opened.push_async_callback(connection.close)
        client = await opened.enter_async_context(stores.valkey())
        while True:
            latest = Findings()
            await _Comparison(connection, client, latest).run()
            if latest.ok or time.monotonic() >= deadline:
                break
            await asyncio.sleep(POLL_S)
    findings.merge(latest)


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _may_be_in_a_login(session_id: str) -> bool:
    """Return whether the id is so new that its login may still write the row (RFC 9562, 5.7)."""
    if not _is_uuid(session_id):
        return False
    parsed = uuid.UUID(session_id)
    age_ms = utc_now().timestamp() * 1000 - (parsed.int >> 80)
    return parsed.version == _UUID_TIME_VERSION and age_ms < LOGIN_ENDS.total_seconds() * 1000
