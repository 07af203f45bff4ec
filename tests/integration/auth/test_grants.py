"""The provider learns of ended sessions, after the answer, and also after its own outage."""

import uuid
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.exceptions import ConnectionError as ValkeyConnectionError
from structlog.testing import capture_logs

from services.auth import families, grants
from services.auth.errors import SessionNotFound
from services.auth.families import Families
from services.auth.grants import BATCH_MAX, ENDED, EndedGrants, GrantCipher
from services.auth.handlers import completion, tokens
from services.auth.handlers.caller import Caller
from services.auth.handlers.factors import digest_of
from services.auth.partners.oauth import TokenProvider
from services.auth.refresh import Invalid
from services.auth.state import Factor, Session
from services.auth.store import NewDevice
from services.kernel.clock import utc_now
from services.kernel.ids import new_id
from tests.integration.auth.conftest import User, log_in
from tests.integration.auth.handling import Handling, Stores, call_from, handling
from tests.integration.auth.logins import CODE_KEY, App, Logins, dump_of, login_session, opened
from tests.integration.auth.one_answer import TOKENS, answering, oauth_account
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


async def test_the_grant_of_a_login_that_fails_waits_while_the_provider_revokes_nothing(
    logins: Logins, auth: Handling, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider answers the exchange, Valkey fails once, and then the provider fails."""
    user = await auth.user()
    call_from(uuid.uuid4())

    async def failing(*_: object) -> None:
        raise ValkeyConnectionError

    monkeypatch.setattr(Families, "create", failing)
    session = login_session(
        customer_id=user.customer_id, login_epoch=user.login_epoch, factors=(Factor.PASSWORD,)
    )
    async with answering(tmp_path, "/token", 200, TOKENS) as client:
        provider = TokenProvider(client, oauth_account())
        ended = EndedGrants(logins.client, CIPHER, provider.revoke)
        deps = replace(auth.deps, provider=provider, ended_grants=ended)
        with pytest.raises(ValkeyConnectionError):
            await completion.complete(deps, session, user, "phone", None)
    assert [*(await _waiting(logins)).values()] == ["r"]
    assert await logins.client.pttl(ENDED) > 0


async def test_a_grant_of_a_failed_login_for_which_there_is_no_room_is_logged(
    logins: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_down(_token: str) -> bool:
        return False

    monkeypatch.setattr(grants, "ENDED_MAX", 1)
    ended = EndedGrants(logins.client, CIPHER, is_down)
    with capture_logs() as logs:
        for number in (1, 2):
            await ended.end(uuid.UUID(int=number), str(number))
    assert await _waiting(logins) == {uuid.UUID(int=1): "1"}
    assert [line["event"] for line in logs] == ["grants.full"]


async def _ended(logins: Logins, count: int) -> None:
    """Let grants of ended sessions wait; session 1 has token "1", and so on."""
    for number in range(1, count + 1):
        session_id = uuid.UUID(int=number)
        sealed = CIPHER.seal(session_id, str(number))
        await logins.client.hset(ENDED, str(session_id), sealed)  # pyright: ignore


async def test_a_grant_that_the_provider_refuses_stops_no_other_of_many(logins: Logins) -> None:
    await _ended(logins, BATCH_MAX * 2 + 1)

    async def refuses_one(token: str) -> bool:
        return token != "1"

    assert await EndedGrants(logins.client, CIPHER, refuses_one).revoke() == BATCH_MAX * 2
    assert await _waiting(logins) == {uuid.UUID(int=1): "1"}


async def test_while_the_provider_is_down_it_gets_one_batch_of_requests(logins: Logins) -> None:
    """The next call repeats them."""
    await _ended(logins, BATCH_MAX + 1)
    asked: list[str] = []

    async def is_down(token: str) -> bool:
        asked.append(token)
        return False

    assert await EndedGrants(logins.client, CIPHER, is_down).revoke() == 0
    assert len(asked) == BATCH_MAX


async def test_a_grant_for_which_there_is_no_room_is_logged(
    logins: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(families, "ENDED_MAX", 1)
    apps = [await App(logins).log_in() for _ in range(3)]
    with capture_logs() as logs:
        await logins.families.end([app.session.session_id for app in apps])
    assert len(await _waiting(logins)) == 1
    (full,) = [line for line in logs if line["event"] == "grants.full"]
    assert (full["log_level"], full["dropped"]) == ("error", 2)
