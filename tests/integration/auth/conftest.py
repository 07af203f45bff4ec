"""Auth's store as the service uses it, and users who exist for one test."""

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from services.auth.events_out import Origin
from services.auth.state import Session
from services.auth.store import Completed, NewDevice, Store
from services.chassis.settings import ServiceSettings
from services.chassis.vault import Vault
from services.kernel.ids import new_id
from tests.integration.auth.handling import Handling, Stores, call_from, handling
from tests.rigs.stores import OpenBaoStore, PostgresStore, ValkeyStore

PASSWORD_HASH = b"$2b$12$" + b"h" * 53
INSERT_USER = """
INSERT INTO auth.users
    (customer_id, email_index, email_sealed, phone_index, phone_sealed, locale, password_hash)
VALUES ($1, $2, 'e', sha256('phone'), 'p', 'es', $3)
"""


def origin(time: datetime | None = None) -> Origin:
    """A call that causes events."""
    return Origin("request-1", "", time or datetime.now(UTC))


@dataclass(frozen=True)
class User:
    """A user of one test."""

    customer_id: uuid.UUID
    email_index: bytes


async def log_in(
    store: Store, user: User, device: NewDevice | uuid.UUID | None = None, **changes: object
) -> tuple[uuid.UUID, list[Session]]:
    """Complete a login; return the session's id and the sessions that ended."""
    session_id = new_id()
    began = origin()
    found = await store.user(user.customer_id)
    facts: dict[str, object] = {
        "customer_id": user.customer_id,
        "device": device or new_device(),
        "session_id": session_id,
        "expire_time": began.time + timedelta(days=30),
        "login_epoch": found.login_epoch if found else 0,
        "sessions_max": 20,
        "origin": began,
        "events": (),
    }
    ended = await store.complete_login(Completed(**facts | changes))  # pyright: ignore
    return session_id, ended


def new_device(name: str = "phone") -> NewDevice:
    """A device that never logged in."""
    return NewDevice(new_id(), name, uuid.uuid4().bytes * 2)


@pytest_asyncio.fixture
async def pool(postgres: PostgresStore) -> AsyncGenerator[asyncpg.Pool]:
    """Connections with the rights of the service."""
    pool = await postgres.pool("bp_auth", 8, "bp_auth")
    yield pool
    await pool.close()


@pytest_asyncio.fixture
async def superuser(postgres: PostgresStore) -> AsyncGenerator[asyncpg.Pool]:
    """Connections of the superuser."""
    pool = await postgres.pool("postgres", 2, "bp_auth")
    yield pool
    await pool.close()


@pytest_asyncio.fixture
async def store(pool: asyncpg.Pool) -> Store:
    """The service's store."""
    return Store(pool)


@pytest_asyncio.fixture
async def new_user(superuser: asyncpg.Pool) -> Callable[[], Awaitable[User]]:
    """Makes a user, as the bank's onboarding does."""

    async def make() -> User:
        user = User(new_id(), uuid.uuid4().bytes * 2)
        await superuser.execute(INSERT_USER, user.customer_id, user.email_index, PASSWORD_HASH)
        return user

    return make


@pytest_asyncio.fixture
async def user(new_user: Callable[[], Awaitable[User]]) -> User:
    """One user."""
    return await new_user()


@pytest_asyncio.fixture
async def vault(openbao: OpenBaoStore) -> Vault:
    """The session of auth with OpenBao."""
    return await _session(openbao, "auth")


@pytest_asyncio.fixture
async def other_vault(openbao: OpenBaoStore) -> Vault:
    """The session of another service with OpenBao."""
    return await _session(openbao, "payments")


async def _session(openbao: OpenBaoStore, service: str) -> Vault:
    vault = Vault(
        ServiceSettings(
            service=service,
            home=openbao.home.root,
            socket_in=Path("unused"),
            openbao_addr=openbao.part.private_addr,
            service_account_token_file=openbao.token_file(service),
        )
    )
    await vault.login()
    return vault


@pytest.fixture
def stores(
    postgres: PostgresStore,
    valkey: ValkeyStore,
    openbao: OpenBaoStore,
    vault: Vault,
    store: Store,
) -> Stores:
    """What auth needs to handle calls."""
    return Stores(postgres, valkey, openbao, vault, store)


@pytest_asyncio.fixture
async def auth(stores: Stores) -> AsyncGenerator[Handling]:
    """Auth with one customer; every partner is down. The call comes from a new address."""
    async with handling(stores) as built:
        call_from(uuid.uuid4())
        yield built
