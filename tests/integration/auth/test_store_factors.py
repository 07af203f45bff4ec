"""Authenticator apps, recovery codes, faces and receipts: each code is right once."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from services.auth import events_out
from services.auth.errors import TotpAlreadyEnrolled, TotpNotEnrolled
from services.auth.factor_store import TotpConfirmation
from services.auth.state import Factor
from services.auth.store import Store
from tests.integration.auth.conftest import User, origin

CODES = [hashlib.sha256(str(n).encode()).digest() for n in range(10)]


def _confirmation(user: User, secret: str, codes: Sequence[bytes] = CODES) -> TotpConfirmation:
    event = events_out.factor_added(origin(), user.customer_id, Factor.AUTHENTICATOR_APP)
    now = datetime.now(UTC)
    return TotpConfirmation(user.customer_id, secret, 100, now, codes, [event])


async def _enrol(store: Store, user: User) -> None:
    await store.start_totp(user.customer_id, "secret", datetime.now(UTC))
    await store.confirm_totp(_confirmation(user, "secret"))


async def test_an_app_is_used_once_it_is_confirmed(store: Store, user: User) -> None:
    now = datetime.now(UTC)
    assert await store.totp(user.customer_id) is None
    await store.start_totp(user.customer_id, "first", now)
    await store.start_totp(user.customer_id, "second", now)
    assert await store.use_totp_step(user.customer_id, 200) is None
    with pytest.raises(TotpNotEnrolled):
        await store.confirm_totp(_confirmation(user, "first"))
    await store.confirm_totp(_confirmation(user, "second"))
    with pytest.raises(TotpAlreadyEnrolled):
        await store.start_totp(user.customer_id, "third", now)
    found = await store.user(user.customer_id)
    assert found is not None
    assert found.has_totp
    used = await store.use_totp_step(user.customer_id, 100)
    assert used is None, "the code of the confirmation"
    assert await store.use_totp_step(user.customer_id, 101) == 100


async def test_of_parallel_tries_with_the_same_time_step_one_is_accepted(
    store: Store, user: User
) -> None:
    await _enrol(store, user)
    won = await asyncio.gather(*(store.use_totp_step(user.customer_id, 101) for _ in range(16)))
    assert sorted(won, key=str) == [100, *[None] * 15]
    assert await store.use_totp_step(user.customer_id, 100) is None


async def test_of_parallel_tries_with_the_same_recovery_code_one_is_accepted(
    store: Store, user: User
) -> None:
    await _enrol(store, user)
    now = datetime.now(UTC)
    won = await asyncio.gather(
        *(store.use_recovery_code(user.customer_id, CODES[0], now) for _ in range(16))
    )
    assert won.count(True) == 1
    assert await store.use_recovery_code(user.customer_id, CODES[1], now)
    assert not await store.use_recovery_code(user.customer_id, b"x" * 32, now)


async def test_a_removed_app_takes_its_recovery_codes_with_it(
    store: Store, user: User, pool: asyncpg.Pool
) -> None:
    await _enrol(store, user)
    removed = events_out.factor_removed(origin(), user.customer_id, Factor.AUTHENTICATOR_APP)
    await store.remove_totp(user.customer_id, [removed])
    assert not await store.use_recovery_code(user.customer_id, CODES[0], datetime.now(UTC))
    with pytest.raises(TotpNotEnrolled):
        await store.remove_totp(user.customer_id, [removed])
    count = "SELECT count(*) FROM auth.event WHERE event_id = $1"
    assert await pool.fetchval(count, removed.event_id) == 1


async def test_a_picture_of_two_megabytes_is_read_and_a_larger_one_is_refused(
    store: Store, user: User, superuser: asyncpg.Pool
) -> None:
    assert await store.face(user.customer_id) is None
    insert = "INSERT INTO auth.face (customer_id, picture_sealed) VALUES ($1, $2)"
    with pytest.raises(asyncpg.CheckViolationError):
        await superuser.execute(insert, user.customer_id, "x" * (3 * 2**20 + 1))
    await superuser.execute(insert, user.customer_id, "x" * 2_000_000)
    assert await store.face(user.customer_id) == "x" * 2_000_000


async def test_an_older_receipt_does_not_replace_a_later_one(
    store: Store, pool: asyncpg.Pool
) -> None:
    now = datetime.now(UTC)
    message = f"m-{now.timestamp()}"
    await store.record_receipt(message, "DELIVERED", "", now)
    await store.record_receipt(message, "SENT", "", now - timedelta(seconds=5))
    await store.record_receipt(message, "DELIVERED", "", now)
    kept = "SELECT state FROM auth.sms_receipt WHERE message_id = $1"
    assert await pool.fetchval(kept, message) == "DELIVERED"


async def test_old_receipts_are_deleted_and_new_ones_are_kept(
    store: Store, pool: asyncpg.Pool
) -> None:
    now = datetime.now(UTC)
    old, new = f"old-{now.timestamp()}", f"new-{now.timestamp()}"
    await store.record_receipt(old, "DELIVERED", "", now - timedelta(days=31))
    await store.record_receipt(new, "DELIVERED", "", now - timedelta(days=29))
    assert await pool.fetchval("SELECT auth.delete_old(1000)") >= 1
    kept = await pool.fetch(
        "SELECT message_id FROM auth.sms_receipt WHERE message_id = ANY ($1)", [old, new]
    )
    assert [row["message_id"] for row in kept] == [new]
