"""What ended during a long outage of Valkey is compared when it is back."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import datetime, timedelta

import asyncpg
import pytest
import pytest_asyncio
from redis.exceptions import NoPermissionError

from services.auth.revocations_out import Revocations
from services.auth.store import Store
from services.auth.upkeep import Reconciliation
from services.kernel.clock import utc_now
from tests.integration.auth.conftest import User, log_in
from tests.integration.auth.logins import App, Logins, customer_session, opened
from tests.rigs.stores import ValkeyStore

OUTAGE = timedelta(hours=3)


@pytest_asyncio.fixture
async def logins(valkey: ValkeyStore) -> AsyncGenerator[Logins]:
    """Auth's adapters."""
    async with opened(valkey) as logins:
        await logins.client.delete("revoked:compared", "revoked")
        yield logins


@pytest.fixture
def reconciliation(store: Store, logins: Logins) -> Reconciliation:
    """The comparisons of one process of auth."""
    return Reconciliation(store, logins.families, logins.revocations)


@pytest_asyncio.fixture
async def ended(store: Store, superuser: asyncpg.Pool, user: User, logins: Logins) -> App:
    """A session that ended in the database two hours ago, and has refresh tokens in Valkey."""
    session_id, _ = await log_in(store, user)
    await superuser.execute(
        "UPDATE auth.session SET end_time = $2, end_cause = 'LOGOUT' WHERE session_id = $1",
        session_id,
        utc_now() - timedelta(hours=2),
    )
    session = replace(customer_session(), session_id=session_id)
    return await App(logins, session=session).log_in()


async def _has_tokens(app: App) -> bool:
    return bool(await app.logins.client.exists(f"family:{app.session.session_id}"))


async def test_tokens_of_a_session_that_ended_during_a_long_outage_are_deleted(
    reconciliation: Reconciliation, ended: App
) -> None:
    """Valkey's last comparison is before the outage, in which the session ended."""
    await ended.logins.revocations.note_compared(utc_now() - OUTAGE)
    await reconciliation.reconcile()
    assert not await _has_tokens(ended)


async def test_what_was_compared_is_not_read_again(
    reconciliation: Reconciliation, ended: App
) -> None:
    """Only the ends of the last three minutes are compared every two seconds."""
    await ended.logins.revocations.note_compared(utc_now())
    await reconciliation.reconcile()
    assert await _has_tokens(ended)
    await ended.logins.families.end([ended.session.session_id])


@pytest.mark.parametrize("noted", [None, utc_now() - OUTAGE, utc_now() + OUTAGE])
async def test_a_comparison_is_noted(
    reconciliation: Reconciliation, logins: Logins, noted: datetime | None
) -> None:
    """Also if no process has noted one, and if a clock was ahead."""
    if noted is not None:
        await logins.revocations.note_compared(noted)
    before = utc_now()
    await reconciliation.reconcile()
    now = await logins.revocations.compared_until()
    assert now is not None
    assert before - timedelta(seconds=1) <= now <= utc_now()


async def test_a_comparison_that_fails_is_not_noted(
    store: Store, valkey: ValkeyStore, ended: App
) -> None:
    """The next one begins where the last complete one ended."""
    then = utc_now() - OUTAGE
    await ended.logins.revocations.note_compared(then)
    async with valkey.client("payments") as reader:
        broken = Reconciliation(store, ended.logins.families, Revocations(reader))
        with pytest.raises(NoPermissionError):
            await broken.reconcile()
    noted = await ended.logins.revocations.compared_until()
    assert noted == then.replace(microsecond=then.microsecond // 1000 * 1000)
