"""What callers without a known device may cost: memory of Valkey, messages and statements."""

import asyncio
import secrets
import threading
import uuid
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from ops.waiting import until
from services.auth.counters import Tries
from services.auth.errors import CredentialsInvalid, OtpInvalid, TriesExhausted
from services.auth.handlers import login, passwords, totp
from services.auth.handlers.caller import Caller
from services.auth.handlers.factors import Attempt, attempt_of, digest_of, wrong
from services.auth.hashers import Hasher
from services.auth.password_pool import PasswordPool, QueueLimits
from services.auth.sealing import Sealer
from services.auth.state import Factor
from services.auth.store import NewDevice, Store
from services.auth.throttle import (
    FORGET_S,
    FORGET_STRANGERS_S,
    RULES,
    Lock,
    Scope,
    Subject,
    WrongTry,
    counters_of,
)
from services.chassis.settings import ServiceSettings
from services.chassis.unreachable import UNREACHABLE
from services.chassis.vault import Vault
from services.kernel.errors import RateLimited
from services.kernel.ids import new_id
from tests.integration.auth.conftest import User, log_in
from tests.integration.auth.handling import COST, Handling, Stores, call_from, handling
from tests.integration.auth.logins import new_token
from tests.rigs.mesh.proxies import free_port
from tests.rigs.stores import OpenBaoStore, PostgresStore, ValkeyStore

STRANGER = Subject(b"a" * 32, None, "192.0.2.1")
KEYS = {"blind_index_key": "0a" * 32}
UNKNOWN = "unknown@nowhere.example"
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'bp_auth'"
)


@pytest_asyncio.fixture
async def client(valkey: ValkeyStore) -> AsyncGenerator[Redis]:
    """Auth's own login."""
    made = valkey.client("auth")
    yield made
    await made.aclose()


@pytest_asyncio.fixture
async def auth(stores: Stores) -> AsyncGenerator[Handling]:
    """Auth with one customer; every partner is down. Counters are new for each test."""
    async with handling(stores) as built:
        counters = Tries(built.logins.client, secrets.token_bytes(32))
        built.deps = replace(built.deps, tries=counters)
        call_from(uuid.uuid4())
        yield built


async def _known_device(auth: Handling) -> str:
    """Let the customer complete a login with a new device; return its token."""
    user, token = await auth.user(), new_token()
    device = NewDevice(new_id(), "phone", digest_of(token))
    await log_in(auth.deps.store, User(user.customer_id, user.email_index), device)
    return token


async def test_an_address_begins_a_bounded_number_of_resets(auth: Handling) -> None:
    """Each takes memory of Valkey, and for an account also a message that the bank pays for."""
    free = RULES[Scope.ADDRESS].free
    for number in range(free):
        await passwords.forgot_password(auth.deps, f"{number}@nowhere.example", "")
    with pytest.raises(TriesExhausted):
        await passwords.forgot_password(auth.deps, UNKNOWN, "")
    await passwords.forgot_password(auth.deps, auth.person.email, await _known_device(auth))
    call_from(uuid.uuid4())
    await passwords.forgot_password(auth.deps, UNKNOWN, "")


async def test_resets_that_begin_delay_no_login_from_the_same_address(auth: Handling) -> None:
    for _ in range(RULES[Scope.ADDRESS].free):
        await passwords.forgot_password(auth.deps, UNKNOWN, "")
    neighbour = attempt_of(STRANGER.account, None, None, Factor.PASSWORD)
    await auth.deps.tries.admit(neighbour.subject, Factor.PASSWORD)


async def test_a_known_device_begins_a_bounded_number_of_resets(auth: Handling) -> None:
    token, other = await _known_device(auth), await _known_device(auth)
    for _ in range(RULES[Scope.DEVICE].free):
        await passwords.forgot_password(auth.deps, auth.person.email, token)
    with pytest.raises(TriesExhausted):
        await passwords.forgot_password(auth.deps, auth.person.email, token)
    await passwords.forgot_password(auth.deps, auth.person.email, other)


async def test_the_networks_of_an_ipv6_site_have_a_limit_together(client: Redis) -> None:
    """An attacker gets 65,536 networks of homes with one contract."""
    rules = dict(RULES)
    rules[Scope.SITE] = replace(RULES[Scope.SITE], free=7)
    tries = Tries(client, secrets.token_bytes(32), rules)
    found = []
    for number in range(7):
        subject = Subject(bytes([number]), None, f"2001:db8:1:{number}::/64")
        await tries.admit(subject, Factor.PASSWORD)
        found.append((await tries.wrong(subject, Factor.PASSWORD)).lock)
    assert [lock and lock.scope for lock in found] == [None] * 6 + [Scope.ADDRESS]
    with pytest.raises(TriesExhausted):
        await tries.admit(Subject(b"b", None, "2001:db8:1:ffff::/64"), Factor.PASSWORD)
    await tries.admit(Subject(b"b", None, "2001:db8:2:ffff::/64"), Factor.PASSWORD)


async def test_a_counter_of_strangers_lives_an_hour_while_it_has_free_tries(client: Redis) -> None:
    """Any caller can make one for an invented address, which must not fill Valkey for a day."""
    key = secrets.token_bytes(32)
    tries = Tries(client, key)
    name = counters_of(key, STRANGER, Factor.PASSWORD)[0].key
    for _ in range(RULES[Scope.STRANGERS].free - 1):
        await tries.admit(STRANGER, Factor.PASSWORD)
        await tries.wrong(STRANGER, Factor.PASSWORD)
        assert 0 < await client.pttl(name) <= FORGET_STRANGERS_S * 1000
    await tries.admit(STRANGER, Factor.PASSWORD)
    assert FORGET_STRANGERS_S * 1000 < await client.pttl(name) <= FORGET_S * 1000


@pytest_asyncio.fixture
async def busy(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[PasswordPool]:
    """A pool whose one process works, so only a known device finds a place."""
    opened = threading.Event()
    monkeypatch.setattr(Hasher, "verify", lambda *_: opened.wait(60))
    pool = PasswordPool(COST, 1, QueueLimits(1, 60.0))
    running = asyncio.create_task(pool.verify(b"", b"", known_account=b""))
    await asyncio.sleep(0)
    yield pool
    opened.set()
    assert await running
    pool.close()


@pytest.mark.parametrize("token", ["x", "é" * 43, "a" * 42, "a" * 44, "a" * 42 + "\n"])
async def test_a_text_that_is_no_device_token_costs_no_statement_while_the_queue_is_full(
    auth: Handling, postgres: PostgresStore, busy: PasswordPool, token: str
) -> None:
    """Only the database can tell whether a text of the right form is a token."""
    deps = replace(auth.deps, passwords=busy, store=await _closed_store(postgres))
    with pytest.raises(RateLimited):
        await login.login(deps, auth.person.email, "a password", token)
    with pytest.raises(asyncpg.InterfaceError):
        await login.login(deps, auth.person.email, "a password", new_token())


async def test_an_outage_uses_up_no_try_of_the_first_code_of_an_authenticator_app(
    auth: Handling, openbao: OpenBaoStore
) -> None:
    """OpenBao does not answer when auth decrypts the secret."""
    user = await auth.user()
    me = Caller(user.customer_id, uuid.uuid4(), uuid.uuid4())
    await totp.enrol_totp(auth.deps, me)
    without_openbao = replace(auth.deps, sealer=Sealer(_vault_without_server(openbao), KEYS))
    for _ in range(RULES[Scope.SESSION].free + 1):
        with pytest.raises(UNREACHABLE):
            await totp.confirm_totp(without_openbao, me, "000000")
    with pytest.raises(OtpInvalid):
        await totp.confirm_totp(auth.deps, me, "00000")


async def _closed_store(postgres: PostgresStore) -> Store:
    """Return a store whose statements fail."""
    pool = await postgres.pool("bp_auth", 1, "bp_auth")
    await pool.close()
    return Store(pool)


async def _last_free_try(auth: Handling) -> Attempt:
    """Reserve all free tries of the customer's password; the last one begins a lock."""
    user = await auth.user()
    attempt = attempt_of(user.email_index, user, None, Factor.PASSWORD)
    for _ in range(RULES[Scope.STRANGERS].free):
        await auth.deps.tries.admit(attempt.subject, attempt.factor)
    return attempt


async def test_an_outage_of_the_database_delays_the_report_of_a_lock(
    auth: Handling, postgres: PostgresStore
) -> None:
    attempt = await _last_free_try(auth)
    with pytest.raises(TriesExhausted):
        await auth.deps.tries.admit(attempt.subject, attempt.factor)
    deps = replace(auth.deps, store=await _closed_store(postgres))
    with pytest.raises(asyncpg.InterfaceError):
        await wrong(deps, attempt, CredentialsInvalid())
    report = await auth.deps.tries.wrong(attempt.subject, attempt.factor)
    assert report == WrongTry(Lock(Scope.STRANGERS, 30), refused_before=1)


async def test_a_caller_that_hangs_up_keeps_no_lock_out_of_the_events(
    auth: Handling, superuser: asyncpg.Pool
) -> None:
    attempt = await _last_free_try(auth)
    assert attempt.user is not None
    customer = attempt.user.customer_id
    row = "SELECT FROM auth.users WHERE customer_id = $1 FOR UPDATE"
    async with superuser.acquire() as connection, connection.transaction():
        await connection.execute(row, customer)
        call = asyncio.ensure_future(wrong(auth.deps, attempt, CredentialsInvalid()))
        await until(lambda: superuser.fetchval(WAITING), 60, "the event waits for the row")
        call.cancel()
        assert await superuser.fetchval(WAITING)
        assert not call.done(), "the call keeps its place while it works"
    with pytest.raises(asyncio.CancelledError):
        await call
    locked = "SELECT count(*) FROM auth.event WHERE key = $1 AND event_type = $2"
    assert await superuser.fetchval(locked, customer, "bp.auth.v1.LoginLocked") == 1


def _vault_without_server(openbao: OpenBaoStore) -> Vault:
    return Vault(
        ServiceSettings(
            service="auth",
            home=openbao.home.root,
            socket_in=Path("unused"),
            openbao_addr=f"http://127.0.0.1:{free_port()}",
            service_account_token_file=openbao.token_file("auth"),
        )
    )
