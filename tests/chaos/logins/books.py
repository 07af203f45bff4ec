"""What the bank holds about logins: session rows, families of refresh tokens, counted tries."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import orjson
from redis.asyncio import Redis

from ops.provision import valkey
from sandbox.app import App
from sandbox.seed import people
from services.auth.families import UNCONFIRMED
from services.auth.login_sessions import code_key, session_digest, session_key
from services.auth.refresh import token_digest
from tests.rigs.running_bank import Bank

LONG_AGO = "2020-01-01T00:00:00+00:00"
LIFE_MS = 300_000
_OPEN = """SELECT session_id::text FROM auth.session
WHERE end_time IS NULL AND expire_time > now() AND customer_id = $1"""

_WAITING = "SELECT count(*) FROM auth.event WHERE publish_time IS NULL AND key = $1"


@dataclass(frozen=True)
class Held:
    """The ids of a customer's sessions, as text."""

    rows: frozenset[str]
    """Open sessions in PostgreSQL."""
    families: frozenset[str]
    """Families of refresh tokens in Valkey."""


@dataclass(frozen=True)
class Books:
    """The stores of auth, read as an operator."""

    bank: Bank
    valkey: Redis

    async def of(self, app: App) -> Held:
        """Return the sessions of an app's customer in both stores."""
        return Held(await self.rows(app), await self._families(people.customer_id(app.face)))

    async def rows(self, app: App) -> frozenset[str]:
        """Return the open sessions of an app's customer in PostgreSQL."""
        found = await self.bank.rows("bp_auth", _OPEN, people.customer_id(app.face))
        return frozenset(row[0] for row in found)

    async def waiting_events(self, app: App) -> int:
        """Return how many events of an app's customer wait for Kafka."""
        ((count,),) = await self.bank.rows("bp_auth", _WAITING, people.customer_id(app.face))
        return count

    async def _families(self, customer_id: uuid.UUID) -> frozenset[str]:
        found: set[str] = set()
        async for name in self.valkey.scan_iter("family:*", count=1000):
            prefix, _, session_id = cast(bytes, name).decode().partition(":")
            owner = b"" if ":" in session_id else await self._owner(f"{prefix}:{session_id}")
            if owner == str(customer_id).encode():
                found.add(session_id)
        return frozenset(found)

    async def _owner(self, family: str) -> bytes:
        return cast(bytes, await self.valkey.hget(family, "customer_id")) or b""

    async def tries(self) -> dict[str, int]:
        """Return how many tries each counter counts now."""
        counted: dict[str, int] = {}
        async for name in self.valkey.scan_iter("tries:*", count=1000):
            text = cast(bytes, await self.valkey.get(name) or b"0")
            counted[cast(bytes, name).decode()] = int(text.split()[0])
        return {name: count for name, count in counted.items() if count}

    async def expiries(self, names: Iterable[str]) -> dict[str, int]:
        """Return when each counter expires, in Unix milliseconds."""
        return {name: int(await self.valkey.pexpiretime(name)) for name in names}

    async def now_ms(self) -> int:
        """Return Valkey's time in Unix milliseconds."""
        seconds, microseconds = await self.valkey.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def added(self, before: dict[str, int]) -> dict[str, int]:
        """Return the counters that count more tries than `before`, which `tries` returned.

        Equality is no test, because the tries of an address leak away.
        """
        now = await self.tries()
        return {name: count for name, count in now.items() if count > before.get(name, 0)}

    async def sends(self) -> dict[str, int]:
        """Return how many text messages each counter counts."""
        counted: dict[str, int] = {}
        async for name in self.valkey.scan_iter("sends:*", count=1000):
            counted[cast(bytes, name).decode()] = int(await self.valkey.get(name) or 0)
        return {name: count for name, count in counted.items() if count}

    async def end_lease(self, refresh_token: str) -> None:
        """Let the lease of a refresh that was killed end now, and not after its whole time."""
        await self.valkey.delete(f"refresh:{token_digest(refresh_token)}:lease")

    async def end_waits_for_rows(self) -> None:
        """Let auth compare new families with their rows now, and not a minute after the login."""
        names = cast(list[bytes], await self.valkey.zrange(UNCONFIRMED, 0, -1))
        for name in names:
            await self.valkey.zadd(UNCONFIRMED, {name: 1}, xx=True)

    async def renew(self) -> None:
        """Let all login sessions and codes live for another five minutes: a test with many faults
        takes longer on a busy machine."""
        for names in (session_key("*"), code_key("*")):
            async for name in self.valkey.scan_iter(names):
                await self.valkey.pexpire(name, LIFE_MS)

    async def end_wait(self, login_session_id: str) -> None:
        """Let the wait for another code end now."""
        name = session_key(session_digest(login_session_id))
        fields = orjson.loads(cast(bytes, await self.valkey.get(name)))
        changed = orjson.dumps({**fields, "next_send_time": LONG_AGO})
        await self.valkey.set(name, changed, keepttl=True)


@asynccontextmanager
async def books_of(bank: Bank) -> AsyncGenerator[Books]:
    """Open the books of a running bank."""
    client = Redis(
        unix_socket_path=bank.where["BP_VALKEY_SOCKET"],
        username=valkey.OPERATOR,
        password=valkey.password(bank.stack.credentials, valkey.OPERATOR),
    )
    async with client:
        yield Books(bank, client)
