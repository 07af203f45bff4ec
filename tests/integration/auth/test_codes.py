"""One-time codes in Valkey: one use, few tries, bound to their session and purpose."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from typing import ClassVar

import pytest
import pytest_asyncio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule, run_state_machine_as_test

from services.auth import codes as codes_module
from services.auth.codes import Codes, Verdict, new_code
from services.auth.errors import LoginSessionInvalid
from services.auth.login_sessions import advanced, code_key, session_digest, session_key
from services.auth.state import Progress, Purpose
from tests.integration.auth.logins import (
    CODE_KEY,
    SETTINGS,
    Logins,
    dump_of,
    expire,
    login_session,
    logins_of,
    opened,
)
from tests.rigs.stores import ValkeyStore

TRIES = SETTINGS.otp_tries_max
RIGHT_CODE, WRONG_CODE = "123456", "654321"


@pytest_asyncio.fixture
async def logins(valkey: ValkeyStore) -> AsyncGenerator[Logins]:
    """Auth's adapters over a client of its own."""
    async with opened(valkey) as logins:
        yield logins


@pytest_asyncio.fixture
async def session_id(logins: Logins) -> str:
    """A login session whose code was sent."""
    session_id = await logins.sessions.begin(login_session())
    await logins.codes.put(session_id, Purpose.LOGIN, RIGHT_CODE)
    return session_id


async def test_a_right_code_is_used_up_when_the_session_accepts_it(
    logins: Logins, session_id: str
) -> None:
    """Until then it stays right, because the call may fail. After that, it is worthless."""
    check = logins.codes.check
    for _ in range(TRIES + 1):
        assert await check(session_id, Purpose.LOGIN, RIGHT_CODE) is Verdict.RIGHT
    session = await logins.sessions.read(session_id)
    after = advanced(session, Progress.OTP_RIGHT)
    moves = [logins.sessions.advance(session_id, session, after) for _ in range(2)]
    moved = await asyncio.gather(*moves, return_exceptions=True)
    assert moved.count(None) == 1
    assert await check(session_id, Purpose.LOGIN, RIGHT_CODE) is Verdict.SPENT


async def test_a_code_that_is_put_back_keeps_the_tries_of_both_codes(
    logins: Logins, session_id: str
) -> None:
    check = logins.codes.check
    assert await check(session_id, Purpose.LOGIN, WRONG_CODE) is Verdict.WRONG
    await logins.codes.put(session_id, Purpose.LOGIN, "111111")
    assert await check(session_id, Purpose.LOGIN, RIGHT_CODE) is Verdict.WRONG
    await logins.codes.put_back(session_id, Purpose.LOGIN, "111111")
    for _ in range(TRIES - 3):
        assert await check(session_id, Purpose.LOGIN, "111111") is Verdict.WRONG
    assert await check(session_id, Purpose.LOGIN, RIGHT_CODE) is Verdict.RIGHT


async def test_a_code_is_not_put_back_over_a_later_one(logins: Logins, session_id: str) -> None:
    await logins.codes.put(session_id, Purpose.LOGIN, "111111")
    await logins.codes.put(session_id, Purpose.LOGIN, "222222")
    await logins.codes.put_back(session_id, Purpose.LOGIN, "111111")
    assert await logins.codes.check(session_id, Purpose.LOGIN, RIGHT_CODE) is Verdict.WRONG
    assert await logins.codes.check(session_id, Purpose.LOGIN, "222222") is Verdict.RIGHT


async def test_a_code_that_was_used_is_not_put_back(logins: Logins, session_id: str) -> None:
    await logins.codes.put(session_id, Purpose.LOGIN, "111111")
    await _accepted(logins, session_id)
    await logins.codes.put_back(session_id, Purpose.LOGIN, "111111")
    assert await logins.codes.check(session_id, Purpose.LOGIN, RIGHT_CODE) is Verdict.SPENT


async def _accepted(logins: Logins, session_id: str) -> None:
    session = await logins.sessions.read(session_id)
    await logins.sessions.advance(session_id, session, advanced(session, Progress.OTP_RIGHT))


async def test_the_last_try_may_be_right(logins: Logins, session_id: str) -> None:
    """Four wrong tries, then the right code."""
    check = logins.codes.check
    wrong = [await check(session_id, Purpose.LOGIN, WRONG_CODE) for _ in range(TRIES - 1)]
    assert wrong == [Verdict.WRONG] * (TRIES - 1)
    assert await check(session_id, Purpose.LOGIN, RIGHT_CODE) is Verdict.RIGHT


async def test_after_five_wrong_tries_the_right_code_is_spent(
    logins: Logins, session_id: str
) -> None:
    """The fifth wrong try says so, and the sixth deletes the code."""
    check = logins.codes.check
    wrong = [await check(session_id, Purpose.LOGIN, WRONG_CODE) for _ in range(TRIES)]
    assert wrong == [*[Verdict.WRONG] * (TRIES - 1), Verdict.WRONG_LAST]
    assert await check(session_id, Purpose.LOGIN, RIGHT_CODE) is Verdict.SPENT
    assert not await logins.client.exists(code_key(session_digest(session_id)))


async def test_fifty_connections_get_five_compares(
    logins: Logins, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each compare is counted: a try is taken before it."""
    compares = 0
    compare = codes_module.hmac.compare_digest

    def counting(one: bytes, other: bytes) -> bool:
        nonlocal compares
        compares += 1
        return compare(one, other)

    monkeypatch.setattr(codes_module.hmac, "compare_digest", counting)
    tried = await asyncio.gather(
        *(logins.codes.check(session_id, Purpose.LOGIN, f"{n:06}") for n in range(50))
    )
    assert compares == TRIES
    assert Counter(tried) == {
        Verdict.WRONG: TRIES - 1,
        Verdict.WRONG_LAST: 1,
        Verdict.SPENT: 50 - TRIES,
    }
    assert await logins.codes.check(session_id, Purpose.LOGIN, RIGHT_CODE) is Verdict.SPENT


@pytest.mark.parametrize("purpose", [Purpose.RESET, Purpose.STEP_UP])
async def test_a_code_of_another_purpose_is_wrong(
    logins: Logins, session_id: str, purpose: Purpose
) -> None:
    """A code for a reset does not log in, and the reverse; the try counts."""
    for _ in range(TRIES - 1):
        assert await logins.codes.check(session_id, purpose, RIGHT_CODE) is Verdict.WRONG
    assert await logins.codes.check(session_id, purpose, RIGHT_CODE) is Verdict.WRONG_LAST
    assert await logins.codes.check(session_id, Purpose.LOGIN, RIGHT_CODE) is Verdict.SPENT


async def test_a_code_of_another_session_is_wrong(logins: Logins, session_id: str) -> None:
    """An attacker's own code does not open the victim's session."""
    own = await logins.sessions.begin(login_session())
    await logins.codes.put(own, Purpose.LOGIN, WRONG_CODE)
    assert await logins.codes.check(session_id, Purpose.LOGIN, WRONG_CODE) is Verdict.WRONG
    assert await logins.codes.check(own, Purpose.LOGIN, RIGHT_CODE) is Verdict.WRONG


async def test_a_stored_code_that_is_copied_to_another_session_is_wrong(
    logins: Logins, session_id: str
) -> None:
    """The MAC is bound to the session, so even a writer of Valkey cannot move it."""
    other = await logins.sessions.begin(login_session())
    stored = await logins.client.hgetall(code_key(session_digest(session_id)))
    await logins.client.hset(code_key(session_digest(other)), items=_flat(stored))
    assert await logins.codes.check(other, Purpose.LOGIN, RIGHT_CODE) is Verdict.WRONG


def _flat(fields: dict) -> list:
    return [part for pair in fields.items() for part in pair]


async def test_a_resent_code_replaces_the_earlier_one(logins: Logins, session_id: str) -> None:
    """The earlier one is wrong from then on, and the new one has all its tries."""
    for _ in range(TRIES):
        await logins.codes.check(session_id, Purpose.LOGIN, WRONG_CODE)
    await logins.codes.put(session_id, Purpose.LOGIN, "000111")
    assert await logins.codes.check(session_id, Purpose.LOGIN, RIGHT_CODE) is Verdict.WRONG
    assert await logins.codes.check(session_id, Purpose.LOGIN, "000111") is Verdict.RIGHT


async def test_a_code_lives_as_long_as_its_session(logins: Logins, session_id: str) -> None:
    """Sending again gives no longer life."""
    key, code = session_key(session_digest(session_id)), code_key(session_digest(session_id))
    assert await logins.client.pexpiretime(code) == await logins.client.pexpiretime(key)
    await logins.client.pexpire(key, 60_000)
    await logins.codes.put(session_id, Purpose.LOGIN, RIGHT_CODE)
    assert await logins.client.pexpiretime(code) == await logins.client.pexpiretime(key)


async def test_an_ended_session_gets_no_code(logins: Logins, session_id: str) -> None:
    """Nor is there a try."""
    await logins.sessions.spend(session_id, await logins.sessions.read(session_id))
    with pytest.raises(LoginSessionInvalid):
        await logins.codes.put(session_id, Purpose.LOGIN, RIGHT_CODE)
    assert await logins.codes.check(session_id, Purpose.LOGIN, RIGHT_CODE) is Verdict.SPENT
    assert not await logins.client.exists(code_key(session_digest(session_id)))


async def test_a_look_into_valkey_gives_no_code(logins: Logins, valkey: ValkeyStore) -> None:
    """All 1,000,000 codes are quickly hashed, so the MAC's key is not in Valkey."""
    session_id = await logins.sessions.begin(login_session())
    await logins.codes.put(session_id, Purpose.LOGIN, "271828")
    dump = await dump_of(valkey)
    assert b"271828" not in dump
    assert CODE_KEY not in dump
    other = Codes(logins.client, bytes(32), SETTINGS)
    assert await other.check(session_id, Purpose.LOGIN, "271828") is Verdict.WRONG


class CodeMachine(RuleBasedStateMachine):
    """Codes that are sent, tried rightly and wrongly, alone and in parallel, and expire."""

    ids = Bundle("ids")

    store: ClassVar[ValkeyStore]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.logins = logins_of(self.store.client("auth"))
        self.code: dict[str, str | None] = {}
        self.tries: dict[str, int] = {}

    @rule(target=ids)
    def begin(self) -> str:
        session_id = self.runner.run(self.logins.sessions.begin(login_session()))
        self.code[session_id], self.tries[session_id] = None, 0
        return session_id

    @rule(session_id=ids)
    def send(self, session_id: str) -> None:
        code = new_code()
        self.runner.run(self.logins.codes.put(session_id, Purpose.LOGIN, code))
        self.code[session_id], self.tries[session_id] = code, TRIES

    @rule(session_id=ids, rights=st.lists(st.booleans(), min_size=1, max_size=8))
    def try_in_parallel(self, session_id: str, rights: list[bool]) -> None:
        code, left = self.code[session_id], self.tries[session_id]
        verdicts = self._tried(session_id, [code or "0" if right else "x" for right in rights])
        wrong = verdicts.count(Verdict.WRONG) + verdicts.count(Verdict.WRONG_LAST)
        assert wrong <= left
        if code and len(rights) <= left:
            assert verdicts.count(Verdict.RIGHT) == sum(rights)
        self.tries[session_id] = left - wrong
        if Verdict.SPENT in verdicts:
            self.code[session_id] = None

    @rule(session_id=ids, other=ids)
    def try_the_code_of_another_session(self, session_id: str, other: str) -> None:
        code = self.code[other]
        if code and code != self.code[session_id]:
            assert Verdict.RIGHT not in self._tried(session_id, [code])
            self.tries[session_id] -= 1
            if self.tries[session_id] < 0:
                self.code[session_id], self.tries[session_id] = None, 0

    @rule(session_id=ids)
    def expire(self, session_id: str) -> None:
        key = code_key(session_digest(session_id))
        self.runner.run(expire(self.logins.client, key))
        self.code[session_id] = None

    def _tried(self, session_id: str, codes: list[str]) -> list[Verdict]:
        async def tried() -> list[Verdict]:
            check = self.logins.codes.check
            return await asyncio.gather(*(check(session_id, Purpose.LOGIN, c) for c in codes))

        return self.runner.run(tried())

    def teardown(self) -> None:
        self.runner.run(self.logins.client.aclose())
        self.runner.close()


def test_no_order_of_tries_gets_more_than_the_limit(valkey: ValkeyStore) -> None:
    """A state machine on a real Valkey."""
    CodeMachine.store = valkey
    run_state_machine_as_test(
        CodeMachine, settings=settings(max_examples=15, stateful_step_count=20)
    )
