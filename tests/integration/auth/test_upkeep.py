"""Ends of sessions that Valkey lacks are repeated, after lost data or a call that failed."""

import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest
import pytest_asyncio
from redis.exceptions import NoPermissionError
from structlog.testing import capture_logs

from ops.provision.valkey import OPERATOR
from services.auth import families
from services.auth.background import Background
from services.auth.counters import Tries
from services.auth.dummies import Dummies
from services.auth.handlers.completion import complete
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.factors import digest_of
from services.auth.operator_requests import OperatorRequests
from services.auth.refresh import Invalid, Rotate
from services.auth.state import EndCause, Factor, Session, TokenPair
from services.auth.store import Completed, Ending, Store
from services.auth.upkeep import Reconciliation, Upkeep
from services.chassis.call_context import Call, current_call
from tests.integration.auth.conftest import PASSWORD_HASH, User, log_in, origin
from tests.integration.auth.logins import (
    CODE_KEY,
    SETTINGS,
    App,
    Logins,
    customer_session,
    login_session,
    logins_of,
    new_pair,
    new_token,
)
from tests.rigs.stores import PostgresStore, ValkeyStore, valkey_store

COMPARED, SET, VERSION = "revoked:compared", "revoked", "revoked:version"
REQUEST = "SELECT auth.request_by_operator($1, 'END_SESSIONS', $2, 'eva (uid 1000)', 'stolen')"

PREFIXES = (
    *("session", "otp", "tries", "resets", "refresh", "family", "sends", "faces", "revoked"),
)
CALL = Call("", "gateway", "", frozenset(), "", "request-1", "", {}, datetime.now(UTC))


@dataclass(frozen=True)
class Rig:
    """Auth's adapters over a Valkey of this module, and the comparisons of one process."""

    valkey: ValkeyStore
    logins: Logins
    requests: OperatorRequests
    reconciliation: Reconciliation


@pytest_asyncio.fixture(scope="module")
async def own_valkey(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[ValkeyStore]:
    """A Valkey that a test may stop."""
    async with valkey_store(tmp_path_factory.mktemp("upkeep") / "home") as started:
        yield started


@pytest_asyncio.fixture
async def rig(own_valkey: ValkeyStore, store: Store) -> AsyncGenerator[Rig]:
    """One process of auth."""
    client = own_valkey.client("auth")
    await client.delete(COMPARED, SET, VERSION)
    logins = logins_of(client)
    tries = Tries(client, CODE_KEY)
    requests = OperatorRequests(store, tries, logins.families, logins.revocations)
    yield Rig(
        own_valkey,
        logins,
        requests,
        Reconciliation(store, logins.families, logins.revocations),
    )
    await client.aclose()


async def _ended(store: Store, user: User, ago: timedelta) -> uuid.UUID:
    """Return a session that ended some time ago in the database only."""
    session_id, _ = await log_in(store, user)
    time = datetime.now(UTC) - ago
    await store.end_sessions(Ending(user.customer_id, EndCause.LOGOUT, origin(time)))
    return session_id


async def _missing(rig: Rig, *session_ids: uuid.UUID) -> list[uuid.UUID]:
    return await rig.logins.revocations.missing(session_ids)


async def test_a_valkey_that_lost_its_data_gets_all_ends_that_matter_with_the_next_comparison(
    rig: Rig, store: Store, user: User
) -> None:
    """Sessions that ended more than twelve minutes ago have no valid access token."""
    ago = (timedelta(minutes=13), timedelta(minutes=11), timedelta(seconds=1))
    old, early, late = [await _ended(store, user, each) for each in ago]
    await rig.reconciliation.reconcile()
    assert await _missing(rig, old, early, late) == [old]
    await rig.logins.client.delete(COMPARED, SET, VERSION)
    await rig.reconciliation.reconcile()
    assert await _missing(rig, old, early, late) == [old]


async def test_between_two_whole_comparisons_only_late_ends_are_read(
    rig: Rig, store: Store, user: User
) -> None:
    await rig.reconciliation.reconcile()
    early = await _ended(store, user, timedelta(minutes=11))
    late = await _ended(store, user, timedelta(minutes=2))
    await rig.reconciliation.reconcile()
    assert await _missing(rig, early, late) == [early]
    await rig.logins.client.pexpire(COMPARED, 0)
    await rig.reconciliation.reconcile()
    assert await _missing(rig, early, late) == []


async def test_all_logins_that_wait_for_a_comparison_are_compared_at_once(
    rig: Rig, store: Store, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than one batch; only sessions with a row keep their tokens."""
    monkeypatch.setattr(families, "FAMILIES_BATCH_MAX", 2)
    monkeypatch.setattr(families, "LOGIN_ENDS_MS", 0)
    session_id, _ = await log_in(store, user)
    stored = replace(customer_session(), session_id=session_id)
    apps = [App(rig.logins, session=stored), *(App(rig.logins) for _ in range(4))]
    for app in apps:
        await app.log_in()
    await rig.reconciliation.confirm()
    assert await rig.logins.client.zcard(families.UNCONFIRMED) == 0
    assert [type(await app.begin(app.token)) for app in apps] == [Rotate, *[Invalid] * 4]


async def test_auth_starts_although_the_costs_of_the_hashes_are_not_read(
    store: Store, pool: asyncpg.Pool
) -> None:
    """Without its connections; the loop of the process repeats it."""
    unused = cast("Any", None)
    upkeep = Upkeep(
        reconciliation=unused,
        requests=unused,
        grants=unused,
        store=store,
        dummies=Dummies(PASSWORD_HASH, 12),
        publisher=unused,
    )
    await pool.close()
    with capture_logs() as logs:
        await upkeep.prepare()
    assert [line["event"] for line in logs] == ["upkeep.dummies_not_spread"]


async def _allow_keys(rig: Rig, prefixes: tuple[str, ...]) -> None:
    """Let auth use only keys with these prefixes."""
    operator = rig.valkey.client(OPERATOR)
    keys = [f"~{prefix}*" for prefix in prefixes]
    await operator.execute_command("ACL", "SETUSER", "auth", "resetkeys", *keys)
    await operator.aclose()


async def test_a_request_of_an_operator_that_valkey_interrupted_is_completed(
    rig: Rig, store: Store, user: User, postgres: PostgresStore
) -> None:
    """Valkey refuses to end the family; the comparison finds the session and ends it."""
    session_id, _ = await log_in(store, user)
    device, token = new_token(), new_token()
    await rig.logins.families.create(
        replace(customer_session(), session_id=session_id), digest_of(device), token
    )
    operator = await postgres.session("bp_operator", "bp_auth")
    await operator.fetchval(REQUEST, uuid.uuid4(), user.customer_id)
    await operator.close()
    await _allow_keys(rig, ("revoked",))
    try:
        with pytest.raises(NoPermissionError):
            await rig.requests.carry_out()
    finally:
        await _allow_keys(rig, PREFIXES)
    await rig.reconciliation.reconcile()
    assert await _missing(rig, session_id) == []
    assert await rig.logins.families.begin(token, digest_of(device)) == Invalid()


class _Provider:
    """The provider's answer to an exchange of tokens."""

    async def exchange(self, _subject: object, *, with_refresh_token: bool) -> TokenPair:
        """Return new tokens."""
        assert with_refresh_token
        return new_pair()


class _ValkeyStops(Store):
    """Stores a login; Valkey stops right after the commit."""

    def __init__(self, pool: asyncpg.Pool, valkey: ValkeyStore) -> None:
        super().__init__(pool)
        self._valkey = valkey

    async def complete_login(self, done: Completed) -> list[Session]:
        """Commit, then stop Valkey."""
        surplus = await super().complete_login(done)
        await self._valkey.runner.stop()
        return surplus


def _deps(rig: Rig, store: Store) -> Dependencies:
    """Return what the last step of a login needs; a customer may have one session."""
    return cast(
        "Dependencies",
        SimpleNamespace(
            settings=SETTINGS.model_copy(update={"sessions_per_customer_max": 1}),
            store=store,
            families=rig.logins.families,
            revocations=rig.logins.revocations,
            provider=_Provider(),
            background=Background(),
        ),
    )


async def test_a_login_succeeds_although_valkey_stops_before_a_surplus_session_is_withdrawn(
    rig: Rig, store: Store, user: User, pool: asyncpg.Pool
) -> None:
    """A failed answer would leave an open session without an app; the comparison does the rest."""
    surplus, _ = await log_in(store, user)
    device, token = new_token(), new_token()
    await rig.logins.families.create(
        replace(customer_session(), session_id=surplus), digest_of(device), token
    )
    stored = await store.user(user.customer_id)
    assert stored is not None
    current_call.set(CALL)
    try:
        deps = _deps(rig, _ValkeyStops(pool, rig.valkey))
        session = login_session(factors=(Factor.PASSWORD,))
        done = await complete(deps, session, stored, "Phone", None)
        assert done.pair.refresh_token
        await deps.background.drain(10)
    finally:
        await rig.valkey.runner.stop()
        await rig.valkey.runner.start()
        assert await rig.valkey.runner.wait_ready()
    await rig.reconciliation.reconcile()
    assert await _missing(rig, surplus) == []
    assert await rig.logins.families.begin(token, digest_of(device)) == Invalid()
