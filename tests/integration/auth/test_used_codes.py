"""Codes that are used or wrong: a used one is not right again, and each wrong try is an event."""

from functools import partial

import asyncpg
import pytest
from bp.auth.v1.auth_events_pb2 import AuthEvent
from pyotp.totp import TOTP
from redis.exceptions import ConnectionError as ValkeyConnectionError

from services.auth import totp
from services.auth.counters import Tries
from services.auth.errors import LoginSessionInvalid, OtpInvalid
from services.auth.factor_store import FactorStore, TotpConfirmation
from services.auth.handlers import biometric, second_factor
from services.auth.handlers.factors import attempt_of
from services.auth.login_sessions import LoginSessions, session_digest, session_key
from services.auth.sealing import Field, Sealer
from services.auth.state import Factor, OtpMethod, Purpose
from services.auth.throttle import Subject, counters_of
from services.kernel.clock import utc_now
from tests.integration.auth.handling import Handling

CODE, WRONG, RECOVERY = "123456", "654321", "K4TQZ-7WMCA"


async def _verified(auth: Handling, session_id: str, code: str) -> None:
    await biometric.verify_otp(auth.deps, session_id, code, None, None)


async def _failures(auth: Handling, pool: asyncpg.Pool) -> int:
    """Return how many wrong tries of the customer are recorded."""
    user = await auth.user()
    rows = await pool.fetch("SELECT payload FROM auth.event WHERE key = $1", user.customer_id)
    events = [AuthEvent.FromString(row["payload"]) for row in rows]
    return [event.WhichOneof("event") for event in events].count("login_failed")


async def _ended(auth: Handling, session_id: str) -> None:
    """Let the five minutes of a login session pass."""
    await auth.logins.client.delete(session_key(session_digest(session_id)))


async def test_a_code_that_is_given_back_leaves_the_code_of_a_parallel_login_used(
    auth: Handling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login reads the last step, then another login uses its code, and the first one fails."""
    store, customer_id = auth.deps.store, (await auth.user()).customer_id
    secret, unseal = totp.new_secret(), Sealer.unseal
    sealed = await auth.deps.sealer.seal(customer_id, Field.TOTP_SECRET, secret)
    await store.start_totp(customer_id, sealed, utc_now())
    await store.confirm_totp(TotpConfirmation(customer_id, sealed, 1, utc_now(), [], []))
    code = TOTP(secret).now()
    step = totp.matching_step(secret, code, utc_now())
    assert step is not None
    session_id = await auth.waiting_for_code(CODE, methods=(OtpMethod.TOTP,))

    async def crossed(sealer: Sealer, *args: object) -> bytes:
        await store.use_totp_step(customer_id, step - 1)
        await _ended(auth, session_id)
        return await unseal(sealer, *args)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Sealer, "unseal", crossed)
    with pytest.raises(LoginSessionInvalid):
        await _verified(auth, session_id, code)
    assert await store.use_totp_step(customer_id, step - 1) is None
    assert await store.use_totp_step(customer_id, step) == step - 1


async def test_a_wrong_code_whose_session_ends_meanwhile_is_an_event(
    auth: Handling, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise an attacker guesses recovery codes in the last seconds of sessions, unseen."""
    session_id = await auth.waiting_for_code(CODE, methods=(OtpMethod.RECOVERY_CODE,))
    use = FactorStore.use_recovery_code

    async def ending(store: FactorStore, *args: object) -> bool:
        used = await use(store, *args)  # pyright: ignore[reportArgumentType]
        await _ended(auth, session_id)
        return used

    monkeypatch.setattr(FactorStore, "use_recovery_code", ending)
    with pytest.raises(OtpInvalid):
        await _verified(auth, session_id, RECOVERY)
    assert await _failures(auth, pool) == 1


@pytest.mark.parametrize("purpose", [Purpose.LOGIN, Purpose.RESET])
async def test_the_last_wrong_try_of_a_code_is_an_event_although_valkey_fails_after_it(
    auth: Handling, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, purpose: Purpose
) -> None:
    account = (await auth.user()).email_index
    session_id = await auth.waiting_for_code(CODE, purpose=purpose, account=account)
    before = await _failures(auth, pool)

    async def failing(*_: object) -> None:
        raise ValkeyConnectionError

    monkeypatch.setattr(LoginSessions, "spend", failing)
    call = auth.reset if purpose is Purpose.RESET else partial(_verified, auth)
    tries = auth.deps.settings.otp_tries_max
    for number in range(tries):
        with pytest.raises(OtpInvalid if number < tries - 1 else ValkeyConnectionError):
            await call(session_id, WRONG)
    assert await _failures(auth, pool) == before + tries


async def test_a_wrong_try_is_an_event_although_valkeys_answer_to_it_is_lost(
    auth: Handling, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The try counts, because Valkey has it."""
    session_id = await auth.waiting_for_code(CODE)
    _lose(monkeypatch, "wrong", is_executed=True)
    with pytest.raises(ValkeyConnectionError):
        await _verified(auth, session_id, WRONG)
    assert await _failures(auth, pool) == 1


def _lose(monkeypatch: pytest.MonkeyPatch, step: str, *, is_executed: bool) -> None:
    """Let Valkey fail once, before or after it executes a step of the counters."""
    run, lost = Tries._step, False  # pyright: ignore[reportPrivateUsage]

    async def losing(tries: Tries, name: str, subject: Subject, factor: Factor) -> object:
        nonlocal lost
        is_lost = name == step and not lost
        lost = lost or is_lost
        answer = await run(tries, name, subject, factor) if is_executed or not is_lost else None
        if is_lost:
            raise ValkeyConnectionError
        return answer

    monkeypatch.setattr(Tries, "_step", losing)


@pytest.mark.parametrize("is_executed", [True, False])
async def test_a_right_code_leaves_no_try_although_valkey_fails_when_it_is_reported(
    auth: Handling, monkeypatch: pytest.MonkeyPatch, is_executed: bool
) -> None:
    """The session has accepted the code, so a repeated call reports nothing."""
    session_id, user = await auth.waiting_for_code(CODE), await auth.user()
    session = await auth.deps.sessions.read(session_id)
    entered = second_factor.Entered(OtpMethod.SMS, CODE)
    _lose(monkeypatch, "right", is_executed=is_executed)
    await second_factor.accept_code(auth.deps, session_id, session, entered, lambda it: it)
    subject = attempt_of(user.email_index, user, None, Factor.SMS_CODE).subject
    keys = [one.key for one in counters_of(auth.deps.keys.code_key, subject, Factor.SMS_CODE)]
    assert await auth.logins.client.exists(*keys) == 0
