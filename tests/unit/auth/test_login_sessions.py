"""The steps of a login session, and its form in Valkey."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
from asyncpg.pgproto.pgproto import UUID

from services.auth.errors import LoginSessionInvalid
from services.auth.login_sessions import advanced, decode, encode, require_step, session_digest
from services.auth.state import (
    LOGIN,
    BiometricMethod,
    Factor,
    LoginSession,
    OtpMethod,
    Progress,
    Purpose,
    Step,
)
from services.kernel.state_table import IllegalTransition

NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
FRESH = LoginSession(Purpose.LOGIN, Step.AWAITING_OTP, uuid.UUID(int=1), NOON)
FULL = LoginSession(
    purpose=Purpose.STEP_UP,
    step=Step.AWAITING_BIOMETRIC,
    customer_id=uuid.UUID(int=1),
    expire_time=NOON,
    account=bytes(range(32)),
    login_epoch=3,
    methods=(OtpMethod.TOTP, OtpMethod.SMS),
    device_id=uuid.UUID(int=2),
    session_id=uuid.UUID(int=3),
    factors=(Factor.PASSWORD, Factor.AUTHENTICATOR_APP),
    biometric_method=BiometricMethod.DEVICE_KEY,
    challenge=bytes(range(32)),
    liveness_session_id="live-1",
    liveness_begin_time=NOON,
    liveness_checks=1,
    face_checks=3,
    sends=2,
    next_send_time=NOON,
)
STEPS = {
    (Step.AWAITING_OTP, Step.AWAITING_BIOMETRIC),
    (Step.AWAITING_OTP, Step.ENDED),
    (Step.AWAITING_OTP, Step.REPLACING),
    (Step.REPLACING, Step.COMPLETED),
    (Step.REPLACING, Step.AWAITING_OTP),
    (Step.AWAITING_BIOMETRIC, Step.COMPLETING),
    (Step.AWAITING_BIOMETRIC, Step.ENDED),
    (Step.COMPLETING, Step.COMPLETED),
    (Step.COMPLETING, Step.AWAITING_BIOMETRIC),
}
"""Each step that a session may make."""
WAITING = {Step.AWAITING_OTP, Step.AWAITING_BIOMETRIC, Step.COMPLETING, Step.REPLACING}


@pytest.mark.parametrize("before", Step)
@pytest.mark.parametrize("after", Step)
def test_a_session_makes_only_the_steps_of_the_table(before: Step, after: Step) -> None:
    """A session that waits may also stay at its step, for example when a code is sent again."""
    if (before, after) in STEPS or (before is after and before in WAITING):
        require_step(before, after)
    else:
        with pytest.raises(IllegalTransition):
            require_step(before, after)


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("progress", Progress)
def test_a_progress_moves_a_session_or_is_refused(step: Step, progress: Progress) -> None:
    """What is refused changes nothing."""
    session = replace(FRESH, step=step)
    if LOGIN.allows(step, progress):
        moved = advanced(session, progress, sends=1)
        assert moved == replace(session, step=LOGIN.next(step, progress), sends=1)
    else:
        with pytest.raises(IllegalTransition):
            advanced(session, progress, sends=1)
    assert session == replace(FRESH, step=step)


@pytest.mark.parametrize("session", [FRESH, FULL, replace(FRESH, customer_id=None)])
def test_a_session_is_read_as_it_was_written(session: LoginSession) -> None:
    """All fields are in the JSON."""
    assert decode(encode(session)) == session


def test_a_session_with_the_ids_of_a_row_is_written() -> None:
    """PostgreSQL's driver has a UUID of its own, which the JSON package refuses."""
    row = UUID(str(FULL.customer_id))
    assert type(row) is not uuid.UUID
    assert decode(encode(replace(FULL, customer_id=row))) == FULL


def test_fields_of_a_newer_version_are_ignored_and_kept() -> None:
    """An older process can continue a login that a newer one began."""
    stored = orjson.dumps({**orjson.loads(encode(FRESH)), "risk": 7})
    assert decode(stored) == FRESH
    assert orjson.loads(encode(FULL, orjson.loads(stored)))["risk"] == 7
    assert decode(encode(FULL, orjson.loads(stored))) == FULL


def test_fields_that_an_older_version_did_not_write_have_their_defaults() -> None:
    """Only the first four fields were always there."""
    needed = ("purpose", "step", "customer_id", "expire_time")
    whole = orjson.loads(encode(FRESH))
    assert decode(orjson.dumps({name: whole[name] for name in needed})) == FRESH


@pytest.mark.parametrize("field", ["purpose", "step"])
def test_a_session_at_a_step_of_a_newer_version_is_invalid(field: str) -> None:
    """This version cannot continue it, so the customer logs in again."""
    stored = orjson.dumps({**orjson.loads(encode(FRESH)), field: "UNHEARD_OF"})
    with pytest.raises(LoginSessionInvalid):
        decode(stored)


def test_the_digest_of_an_id_does_not_contain_the_id() -> None:
    """The SHA-256 is fixed, because running processes share the keys."""
    assert session_digest("abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
