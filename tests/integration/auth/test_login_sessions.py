"""Login sessions in Valkey: who can read and move them, and until when."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import ClassVar

import orjson
import pytest
import pytest_asyncio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from services.auth.codes import Verdict
from services.auth.errors import LoginSessionInvalid
from services.auth.login_sessions import advanced, code_key, session_digest, session_key
from services.auth.state import LOGIN, LoginSession, Progress, Purpose, Step
from services.kernel.state_table import IllegalTransition
from tests.integration.auth.logins import (
    SETTINGS,
    Logins,
    dump_of,
    expire,
    login_session,
    logins_of,
    opened,
)
from tests.rigs.stores import ValkeyStore

FORGED = ["", "x", "*", "a" * 43, "session:1", "\x00", "ñ" * 64, "../../etc"]


@pytest_asyncio.fixture
async def logins(valkey: ValkeyStore) -> AsyncGenerator[Logins]:
    """Auth's adapters over a client of its own."""
    async with opened(valkey) as logins:
        yield logins


def key_of(session_id: str) -> str:
    """Return the key of a session."""
    return session_key(session_digest(session_id))


async def test_a_session_is_read_by_its_id_until_it_ends(logins: Logins) -> None:
    """Any process can read it."""
    session = login_session(challenge=b"sign this", sends=1)
    session_id = await logins.sessions.begin(session)
    assert await logins.sessions.read(session_id) == session
    await logins.sessions.spend(session_id, replace(session, sends=2))
    assert await logins.sessions.read(session_id) == session, "another call changed it"
    await logins.sessions.spend(session_id, session)
    with pytest.raises(LoginSessionInvalid):
        await logins.sessions.read(session_id)


async def test_ids_are_long_and_never_the_same(logins: Logins) -> None:
    """256 bits in base64url are 43 characters."""
    made = {await logins.sessions.begin(login_session()) for _ in range(50)}
    assert len(made) == 50
    assert {len(session_id) for session_id in made} == {43}


async def test_a_look_into_valkey_gives_no_usable_id(logins: Logins, valkey: ValkeyStore) -> None:
    """Neither the keys nor the values contain an id, and the key itself is no id."""
    session_id = await logins.sessions.begin(login_session())
    assert session_id.encode() not in await dump_of(valkey)
    for shown in (key_of(session_id), session_digest(session_id)):
        with pytest.raises(LoginSessionInvalid):
            await logins.sessions.read(shown)


@pytest.mark.parametrize("session_id", FORGED)
async def test_a_forged_id_is_invalid(logins: Logins, session_id: str) -> None:
    """A caller cannot choose an id: reading, moving and ending it create no session."""
    session = login_session()
    with pytest.raises(LoginSessionInvalid):
        await logins.sessions.read(session_id)
    with pytest.raises(LoginSessionInvalid):
        await logins.sessions.advance(session_id, session, replace(session, sends=1))
    await logins.sessions.spend(session_id, session)
    assert not await logins.client.exists(key_of(session_id))


async def test_no_step_extends_a_session(logins: Logins) -> None:
    """It lives for five minutes from its beginning; no step extends it."""
    session = login_session()
    session_id = await logins.sessions.begin(session)
    life_ms = await logins.client.pttl(key_of(session_id))
    assert 0 < life_ms <= SETTINGS.login_session_s * 1000
    await logins.client.pexpire(key_of(session_id), 60_000)
    await logins.sessions.advance(session_id, session, replace(session, sends=1))
    assert 0 < await logins.client.pttl(key_of(session_id)) <= 60_000


async def test_an_expired_session_is_invalid(logins: Logins) -> None:
    """Valkey ends it by itself."""
    session = login_session()
    session_id = await logins.sessions.begin(session)
    await expire(logins.client, key_of(session_id))
    with pytest.raises(LoginSessionInvalid):
        await logins.sessions.advance(session_id, session, replace(session, sends=1))
    assert not await logins.client.exists(key_of(session_id))


async def test_of_parallel_steps_one_is_made(logins: Logins) -> None:
    """Two right biometric features fetch tokens once."""
    before = login_session(step=Step.AWAITING_BIOMETRIC)
    after = advanced(before, Progress.BIOMETRIC_RIGHT)
    session_id = await logins.sessions.begin(before)
    results = await asyncio.gather(
        *(logins.sessions.advance(session_id, before, after) for _ in range(20)),
        return_exceptions=True,
    )
    assert results.count(None) == 1
    assert sum(isinstance(result, LoginSessionInvalid) for result in results) == 19
    assert await logins.sessions.read(session_id) == after


async def test_a_step_from_what_the_session_no_longer_is_changes_nothing(logins: Logins) -> None:
    """The caller read it before another call moved it."""
    old = login_session()
    current = replace(old, sends=1)
    session_id = await logins.sessions.begin(old)
    await logins.sessions.advance(session_id, old, current)
    with pytest.raises(LoginSessionInvalid):
        await logins.sessions.advance(session_id, old, advanced(old, Progress.OTP_RIGHT))
    assert await logins.sessions.read(session_id) == current


@pytest.mark.parametrize("before", Step)
@pytest.mark.parametrize("after", Step)
async def test_every_pair_of_steps(logins: Logins, before: Step, after: Step) -> None:
    """A step of the table is stored, a last step deletes, and any other changes nothing."""
    session = login_session(step=before)
    session_id = await logins.sessions.begin(session)
    stays = before is after and before not in LOGIN.terminal()
    if stays or any(LOGIN.allows(before, p) and LOGIN.next(before, p) is after for p in Progress):
        await logins.sessions.advance(session_id, session, replace(session, step=after))
        expected = None if after in LOGIN.terminal() else replace(session, step=after)
    else:
        with pytest.raises(IllegalTransition):
            await logins.sessions.advance(session_id, session, replace(session, step=after))
        expected = session
    assert await read_or_none(logins, session_id) == expected


@pytest.mark.parametrize("step", LOGIN.terminal())
async def test_the_last_step_deletes_the_code_too(logins: Logins, step: Step) -> None:
    """No code survives its session."""
    before = Step.REPLACING if step is Step.COMPLETED else Step.AWAITING_OTP
    session = login_session(step=before)
    session_id = await logins.sessions.begin(session)
    await logins.codes.put(session_id, Purpose.LOGIN, "123456")
    await logins.sessions.advance(session_id, session, replace(session, step=step))
    assert not await logins.client.exists(code_key(session_digest(session_id)))


async def test_only_the_call_that_took_a_session_to_a_step_takes_it_back(logins: Logins) -> None:
    """A parallel call that lost must not let a third one in. The code of a reset is still there."""
    before = login_session(purpose=Purpose.RESET)
    session_id = await logins.sessions.begin(before)
    await logins.codes.put(session_id, Purpose.RESET, "123456")
    replacing = advanced(before, Progress.RESET_CODE_RIGHT, owner=b"winner")
    await logins.sessions.advance(session_id, before, replacing)
    await logins.sessions.give_back(session_id, b"loser")
    assert await logins.sessions.read(session_id) == replacing
    await logins.sessions.give_back(session_id, b"winner")
    assert await logins.sessions.read(session_id) == before
    assert await logins.codes.check(session_id, Purpose.RESET, "123456") is Verdict.RIGHT


async def test_an_older_version_keeps_the_fields_of_a_newer_one(logins: Logins) -> None:
    """Two neighbouring versions serve the same login."""
    session = login_session()
    session_id = await logins.sessions.begin(session)
    stored = orjson.loads(await logins.client.get(key_of(session_id)) or b"")
    newer = orjson.dumps({**stored, "risk": 7})
    await logins.client.set(key_of(session_id), newer, keepttl=True)
    after = advanced(session, Progress.OTP_RIGHT)
    await logins.sessions.advance(session_id, session, after)
    assert await logins.sessions.read(session_id) == after
    kept = orjson.loads(await logins.client.get(key_of(session_id)) or b"")
    assert kept["risk"] == 7


async def read_or_none(logins: Logins, session_id: str) -> LoginSession | None:
    """Return a session, or None when it is invalid."""
    try:
        return await logins.sessions.read(session_id)
    except LoginSessionInvalid:
        return None


class LoginMachine(RuleBasedStateMachine):
    """Sessions that begin, move, are moved from what they were, end and expire in any order."""

    ids = Bundle("ids")

    store: ClassVar[ValkeyStore]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.logins = logins_of(self.store.client("auth"))
        self.expected: dict[str, LoginSession | None] = {}
        self.former: dict[str, LoginSession] = {}

    @rule(target=ids, purpose=st.sampled_from(Purpose))
    def begin(self, purpose: Purpose) -> str:
        session = login_session(purpose=purpose)
        session_id = self.runner.run(self.logins.sessions.begin(session))
        self.expected[session_id] = self.former[session_id] = session
        return session_id

    @rule(session_id=ids, progress=st.sampled_from(Progress), sends=st.integers(0, 3))
    def advance(self, session_id: str, progress: Progress, sends: int) -> None:
        before = self.expected[session_id] or self.former[session_id]
        if not LOGIN.allows(before.step, progress):
            return
        after = advanced(before, progress, sends=sends)
        moved = self._advance(session_id, before, after)
        assert moved == (self.expected[session_id] is not None)
        if moved:
            self.former[session_id] = before
            self.expected[session_id] = None if after.step in LOGIN.terminal() else after

    @rule(session_id=ids, progress=st.sampled_from(Progress))
    def advance_from_what_it_was(self, session_id: str, progress: Progress) -> None:
        before = self.former[session_id]
        if before != self.expected[session_id] and LOGIN.allows(before.step, progress):
            assert not self._advance(session_id, before, advanced(before, progress))

    @rule(session_id=ids)
    def spend(self, session_id: str) -> None:
        session = self.expected[session_id]
        if session and LOGIN.allows(session.step, Progress.TRIES_SPENT):
            self.runner.run(self.logins.sessions.spend(session_id, session))
            self.expected[session_id] = None

    @rule(session_id=ids)
    def expire(self, session_id: str) -> None:
        self.runner.run(expire(self.logins.client, key_of(session_id)))
        self.expected[session_id] = None

    @invariant()
    def each_session_is_as_expected(self) -> None:
        for session_id, expected in self.expected.items():
            assert self.runner.run(read_or_none(self.logins, session_id)) == expected

    def _advance(self, session_id: str, before: LoginSession, after: LoginSession) -> bool:
        try:
            self.runner.run(self.logins.sessions.advance(session_id, before, after))
        except LoginSessionInvalid:
            return False
        return True

    def teardown(self) -> None:
        self.runner.run(self.logins.client.aclose())
        self.runner.close()


def test_any_order_of_steps_keeps_sessions_as_the_table_says(valkey: ValkeyStore) -> None:
    """A state machine on a real Valkey."""
    LoginMachine.store = valkey
    run_state_machine_as_test(
        LoginMachine, settings=settings(max_examples=15, stateful_step_count=20)
    )
