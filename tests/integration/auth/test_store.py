"""Users, devices and sessions: what one login writes, and what two logins at once may do."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from bp.auth.v1.auth_events_pb2 import AuthEvent

from ops.waiting import until
from services.auth import events_out
from services.auth.errors import (
    AssertionInvalid,
    DeviceNotFound,
    LoginSessionInvalid,
    SessionNotFound,
)
from services.auth.factor_store import columns_of
from services.auth.state import EndCause, Factor, KeyUse
from services.auth.store import Ending, Store
from tests.integration.auth.conftest import PASSWORD_HASH, User, log_in, new_device, origin

NEW_HASH = b"$2b$12$" + b"n" * 53
MANY_USERS = """
INSERT INTO auth.users
    (customer_id, email_index, email_sealed, phone_index, phone_sealed, locale, password_hash)
SELECT uuidv7(), sha256(n::text::bytea), 'e', sha256('phone'), 'p', 'es', $1
FROM generate_series(1, 2000) AS n
"""
FAILED_ATTEMPTS = "SELECT failed_attempts FROM auth.users WHERE customer_id = $1"
EVENTS_OF = "SELECT payload FROM auth.event WHERE key = $1 ORDER BY id"


async def _events(pool: asyncpg.Pool, key: uuid.UUID) -> list[str]:
    """The names of a customer's events in their order."""
    rows = await pool.fetch(EVENTS_OF, key)
    return [str(AuthEvent.FromString(row["payload"]).WhichOneof("event")) for row in rows]


def _failed(customer_id: uuid.UUID | None) -> events_out.Prepared:
    return events_out.login_failed(origin(), customer_id, Factor.PASSWORD, "CREDENTIALS_INVALID")


async def test_a_user_is_found_by_the_index_of_the_address(store: Store, user: User) -> None:
    found = await store.user_by_email(user.email_index)
    assert found is not None
    assert (found.customer_id, found.password_hash, found.has_totp) == (
        user.customer_id,
        PASSWORD_HASH,
        False,
    )
    assert await store.user(user.customer_id) == found
    assert await store.user_by_email(b"x" * 32) is None
    contact = await store.contact(user.customer_id)
    assert contact is not None
    assert (contact.email_sealed, contact.phone_sealed) == ("e", "p")


async def test_wrong_passwords_are_counted_and_an_unknown_address_writes_its_event_too(
    store: Store, user: User, pool: asyncpg.Pool
) -> None:
    await asyncio.gather(
        *(store.note_failure(user.email_index, [_failed(user.customer_id)]) for _ in range(12))
    )
    assert await pool.fetchval(FAILED_ATTEMPTS, user.customer_id) == 12
    assert await _events(pool, user.customer_id) == ["login_failed"] * 12
    stranger = _failed(None)
    await store.note_failure(b"unknown".ljust(32), [stranger])
    assert await _events(pool, stranger.key) == ["login_failed"]


async def test_ids_of_a_customers_events_are_drawn_in_the_order_of_the_commits(
    store: Store, user: User, pool: asyncpg.Pool
) -> None:
    """A wrong code is no change of a row, but its event waits for a change that is running."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1"
    async with pool.acquire() as other:
        async with other.transaction():
            await other.execute(
                "UPDATE auth.users SET last_login = now() WHERE customer_id = $1", user.customer_id
            )
            wrong = asyncio.create_task(store.append([_failed(user.customer_id)]))

            async def has_waited_or_written() -> bool:
                return wrong.done() or await pool.fetchval(waits, "%auth.event%") > 0

            await until(has_waited_or_written)
            assert not wrong.done()
            unlocked = events_out.login_unlocked(origin(), user.customer_id)
            await other.execute(store._queries.append, *columns_of([unlocked]))
        await wrong
    assert await _events(pool, user.customer_id) == ["login_unlocked", "login_failed"]


async def test_a_login_resets_the_failures_and_writes_session_device_and_events(
    store: Store, user: User, pool: asyncpg.Pool
) -> None:
    await store.note_failure(user.email_index, [_failed(user.customer_id)])
    last_login = "SELECT last_login FROM auth.users WHERE customer_id = $1"
    assert await pool.fetchval(last_login, user.customer_id) is None
    device = new_device("Ana's phone")
    added = events_out.device_added(origin(), user.customer_id, device.device_id, "Ana's phone")
    session_id, ended = await log_in(store, user, device, events=[added])
    assert ended == []
    session = await store.session(user.customer_id, session_id, datetime.now(UTC))
    assert (session.device_id, session.device_name) == (device.device_id, "Ana's phone")
    known = await store.device_by_token(device.token_hash)
    assert known is not None
    assert known.device_id == device.device_id
    assert await pool.fetchval(FAILED_ATTEMPTS, user.customer_id) == 0
    assert await pool.fetchval(last_login, user.customer_id) == known.last_login_time
    assert await _events(pool, user.customer_id) == ["login_failed", "device_added"]


async def test_parallel_logins_leave_the_newest_sessions_and_end_each_other_once(
    store: Store, user: User, pool: asyncpg.Pool
) -> None:
    done = await asyncio.gather(*(log_in(store, user, sessions_max=3) for _ in range(16)))
    ended = [session.session_id for _, surplus in done for session in surplus]
    now = datetime.now(UTC)
    open_now = [s.session_id for s in await store.sessions(user.customer_id, None, now, 50)]
    assert len(open_now) == 3
    assert len(ended) == len(set(ended)) == 13
    assert {session_id for session_id, _ in done} == {*ended, *open_now}
    assert await _events(pool, user.customer_id) == ["session_revoked"] * 13


async def test_sessions_and_devices_are_listed_in_pages(store: Store, user: User) -> None:
    ids = [(await log_in(store, user))[0] for _ in range(5)]
    now = datetime.now(UTC)
    first = await store.sessions(user.customer_id, None, now, 3)
    rest = await store.sessions(user.customer_id, first[-1].session_id, now, 3)
    assert [s.session_id for s in [*first, *rest]] == sorted(ids, reverse=True)
    devices = await store.devices(user.customer_id, None, 3)
    last = devices[-1]
    devices += await store.devices(user.customer_id, (last.last_login_time, last.device_id), 3)
    assert len({d.device_id for d in devices}) == 5
    times = [d.last_login_time for d in devices]
    assert times == sorted(times, reverse=True)


async def test_an_ended_or_expired_session_is_not_found_nor_another_customers(
    store: Store, user: User, new_user: Callable[[], Awaitable[User]]
) -> None:
    ended, _ = await log_in(store, user)
    running, _ = await log_in(store, user)
    end = Ending(user.customer_id, EndCause.LOGOUT, origin(), session_ids=[ended])
    assert [s.session_id for s in await store.end_sessions(end)] == [ended]
    assert await store.end_sessions(end) == []
    now = datetime.now(UTC)
    with pytest.raises(SessionNotFound):
        await store.session(user.customer_id, ended, now)
    with pytest.raises(SessionNotFound):
        await store.session(user.customer_id, running, now + timedelta(days=31))
    other = await new_user()
    with pytest.raises(SessionNotFound):
        await store.session(other.customer_id, running, now)
    theirs = replace(end, customer_id=other.customer_id, session_ids=[running])
    assert await store.end_sessions(theirs) == []
    assert await store.note_refresh(running, now)
    assert not await store.note_refresh(ended, now)


async def test_recently_ended_sessions_are_listed(store: Store, user: User) -> None:
    began = datetime.now(UTC)
    session_id, _ = await log_in(store, user)
    await store.end_sessions(Ending(user.customer_id, EndCause.GRANT_ENDED, origin()))
    recent = dict(await store.recently_ended(began - timedelta(minutes=12)))
    assert recent[session_id] >= began
    assert session_id not in dict(await store.recently_ended(datetime.now(UTC)))


async def test_a_new_password_ends_all_sessions_but_one(
    store: Store, user: User, pool: asyncpg.Pool
) -> None:
    kept, _ = await log_in(store, user)
    others = {(await log_in(store, user))[0] for _ in range(3)}
    ending = Ending(
        user.customer_id,
        EndCause.PASSWORD_CHANGED,
        origin(),
        keep=kept,
        events=[events_out.password_changed(origin(), user.customer_id, reset=False)],
    )
    ended = await store.change_password(NEW_HASH, ending, 0)
    assert {s.session_id for s in ended} == others
    assert sorted(await _events(pool, user.customer_id)) == [
        "password_changed",
        *["session_revoked"] * 3,
    ]
    assert not await store.rehash(user.customer_id, PASSWORD_HASH, NEW_HASH)
    assert await store.rehash(user.customer_id, NEW_HASH, PASSWORD_HASH)


async def test_a_removed_device_loses_its_sessions_and_frees_its_key(
    store: Store, user: User
) -> None:
    device, other = new_device(), new_device()
    gone, _ = await log_in(store, user, device)
    await log_in(store, user, other)
    known = await store.device(user.customer_id, device.device_id)
    second = await store.device(user.customer_id, other.device_id)
    key = uuid.uuid4().bytes
    await store.set_key(replace(known, credential_id=key, public_key=b"cose"), [])
    with pytest.raises(AssertionInvalid):
        await store.set_key(replace(second, credential_id=key, public_key=b"cose"), [])
    removal = Ending(
        user.customer_id, EndCause.DEVICE_REMOVED, origin(), device_id=device.device_id
    )
    assert [s.session_id for s in await store.remove_device(removal)] == [gone]
    with pytest.raises(DeviceNotFound):
        await store.remove_device(removal)
    assert await store.device_by_token(device.token_hash) is None
    await store.set_key(replace(second, credential_id=key, public_key=b"cose"), [])
    with pytest.raises(LoginSessionInvalid):
        await log_in(store, user, device.device_id)


async def test_a_login_with_a_removed_device_writes_nothing(
    store: Store, user: User, pool: asyncpg.Pool
) -> None:
    event = _failed(user.customer_id)
    with pytest.raises(LoginSessionInvalid):
        await log_in(store, user, uuid.uuid4(), events=[event])
    assert await _events(pool, user.customer_id) == []
    last_login = "SELECT last_login FROM auth.users WHERE customer_id = $1"
    assert await pool.fetchval(last_login, user.customer_id) is None


async def test_a_login_and_a_removal_of_its_device_at_once_leave_no_open_session(
    store: Store, user: User
) -> None:
    for _ in range(8):
        device = new_device()
        await log_in(store, user, device)
        removal = Ending(
            user.customer_id, EndCause.DEVICE_REMOVED, origin(), device_id=device.device_id
        )
        await asyncio.gather(
            log_in(store, user, device.device_id),
            store.remove_device(removal),
            return_exceptions=True,
        )
        now = datetime.now(UTC)
        open_now = await store.sessions(user.customer_id, None, now, 50)
        assert device.device_id not in {s.device_id for s in open_now}


async def test_of_parallel_reuses_of_a_token_one_is_reported(
    store: Store, user: User, pool: asyncpg.Pool
) -> None:
    """The customer gets one notice, and the record has one event."""
    session_id, _ = await log_in(store, user)
    session = await store.session(user.customer_id, session_id, datetime.now(UTC))
    ending = Ending(
        customer_id=user.customer_id,
        cause=EndCause.TOKEN_REUSED,
        origin=origin(),
        session_ids=[session_id],
    )
    reuses = [replace(ending, events=[events_out.token_reused(origin(), session)]) for _ in "abc"]
    ended = await asyncio.gather(*(store.end_sessions(reuse) for reuse in reuses))
    assert sorted(map(len, ended)) == [0, 0, 1]
    assert sorted(await _events(pool, user.customer_id)) == ["session_revoked", "token_reused"]


async def test_of_two_signatures_with_the_same_counter_one_is_accepted(
    store: Store, user: User
) -> None:
    device = new_device()
    await log_in(store, user, device)
    use = KeyUse(device.device_id, 0, 7)
    uses = [store.use_key(use) for _ in range(4)]
    logins = [log_in(store, user, device.device_id, key_use=use) for _ in range(4)]
    answers = await asyncio.gather(*uses, *logins, return_exceptions=True)
    assert [type(answer) for answer in answers].count(AssertionInvalid) == 7


async def test_a_login_that_is_not_stored_leaves_the_keys_counter(store: Store, user: User) -> None:
    """The app repeats its call with the same signature, whose counter must still be new."""
    device = new_device()
    await log_in(store, user, device)
    use = KeyUse(device.device_id, 0, 7)
    with pytest.raises(LoginSessionInvalid):
        await log_in(store, user, device.device_id, key_use=use, login_epoch=99)
    await log_in(store, user, device.device_id, key_use=use)
    assert (await store.device(user.customer_id, device.device_id)).sign_count == 7


async def test_the_service_adds_no_user_and_changes_no_address(
    pool: asyncpg.Pool, user: User
) -> None:
    for statement in (
        "UPDATE auth.users SET email_index = sha256('x')",
        "UPDATE auth.users SET phone_sealed = 'x'",
        "INSERT INTO auth.face (customer_id, picture_sealed) VALUES (uuidv7(), 'x')",
        "UPDATE auth.event SET payload = ''",
        "DELETE FROM auth.event",
        "DELETE FROM auth.session",
        "DELETE FROM auth.users",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)


async def test_the_stored_hashes_are_counted_by_their_cost(
    store: Store, new_user: Callable[[], Awaitable[User]]
) -> None:
    """After a change of bcrypt's cost, a dummy of the new cost would reveal every customer."""
    await new_user()
    before = await store.hashes_by_cost()
    await new_user()
    assert await store.hashes_by_cost() == {**before, 12: before[12] + 1}


async def test_of_a_large_table_a_bounded_number_of_pages_is_counted(
    store: Store, superuser: asyncpg.Pool
) -> None:
    """A whole scan of millions of users would take longer than a statement may run."""
    sql = store._queries.hashes_by_cost
    async with superuser.acquire() as connection:
        change = connection.transaction()
        await change.start()
        await connection.execute(MANY_USERS, PASSWORD_HASH)
        sampled, whole = [
            sum(row["hashes"] for row in await connection.fetch(sql, pages))
            for pages in (10, 1_000_000)
        ]
        await change.rollback()
    assert 0 < sampled < 1_000 < 2_000 <= whole
