"""A login that began before the password changed or the sessions were ended never completes."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from ops.waiting import until
from services.auth.errors import LoginSessionInvalid
from services.auth.state import EndCause
from services.auth.store import Ending, OperatorRequest, Store
from tests.integration.auth.conftest import PASSWORD_HASH, User, log_in, origin

NEW_HASH = b"$2b$12$" + b"n" * 53
ROUNDS = 40
REQUEST = "SELECT auth.request_by_operator($1, 'END_SESSIONS', $2, 'eva (uid 1000)', 'note')"

Ends = Callable[[Store, uuid.UUID], Awaitable[object]]


async def _change(store: Store, customer_id: uuid.UUID) -> None:
    ending = Ending(customer_id, EndCause.PASSWORD_CHANGED, origin())
    found = await store.user(customer_id)
    assert found is not None
    await store.change_password(NEW_HASH, ending, found.login_epoch)


async def _end_by_operator(store: Store, customer_id: uuid.UUID) -> None:
    request = OperatorRequest(uuid.uuid4(), "END_SESSIONS", customer_id, "eva (uid 1000)", "note")
    await store.answer_end_sessions(request, Ending(customer_id, EndCause.OPERATOR, origin()))


ENDINGS = pytest.mark.parametrize("end", [_change, _end_by_operator])


async def _epoch(store: Store, user: User) -> int:
    found = await store.user(user.customer_id)
    assert found is not None
    return found.login_epoch


async def _open_sessions(store: Store, user: User) -> set[uuid.UUID]:
    found = await store.sessions(user.customer_id, None, datetime.now(UTC), 50)
    return {session.session_id for session in found}


@ENDINGS
async def test_a_login_of_an_earlier_epoch_is_invalid_and_writes_nothing(
    store: Store, user: User, pool: asyncpg.Pool, end: Ends
) -> None:
    began = await _epoch(store, user)
    await end(store, user.customer_id)
    with pytest.raises(LoginSessionInvalid):
        await log_in(store, user, login_epoch=began)
    assert await _open_sessions(store, user) == set()
    sql = "SELECT last_login FROM auth.users WHERE customer_id = $1"
    assert await pool.fetchval(sql, user.customer_id) is None
    session_id, _ = await log_in(store, user)
    assert await _open_sessions(store, user) == {session_id}


@ENDINGS
async def test_no_session_survives_an_end_in_parallel_with_its_login(
    store: Store, user: User, end: Ends
) -> None:
    """Whichever transaction is first: the end of sessions sees the login, or refuses it."""
    for number in range(ROUNDS):
        login = log_in(store, user, login_epoch=await _epoch(store, user))
        both = [login, end(store, user.customer_id)]
        answers = await asyncio.gather(*both[:: 1 if number % 2 else -1], return_exceptions=True)
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        assert all(isinstance(error, LoginSessionInvalid) for error in errors), errors
        assert await _open_sessions(store, user) == set()


@ENDINGS
@pytest.mark.parametrize("login_first", [True, False])
async def test_a_login_that_waits_for_the_end_of_sessions_is_invalid(
    store: Store, user: User, pool: asyncpg.Pool, end: Ends, login_first: bool
) -> None:
    """Both orders of the two transactions, held by a lock of the customer's row."""
    began = await _epoch(store, user)
    async with pool.acquire() as connection:
        async with connection.transaction():
            sql = "SELECT FROM auth.users WHERE customer_id = $1 FOR NO KEY UPDATE"
            await connection.execute(sql, user.customer_id)
            login = log_in(store, user, login_epoch=began)
            steps = [login, end(store, user.customer_id)]
            tasks: list[asyncio.Future[object]] = []
            for step in steps if login_first else reversed(steps):
                tasks.append(asyncio.ensure_future(step))
                await _waits(connection, len(tasks))
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    if login_first:
        assert not any(isinstance(answer, BaseException) for answer in answers)
    else:
        assert isinstance(answers[1], LoginSessionInvalid)
    assert await _open_sessions(store, user) == set()


async def _waits(connection: Any, count: int) -> None:
    """Wait until transactions wait for the row's lock."""
    sql = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'"""

    async def waits() -> bool:
        return await connection.fetchval(sql) >= count

    await until(waits, 30, "a transaction waits for the row")


async def test_an_operators_end_of_sessions_begins_an_epoch_also_without_sessions(
    store: Store, user: User, superuser: asyncpg.Pool
) -> None:
    before = await _epoch(store, user)
    assert await superuser.fetchval(REQUEST, uuid.uuid4(), user.customer_id)
    (request,) = [
        one for one in await store.operator_requests(100) if one.customer_id == user.customer_id
    ]
    ending = Ending(user.customer_id, EndCause.OPERATOR, origin())
    assert await store.answer_end_sessions(request, ending) == []
    assert await _epoch(store, user) == before + 1


async def test_a_reset_of_an_earlier_epoch_changes_no_password(store: Store, user: User) -> None:
    """Of two codes that were sent for resets, only the first one to be used counts."""
    began = await _epoch(store, user)
    ending = Ending(user.customer_id, EndCause.PASSWORD_CHANGED, origin())
    await store.change_password(NEW_HASH, ending, began)
    session_id, _ = await log_in(store, user)
    late = replace(ending, origin=origin())
    with pytest.raises(LoginSessionInvalid):
        await store.change_password(PASSWORD_HASH, late, began)
    found = await store.user(user.customer_id)
    assert found is not None
    assert found.password_hash == NEW_HASH
    assert await _open_sessions(store, user) == {session_id}
