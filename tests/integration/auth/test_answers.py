"""The answers of completed logins in Valkey: who can read them, and until when."""

from collections.abc import AsyncGenerator

import pytest_asyncio

from services.auth.answers import KEPT_S, Answers, answer_key, request_digest
from services.auth.login_sessions import session_digest, session_key
from services.auth.results import LoggedIn
from services.auth.state import ShownDevice
from services.kernel.clock import utc_now
from services.kernel.ids import new_id
from tests.integration.auth.logins import (
    Logins,
    dump_of,
    expire,
    login_session,
    new_pair,
    new_token,
    opened,
)
from tests.rigs.stores import ValkeyStore

REQUEST = request_digest(b"a picture", "Phone")


@pytest_asyncio.fixture
async def logins(valkey: ValkeyStore) -> AsyncGenerator[Logins]:
    """Auth's adapters over a client of its own."""
    async with opened(valkey) as logins:
        yield logins


def new_answer() -> LoggedIn:
    """Return the answer of a login with a new device."""
    now = utc_now()
    device = ShownDevice(new_id(), "Phone", has_key=False, create_time=now, last_login_time=now)
    return LoggedIn(new_pair(), device, new_token())


async def test_the_same_request_gets_the_same_answer_and_another_request_none(
    logins: Logins,
) -> None:
    answers, answer = Answers(logins.client), new_answer()
    session_id = await logins.sessions.begin(login_session())
    assert await answers.read(session_id, REQUEST) is None
    await answers.keep(session_id, REQUEST, answer)
    await logins.client.delete(session_key(session_digest(session_id)))
    assert [await answers.read(session_id, REQUEST) for _ in range(2)] == [answer, answer]
    assert await answers.read(session_id, request_digest(b"another picture", "Phone")) is None
    assert await answers.read(new_token(), REQUEST) is None


async def test_an_answer_is_kept_for_a_minute(logins: Logins) -> None:
    answers, session_id = Answers(logins.client), new_token()
    await answers.keep(session_id, REQUEST, new_answer())
    assert 0 < await logins.client.pttl(answer_key(session_id)) <= KEPT_S * 1000
    await expire(logins.client, answer_key(session_id))
    assert await answers.read(session_id, REQUEST) is None


async def test_an_answer_that_is_moved_to_another_session_is_not_read(logins: Logins) -> None:
    answers, session_id, other = Answers(logins.client), new_token(), new_token()
    await answers.keep(session_id, REQUEST, new_answer())
    await logins.client.rename(answer_key(session_id), answer_key(other))
    assert await answers.read(other, REQUEST) is None


async def test_a_look_into_valkey_gives_no_token_of_an_answer(
    logins: Logins, valkey: ValkeyStore
) -> None:
    answer, session_id = new_answer(), new_token()
    await Answers(logins.client).keep(session_id, REQUEST, answer)
    stored = await dump_of(valkey)
    pair = answer.pair
    for secret in (session_id, pair.access_token, pair.refresh_token, answer.device_token):
        assert secret.encode() not in stored
