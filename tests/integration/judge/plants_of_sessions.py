"""Differences planted between auth's rows and Valkey, each on its own session.

A plant returns the ids that the judge must report for it.
"""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import wraps

from ops.judge.findings import Kind
from services.auth.state import Session
from services.kernel.clock import utc_now
from tests.integration.judge.plants_of_books import Ids
from tests.integration.judge.sessions import A_MINUTE, Sessions, session_at
from tests.integration.judge.world import World


def _ids(session: Session) -> Ids:
    return {"session_id": str(session.session_id)}


async def ended_with_tokens(sessions: Sessions) -> Ids:
    session = await sessions.open()
    await sessions.end_row(session)
    await sessions.revoke(session)
    return _ids(session)


async def expired_with_tokens(sessions: Sessions) -> Ids:
    session = session_at(utc_now() - timedelta(days=1))
    await sessions.store_tokens(session)
    await sessions.store_row(replace(session, expire_time=utc_now() - A_MINUTE))
    return _ids(session)


async def long_ended_with_tokens(sessions: Sessions) -> Ids:
    session = await sessions.ended(timedelta(hours=1))
    await sessions.store_tokens(session)
    return _ids(session)


async def tokens_without_a_row(sessions: Sessions) -> Ids:
    session = session_at(utc_now() - timedelta(minutes=3))
    await sessions.store_tokens(session)
    return _ids(session)


async def tokens_without_an_id_of_the_bank(sessions: Sessions) -> Ids:
    session = replace(session_at(utc_now()), session_id=uuid.uuid4())
    await sessions.store_tokens(session)
    return _ids(session)


async def tokens_without_an_id(sessions: Sessions) -> Ids:
    await sessions.client.hset("family:no-id", "customer_id", "c")
    return {"session_id": "no-id"}


async def tokens_of_another_customer(sessions: Sessions) -> Ids:
    session = session_at(utc_now() - A_MINUTE)
    await sessions.store_tokens(replace(session, customer_id=uuid.uuid4()))
    await sessions.store_row(session)
    return _ids(session)


async def tokens_of_another_device(sessions: Sessions) -> Ids:
    session = session_at(utc_now() - A_MINUTE)
    await sessions.store_tokens(replace(session, device_id=uuid.uuid4()))
    await sessions.store_row(session)
    return _ids(session)


async def revocation_gone(sessions: Sessions) -> Ids:
    session = await sessions.ended()
    assert await sessions.client.zrem("revoked", str(session.session_id))
    return _ids(session)


async def older_revocation_gone(sessions: Sessions) -> Ids:
    """Minutes before its time ends, because the judge may read much later than this is planted."""
    session = await sessions.ended(5 * A_MINUTE)
    assert await sessions.client.zrem("revoked", str(session.session_id))
    return _ids(session)


async def revocation_ends_early(sessions: Sessions) -> Ids:
    session = await sessions.ended()
    early = utc_now() - timedelta(minutes=4)
    await sessions.client.zadd("revoked", {str(session.session_id): early.timestamp() * 1e6})
    return _ids(session)


async def open_but_revoked(sessions: Sessions) -> Ids:
    session = await sessions.open()
    await sessions.revoke(session)
    return _ids(session)


RULES: tuple[tuple[Kind, Callable[[Sessions], Awaitable[Ids]]], ...] = (
    (Kind.FAMILY_ENDED, ended_with_tokens),
    (Kind.FAMILY_ENDED, expired_with_tokens),
    (Kind.FAMILY_ENDED, long_ended_with_tokens),
    (Kind.FAMILY_UNKNOWN, tokens_without_a_row),
    (Kind.FAMILY_UNKNOWN, tokens_without_an_id_of_the_bank),
    (Kind.FAMILY_UNKNOWN, tokens_without_an_id),
    (Kind.FAMILY_OWNER, tokens_of_another_customer),
    (Kind.FAMILY_OWNER, tokens_of_another_device),
    (Kind.REVOCATION_LOST, revocation_gone),
    (Kind.REVOCATION_LOST, older_revocation_gone),
    (Kind.REVOCATION_LOST, revocation_ends_early),
    (Kind.REVOKED_OPEN, open_but_revoked),
)
"""Each plant with the kind under which the judge must find it."""


def _in_world(plant: Callable[[Sessions], Awaitable[Ids]]) -> Callable[[World], Awaitable[Ids]]:
    @wraps(plant)
    async def planted(world: World) -> Ids:
        return await plant(world.sessions)

    return planted


PLANTS = tuple((kind, _in_world(plant)) for kind, plant in RULES)
