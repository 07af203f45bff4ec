"""The judge compares auth's sessions with refresh tokens and revoked sessions in Valkey.

Other tests leave sessions in the same stores, and the judge names only some differences of each
kind, so each test begins with empty stores.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from redis.exceptions import NoPermissionError, RedisError

from ops.judge import sessions as judged
from ops.judge.findings import Findings, Kind
from ops.judge.stores import UNREADABLE, Stores
from ops.provision.valkey import OPERATOR
from ops.provision.vault import readable_paths
from services.auth.state import Session
from services.chassis import postgres as chassis_postgres
from services.kernel.clock import utc_now
from tests.integration.judge.plants_of_books import Ids
from tests.integration.judge.plants_of_sessions import RULES
from tests.integration.judge.sessions import A_MINUTE, Sessions, session_at, sessions_of
from tests.rigs.stores import PostgresStore, ValkeyStore


@pytest_asyncio.fixture
async def sessions(postgres: PostgresStore, valkey: ValkeyStore) -> AsyncGenerator[Sessions]:
    """Auth's stores, without a session."""
    operator = valkey.client(OPERATOR)
    await operator.flushdb()
    await operator.aclose()
    async with sessions_of(postgres, valkey) as sessions:
        await sessions.rows.execute("DELETE FROM auth.session")
        yield sessions


@pytest.fixture
def stores(postgres: PostgresStore, sessions: Sessions) -> Stores:
    """The two stores as the judge reads them, with its own rights."""

    async def connect(database: str) -> asyncpg.Connection:
        return await chassis_postgres.connect(
            postgres.database("bp_judge", database), "judge", 60_000
        )

    unused = sessions.store.part.socket
    return Stores(connect, "unused", unused, unused, sessions.judges_client)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No difference is given time to disappear."""
    monkeypatch.setattr(judged, "SETTLE_S", 0.0)


async def _found(stores: Stores) -> Findings:
    findings = Findings()
    await judged.compare_sessions(stores, findings)
    return findings


def _kinds(findings: Findings, ids: Ids) -> list[Kind]:
    return [one.kind for one in findings.named if one.ids == ids]


def _ids(session: Session) -> Ids:
    return {"session_id": str(session.session_id)}


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("kind", "plant"), [pytest.param(k, plant, id=plant.__name__) for k, plant in RULES]
)
async def test_each_broken_rule_is_one_difference(
    stores: Stores,
    sessions: Sessions,
    kind: Kind,
    plant: Callable[[Sessions], Awaitable[Ids]],
) -> None:
    ids = await plant(sessions)
    try:
        assert _kinds(await _found(stores), ids) == [kind]
    finally:
        await sessions.client.delete(f"family:{ids['session_id']}")
        await sessions.client.zrem("revoked", ids["session_id"])
        await sessions.rows.execute(
            "DELETE FROM auth.session WHERE session_id::text = $1", ids["session_id"]
        )


@pytest.mark.usefixtures("at_once")
async def test_sessions_in_every_allowed_state_are_no_difference(
    stores: Stores, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Open, ended, just ended but not in Valkey yet, in a login, ended so long ago that it does
    not matter, and at the end of its time, when the entry may be gone or not."""
    monkeypatch.setattr(judged, "JUST_NOW", timedelta(minutes=2))
    login = session_at(utc_now())
    await sessions.store_tokens(login)
    just_ended = await sessions.open()
    await sessions.end_row(just_ended, timedelta(0))
    at_the_end = await sessions.ended(judged.MATTERS - timedelta(seconds=3))
    await sessions.client.zrem("revoked", str(at_the_end.session_id))
    fine = [
        *(await sessions.open(), await sessions.ended(4 * A_MINUTE)),
        await sessions.ended(60 * A_MINUTE),
        *(login, just_ended, at_the_end),
    ]
    findings = await _found(stores)
    assert [_kinds(findings, _ids(session)) for session in fine] == [[]] * len(fine)


@pytest.mark.usefixtures("at_once")
async def test_a_session_that_ends_while_the_judge_reads_is_no_difference(
    stores: Stores, sessions: Sessions
) -> None:
    """It ends after its row was read, and before the set is read."""
    session = await sessions.open()
    client: Any = sessions.judges_client()
    read = client.zmscore

    async def ends_first(*asked: Any) -> Any:
        await sessions.end_row(session, timedelta(0))
        await sessions.revoke(session)
        return await read(*asked)

    client.zmscore = ends_first
    findings = await _found(replace(stores, valkey=lambda: client))
    assert findings.checked["open_sessions"] == 1
    assert _kinds(findings, _ids(session)) == []


@pytest.mark.usefixtures("at_once")
async def test_an_open_session_whose_tokens_were_lost_is_counted(
    stores: Stores, sessions: Sessions
) -> None:
    """The customer has to log in again, which is no difference."""
    before = (await _found(stores)).checked["open_sessions_without_tokens"]
    lost = await sessions.open()
    await sessions.end_tokens(lost)
    findings = await _found(stores)
    assert findings.checked["open_sessions_without_tokens"] == before + 1
    assert not _kinds(findings, _ids(lost))


async def test_a_difference_that_auth_removes_in_time_is_none(
    stores: Stores, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first comparison finds it. Then auth restores what Valkey lost."""
    lost = await sessions.ended()
    await sessions.client.zrem("revoked", str(lost.session_id))
    waited: list[float] = []

    async def repaired(seconds: float) -> None:
        waited.append(seconds)
        await sessions.revoke(lost)

    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "sleep", repaired)
        patch.setattr(judged, "SETTLE_S", 60.0)
        findings = await _found(stores)
    assert waited
    assert not _kinds(findings, _ids(lost))


@pytest.mark.usefixtures("at_once")
async def test_all_pages_are_read(
    stores: Stores, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judged, "PAGE_ROWS", 2)
    before = (await _found(stores)).checked
    broken = [await sessions.open() for _ in range(5)]
    lost = [await sessions.ended() for _ in range(5)]
    for one in broken:
        await sessions.revoke(one)
    await sessions.client.zrem("revoked", *(str(one.session_id) for one in lost))
    findings = await _found(stores)
    assert findings.checked["open_sessions"] == before["open_sessions"] + 5
    assert findings.checked["refresh_token_families"] >= before["refresh_token_families"] + 5
    assert findings.checked["revoked_sessions"] == before["revoked_sessions"] + 5
    assert [_kinds(findings, _ids(one)) for one in broken] == [[Kind.REVOKED_OPEN]] * 5
    assert [_kinds(findings, _ids(one)) for one in lost] == [[Kind.REVOCATION_LOST]] * 5
    await sessions.client.zrem("revoked", *(str(one.session_id) for one in broken))
    for one in lost:
        await sessions.revoke(one)


async def test_the_judge_only_reads_and_only_these_keys(sessions: Sessions) -> None:
    session = await sessions.open()
    family = f"family:{session.session_id}"
    await sessions.client.set("session:1", "secret", ex=60)
    judge = sessions.judges_client()
    async with judge:
        assert await judge.hmget(family, "customer_id") == [str(session.customer_id).encode()]
        assert await judge.execute_command("ZMSCORE", "revoked", "unknown") == [None]
        for refused in (
            judge.get("session:1"),
            judge.hmget("session:1", "customer_id"),
            judge.hmget("refresh:1", "x"),
            judge.hset(family, "customer_id", "x"),
            judge.delete(family),
            judge.lrange(f"{family}:tokens", 0, -1),
            judge.zadd("revoked", {"x": 1}),
            judge.keys("*"),
            judge.flushall(),
            judge.eval("return redis.call('HGETALL', KEYS[1])", 1, family),
            judge.execute_command("ACL", "LIST"),
            judge.config_get("*"),
        ):
            with pytest.raises(NoPermissionError):
                await refused


def test_only_bpctl_reads_the_secret_of_the_judges_login() -> None:
    secret = "secret/data/valkey/judge"
    assert [name for name, paths in readable_paths().items() if secret in paths] == ["bpctl"]


def test_errors_of_valkey_mean_that_a_store_is_unreadable() -> None:
    assert issubclass(RedisError, UNREADABLE)
