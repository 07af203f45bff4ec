"""Sessions as auth leaves them: rows in PostgreSQL, refresh tokens and revocations in Valkey."""

import secrets
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
from redis.asyncio import Redis

from ops.provision import valkey
from services.auth.families import Families
from services.auth.grants import GrantCipher
from services.auth.revocations_out import MATTERS, Revocations
from services.auth.state import Session
from services.kernel.clock import utc_now
from services.kernel.ids import new_id
from tests.integration.auth.logins import CODE_KEY, LIFE, SETTINGS, new_token
from tests.rigs.stores import PostgresStore, ValkeyStore

A_MINUTE = timedelta(minutes=1)
_USER = """
INSERT INTO auth.users
    (customer_id, email_index, email_sealed, phone_index, phone_sealed, locale, password_hash)
VALUES ($1, sha256(uuid_send($1)), 'e', sha256('phone'), 'p', 'es', $2)
"""
_DEVICE = """
INSERT INTO auth.device
    (device_id, customer_id, device_name, token_hash, create_time, last_login_time)
VALUES ($1, $2, 'Phone', sha256(uuid_send($1)), now(), now())
"""
_SESSION = """
INSERT INTO auth.session
    (session_id, customer_id, device_id, create_time, refresh_time, expire_time)
VALUES ($1, $2, $3, $4, $4, $5)
"""
_END = "UPDATE auth.session SET end_time = $2, end_cause = 'LOGOUT' WHERE session_id = $1"
_PASSWORD_HASH = b"$2b$12$" + b"h" * 53


def id_of(time: datetime) -> uuid.UUID:
    """Return an id as the bank made it at a time."""
    milliseconds = int(time.timestamp() * 1000)
    return uuid.UUID(int=(milliseconds << 80) | (new_id().int & ((1 << 80) - 1)))


def session_at(time: datetime) -> Session:
    """Return a session that began at a time."""
    return Session(id_of(time), uuid.uuid4(), new_id(), "Phone", time, time, time + LIFE)


@dataclass(frozen=True)
class Sessions:
    """Auth's two stores."""

    rows: asyncpg.Pool
    client: Redis
    """Valkey as auth."""
    store: ValkeyStore

    def judges_client(self) -> Redis:
        """Return a client of Valkey as the judge."""
        return self.store.client(valkey.JUDGE)

    async def store_row(self, session: Session) -> None:
        """Store the row of a session, with its user and device."""
        await self.rows.execute(_USER, session.customer_id, _PASSWORD_HASH)
        await self.rows.execute(_DEVICE, session.device_id, session.customer_id)
        times = (session.create_time, session.expire_time)
        ids = (session.session_id, session.customer_id, session.device_id)
        await self.rows.execute(_SESSION, *ids, *times)

    async def store_tokens(self, session: Session) -> None:
        """Store the refresh tokens of a session."""
        await self._families().create(session, secrets.token_bytes(32), new_token())

    async def end_row(self, session: Session, ago: timedelta = A_MINUTE) -> None:
        """End the row of a session at a time in the past."""
        await self.rows.execute(_END, session.session_id, utc_now() - ago)

    async def end_tokens(self, session: Session) -> None:
        """Delete the refresh tokens of a session."""
        await self._families().end([session.session_id])

    def _families(self) -> Families:
        return Families(self.client, SETTINGS, GrantCipher(CODE_KEY))

    async def revoke(self, session: Session) -> None:
        """Add a session to the set of revoked ones."""
        await Revocations(self.client).revoke([session.session_id])

    async def open(self, ago: timedelta = A_MINUTE) -> Session:
        """Make an open session with refresh tokens."""
        session = session_at(utc_now() - ago)
        await self.store_tokens(session)
        await self.store_row(session)
        return session

    async def ended(self, ago: timedelta = A_MINUTE) -> Session:
        """Make a session that ended some time ago; it is revoked if that still matters."""
        session = await self.open(ago + A_MINUTE)
        await self.end_row(session, ago)
        await self.end_tokens(session)
        if ago < MATTERS:
            await self.revoke(session)
        return session

    async def fill(self) -> None:
        """Make a session in every state that lasts."""
        for _ in range(3):
            await self.open()
            await self.ended()
        await self.ended(timedelta(hours=1))
        await self.end_tokens(await self.open())


@asynccontextmanager
async def sessions_of(cluster: PostgresStore, store: ValkeyStore) -> AsyncGenerator[Sessions]:
    """Open auth's two stores."""
    client = store.client("auth")
    rows = await cluster.pool("postgres", 2, "bp_auth")
    try:
        yield Sessions(rows, client, store)
    finally:
        await client.aclose()
        await rows.close()
