"""A caller hangs up at each await of each call, or the answer of each command of Valkey is lost.

Then the app repeats the call. It succeeds, and the bank has lost nothing and kept nothing twice.
"""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from pyotp import random_base32
from pyotp.totp import TOTP
from redis.exceptions import ConnectionError as ValkeyConnectionError

from ops.provision.credentials import load_or_make
from sandbox.seed import people
from services.auth.errors import TotpAlreadyEnrolled
from services.auth.faces import FaceMatch
from services.auth.handlers import login, totp
from services.auth.handlers.factors import attempt_of
from services.auth.partners.oauth import TokenProvider
from services.auth.partners.sms import SmsGateway
from services.auth.state import Factor
from services.auth.throttle import Scope, counters_of
from services.kernel.errors import DependencyUnavailable
from tests.integration.auth.handling import Stores, call_from, handling
from tests.integration.auth.repeatable_calls import (
    CALLS,
    ONCE,
    Again,
    Bank,
    bank_with_a_key,
    enrolled,
    recovery_code,
    registration,
)
from tests.rigs.login_partners import login_partners


@pytest_asyncio.fixture
async def bank(stores: Stores, pool: asyncpg.Pool, tmp_path: Path) -> AsyncGenerator[Bank]:
    """Auth whose partners work."""
    credentials = load_or_make(stores.openbao.home.secrets)
    async with (
        login_partners(tmp_path, credentials) as outside,
        handling(stores, outside.socket) as auth,
    ):
        call_from(uuid.uuid4())
        yield await bank_with_a_key(auth, outside, pool)


async def _require_events(bank: Bank, before: Counter[str], wanted: tuple[str, ...]) -> None:
    """Require that the call and its repetition have written these events, each once."""
    written = await bank.events() - before
    assert {kind: written[kind] for kind in ONCE} == {kind: int(kind in wanted) for kind in ONCE}


async def test_a_recovery_code_that_is_sent_twice_at_once_gets_the_same_answer_twice(
    bank: Bank,
) -> None:
    again = await recovery_code(bank)
    first, second = await asyncio.gather(again(), again())
    assert first == second


async def test_a_confirmation_that_is_sent_twice_at_once_is_refused_once(bank: Bank) -> None:
    """The refusal says that the app is confirmed, and not that the customer has none."""
    before, me = await bank.events(), bank.me()
    code = TOTP((await totp.enrol_totp(bank.deps, me)).secret).now()
    calls = [totp.confirm_totp(bank.deps, me, code) for _ in range(2)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(answer) for answer in answers} == {list, TotpAlreadyEnrolled}
    await _require_events(bank, before, ("factor_added",))


async def test_a_registration_that_is_sent_twice_at_once_is_stored_once(bank: Bank) -> None:
    """The second one would set the key's counter back, and report another new factor."""
    before, again = await bank.events(), await registration(bank)
    first, second = await asyncio.gather(again(), again())
    assert first == second
    await _require_events(bank, before, ("factor_added",))


@dataclass
class HangUp:
    """Awaits a call, and cancels its task at one of its awaits, as a server does.

    A server may cancel more than once: at a deadline, the gateway resets the stream, and the
    service's own timer ends too. Then the next awaits are cancelled as well.
    """

    call: Awaitable[object]
    at: int
    times: int = 1
    passed: int = 0

    def __await__(self) -> Generator[Any, Any, object]:
        inner = self.call.__await__()
        step: Callable[[Any], Any] = inner.send
        value: Any = None
        while True:
            try:
                awaited = step(value)
            except StopIteration as end:
                return end.value
            task = asyncio.current_task()
            if self.at <= self.passed < self.at + self.times and task is not None:
                task.cancel()
            self.passed += 1
            step, value = inner.send, None
            try:
                yield awaited
            except asyncio.CancelledError as error:
                step, value = inner.throw, error


async def _hung_up(call: Again, at: int, times: int = 1) -> bool:
    """Make a call and hang up; return False if it has fewer awaits."""
    hang_up = HangUp(call(), at, times)

    async def calling() -> object:
        return await hang_up

    # The driver of Valkey loses a cancellation at the timeout of its own first await.
    with suppress(asyncio.CancelledError):
        await asyncio.create_task(calling())
    return hang_up.passed > at


@pytest.fixture
def late_answers(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller may hang up after Valkey or a partner has acted, and before the answer arrives."""
    client = bank.auth.logins.client
    monkeypatch.setattr(client, "execute_command", _late(client.execute_command))
    monkeypatch.setattr(FaceMatch, "begin", _late(FaceMatch.begin))
    monkeypatch.setattr(SmsGateway, "send", _late(SmsGateway.send))
    for call in ("exchange", "refresh"):
        monkeypatch.setattr(TokenProvider, call, _late(getattr(TokenProvider, call)))


def _late(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def answered(*args: Any, **options: Any) -> Any:
        answer = await call(*args, **options)
        await asyncio.sleep(0)
        return answer

    return answered


@pytest.mark.usefixtures("late_answers")
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("begin", CALLS)
async def test_a_call_whose_caller_hangs_up_anywhere_can_be_repeated(
    bank: Bank, begin: Callable[[Bank], Awaitable[Again]], times: int
) -> None:
    at, is_interrupted = 0, True
    while is_interrupted:
        again = await begin(bank)
        before = await bank.events()
        if is_interrupted := await _hung_up(again, at, times):
            await again()
        await _require_events(bank, before, CALLS[begin])
        at += 1
    assert at > 1


@pytest.mark.usefixtures("late_answers")
async def test_a_stranger_who_hangs_up_anywhere_leaves_no_try_at_the_account(bank: Bank) -> None:
    """Also while Valkey reserves the try. Otherwise strangers lock the owner's new telephone."""
    user, password = await bank.auth.user(), people.password(bank.auth.person.user_name)
    at, is_interrupted = 0, True
    while is_interrupted:
        call_from(uuid.uuid4())
        attempt = attempt_of(user.email_index, user, None, Factor.PASSWORD)
        call = partial(login.require_password, bank.deps, attempt, password)
        is_interrupted = await _hung_up(call, at)
        counters = counters_of(bank.deps.keys.code_key, attempt.subject, Factor.PASSWORD)
        account = next(one.key for one in counters if one.scope is Scope.STRANGERS)
        assert not await bank.auth.logins.client.exists(account), at
        at += 1
    assert at > 1


@pytest.mark.usefixtures("late_answers")
async def test_a_step_up_whose_caller_hangs_up_anywhere_leaves_one_session(bank: Bank) -> None:
    """Otherwise one access token fills Valkey with step-ups that need no text message."""
    await enrolled(bank, random_base32(), [])
    me, others = bank.me(), await _sessions(bank)
    at, is_interrupted = 0, True
    while is_interrupted:
        call = partial(login.step_up, bank.deps, me, bank.device_token)
        is_interrupted = await _hung_up(call, at)
        assert len(await _sessions(bank) - others) <= 1, at
        at += 1
    assert at > 1


async def _sessions(bank: Bank) -> set[bytes]:
    keys = {key async for key in bank.auth.logins.client.scan_iter("session:*")}
    return {key for key in keys if not key.startswith(b"session:step-up:")}


@pytest.mark.parametrize("begin", CALLS)
async def test_a_call_that_loses_any_answer_of_valkey_can_be_repeated(
    bank: Bank, begin: Callable[[Bank], Awaitable[Again]], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, at = bank.auth.logins.client, 0
    execute = client.execute_command
    left = -1

    async def losing(*args: Any, **options: Any) -> Any:
        nonlocal left
        answer = await execute(*args, **options)
        left -= 1
        if left == -1:
            raise ValkeyConnectionError
        return answer

    monkeypatch.setattr(client, "execute_command", losing)
    await (await begin(bank))()  # so that Valkey knows the scripts of the call
    while True:
        again = await begin(bank)
        before = await bank.events()
        left = at
        try:
            await again()
        except (ValkeyConnectionError, DependencyUnavailable):
            await again()
        is_interrupted = left < 0
        left = -1
        await _require_events(bank, before, CALLS[begin])
        if not is_interrupted:
            break
        at += 1
    assert at > 0
