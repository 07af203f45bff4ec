"""The provider learns of ended sessions, after the answer, and also after its own outage."""

import uuid
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio

from services.auth.errors import SessionNotFound
from services.auth.grants import ENDED, GrantCipher
from services.auth.handlers import tokens
from services.auth.handlers.caller import Caller
from services.auth.handlers.factors import digest_of
from services.auth.refresh import Invalid
from services.auth.state import Session
from services.auth.store import NewDevice
from services.kernel.clock import utc_now
from services.kernel.ids import new_id
from tests.integration.auth.conftest import User, log_in
from tests.integration.auth.handling import Handling, Stores, call_from, handling
from tests.integration.auth.logins import CODE_KEY, App, Logins, dump_of, opened
from tests.rigs.stores import ValkeyStore

CIPHER = GrantCipher(CODE_KEY)


@pytest_asyncio.fixture
async def logins(valkey: ValkeyStore) -> AsyncGenerator[Logins]:
    """Auth's adapters, without grants of other tests."""
    async with opened(valkey) as logins:
        await logins.client.delete(ENDED)
        yield logins


@pytest_asyncio.fixture
async def auth(logins: Logins, stores: Stores) -> AsyncGenerator[Handling]:
    """Auth with one customer; the OAuth provider is down."""
    async with handling(stores) as built:
        yield built


async def _waiting(logins: Logins) -> dict[uuid.UUID, str]:
    """Return the refresh tokens that the provider must still revoke, by their session."""
    found: Any = await logins.client.hgetall(ENDED)
    ids = {uuid.UUID(name.decode()): sealed for name, sealed in found.items()}
    return {session_id: CIPHER.unseal(session_id, sealed) for session_id, sealed in ids.items()}


async def test_the_newest_token_of_an_ended_family_waits_for_its_revocation(
    logins: Logins,
) -> None:
    first, second = await App(logins).log_in(), await App(logins).log_in()
    pair = await second.refresh(second.token)
    await logins.families.end([first.session.session_id, second.session.session_id])
    waiting = {
        first.session.session_id: first.token,
        second.session.session_id: pair.refresh_token,
    }
    assert await _waiting(logins) == waiting
    await logins.families.end([first.session.session_id, uuid.uuid4()])
    assert await _waiting(logins) == waiting
    assert await logins.client.pttl(ENDED) > 0


async def test_a_reader_of_valkey_gets_no_token_of_a_grant(
    logins: Logins, valkey: ValkeyStore
) -> None:
    """Neither while the session is open nor after its end."""
    app = await App(logins).log_in()
    pair = await app.refresh(app.token)
    before = await dump_of(valkey)
    await logins.families.end([app.session.session_id])
    for token in (app.token, pair.refresh_token):
        assert token.encode() not in before + await dump_of(valkey)


async def _logged_in(auth: Handling) -> tuple[App, Caller]:
    """Write what a login writes, without the provider."""
    user, now = await auth.user(), utc_now()
    app = App(auth.logins)
    device = NewDevice(new_id(), "phone", digest_of(app.device_token))
    session_id, _ = await log_in(auth.deps.store, User(user.customer_id, user.email_index), device)
    expire_time = app.session.expire_time
    app.session = Session(
        session_id, user.customer_id, device.device_id, "phone", now, now, expire_time
    )
    call_from(uuid.uuid4())
    return await app.log_in(), Caller(user.customer_id, session_id, device.device_id)


async def test_a_logout_is_done_while_the_provider_is_down_and_its_grant_waits(
    logins: Logins, auth: Handling
) -> None:
    app, me = await _logged_in(auth)
    await tokens.logout(auth.deps, me)
    assert await app.begin(app.token) == Invalid()
    with pytest.raises(SessionNotFound):
        await auth.deps.store.session(me.customer_id, me.session_id, utc_now())
    for _ in range(2):
        assert await auth.deps.ended_grants.revoke() == 0
        assert await _waiting(logins) == {me.session_id: app.token}


async def test_a_grant_that_cannot_be_decrypted_does_not_stop_the_others(
    logins: Logins, auth: Handling
) -> None:
    """A grant that another key encrypted, for example before that key was replaced."""
    sealed = GrantCipher(b"another".ljust(32)).seal(uuid.UUID(int=7), "token")
    await logins.client.hset(ENDED, str(uuid.UUID(int=7)), sealed)  # pyright: ignore
    assert await auth.deps.ended_grants.revoke() == 1
    assert await logins.client.hlen(ENDED) == 0
