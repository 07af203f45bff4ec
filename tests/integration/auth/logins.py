"""Sessions, tokens and clients for the tests of auth's keys in Valkey."""

import secrets
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from ops.provision.valkey import OPERATOR
from services.auth.codes import Codes
from services.auth.families import Families
from services.auth.grants import GrantCipher
from services.auth.handlers.factors import digest_of
from services.auth.login_sessions import LoginSessions
from services.auth.refresh import Begun, Family, Rotate, token_digest
from services.auth.revocations_out import Revocations
from services.auth.settings import AuthSettings
from services.auth.state import LoginSession, Purpose, Session, Step, TokenPair
from services.kernel.clock import utc_now
from services.kernel.ids import new_id
from tests.rigs.stores import ValkeyStore

SETTINGS = AuthSettings(
    home=Path("unused"),
    socket_in=Path("unused"),
    openbao_addr="unused",
    service_account_token_file=Path("unused"),
)
CODE_KEY = bytes(range(32))
LIFE = timedelta(days=SETTINGS.session_days)


@dataclass(frozen=True)
class Logins:
    """What auth does in Valkey, over one client with auth's own rights."""

    client: Redis
    sessions: LoginSessions
    codes: Codes
    families: Families
    revocations: Revocations


def logins_of(client: Redis) -> Logins:
    """Return auth's adapters over a client."""
    return Logins(
        client=client,
        sessions=LoginSessions(client, SETTINGS),
        codes=Codes(client, CODE_KEY, SETTINGS),
        families=Families(client, SETTINGS, GrantCipher(CODE_KEY)),
        revocations=Revocations(client),
    )


@asynccontextmanager
async def opened(store: ValkeyStore) -> AsyncGenerator[Logins]:
    """Open auth's client, and close it at the end."""
    client = store.client("auth")
    try:
        yield logins_of(client)
    finally:
        await client.aclose()


def login_session(**changes: Any) -> LoginSession:
    """Return a new login that waits for its code."""
    expire_time = utc_now() + timedelta(seconds=SETTINGS.login_session_s)
    fresh = LoginSession(Purpose.LOGIN, Step.AWAITING_OTP, uuid.uuid4(), expire_time)
    return replace(fresh, **changes)


def customer_session(life: timedelta = LIFE) -> Session:
    """Return a new session of a new customer."""
    now = utc_now()
    return Session(new_id(), uuid.uuid4(), new_id(), "Phone", now, now, now + life)


def new_token() -> str:
    """Return a token as the provider or the bank makes them."""
    return secrets.token_urlsafe(32)


def new_pair() -> TokenPair:
    """Return new tokens of the provider."""
    return TokenPair(new_token(), new_token(), 600)


async def keys_of(store: ValkeyStore, pattern: str = "*") -> list[bytes]:
    """Return the keys that match, as an operator sees them."""
    operator = store.client(OPERATOR)
    try:
        found: Any = await operator.keys(pattern)
        return found
    finally:
        await operator.aclose()


async def dump_of(store: ValkeyStore) -> bytes:
    """Return all keys and their values, as an intruder would read them."""
    operator, keys = store.client(OPERATOR), await keys_of(store)
    read: dict[bytes, Callable[[Any, bytes], object]] = {
        b"string": lambda of, key: of.get(key),
        b"hash": lambda of, key: of.hgetall(key),
        b"list": lambda of, key: of.lrange(key, 0, -1),
        b"zset": lambda of, key: of.zrange(key, 0, -1),
        b"none": lambda of, key: of.get(key),  # the key has expired since it was listed
    }
    try:
        kinds, values = operator.pipeline(transaction=False), operator.pipeline(transaction=False)
        for key in keys:
            kinds.type(key)
        for key, kind in zip(keys, await kinds.execute(), strict=True):
            read[kind](values, key)
        found = [repr(value).encode() for value in await values.execute()]
        return b"\n".join([*keys, *found])
    finally:
        await operator.aclose()


async def expire(client: Redis, *keys: str) -> None:
    """End the life of keys, as time does."""
    for key in keys:
        await client.pexpire(key, 0)


@dataclass
class App:
    """What an app of a logged-in customer holds."""

    logins: Logins
    session: Session = field(default_factory=customer_session)
    device_token: str = field(default_factory=new_token)
    token: str = field(default_factory=new_token)
    """The first refresh token."""

    @property
    def family(self) -> Family:
        """Whose tokens they are."""
        return Family(self.session.session_id, self.session.customer_id, self.session.device_id)

    async def log_in(self) -> "App":
        """Store the first token."""
        await self.logins.families.create(self.session, digest_of(self.device_token), self.token)
        return self

    async def begin(self, token: str, device_token: str | None = None) -> Begun:
        """Present a token."""
        return await self.logins.families.begin(token, digest_of(device_token or self.device_token))

    async def leased(self, token: str) -> Rotate:
        """Present the current token."""
        begun = await self.begin(token)
        assert isinstance(begun, Rotate)
        assert begun.family == self.family
        return begun

    async def refresh(self, token: str) -> TokenPair:
        """Present the current token and replace it."""
        pair = new_pair()
        assert await self.logins.families.finish(await self.leased(token), pair) == pair
        return pair

    async def end_grace(self, token: str) -> None:
        """Let 30 seconds pass for a replaced token."""
        await expire(self.logins.client, f"refresh:{token_digest(token)}:successor")
