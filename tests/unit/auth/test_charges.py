"""Whose messages and face checks count together, and how long a repeated code waits."""

import uuid
from dataclasses import replace

import pytest

from services.auth.charges import (
    RESETS_KEY,
    FaceCheck,
    FaceCheckKind,
    Recipient,
    SendLimits,
    face_key,
    number_key,
    prefix_key,
    resend_wait_s,
    send_limits_of,
)
from services.auth.state import Purpose

DEVICE, SESSION = uuid.UUID(int=1), uuid.UUID(int=2)
SENDS = SendLimits(number=10, known=30, prefix=2_000, known_prefix=20_000, resets=20_001)


@pytest.mark.parametrize(("sends", "wait_s"), [(1, 30), (2, 60), (3, 120), (5, 300), (1000, 300)])
def test_each_further_code_of_a_session_waits_longer(sends: int, wait_s: int):
    assert resend_wait_s(30, sends) == wait_s


def test_a_reset_does_not_use_up_the_codes_for_a_login():
    """Any caller can ask for a reset of a known address."""
    callers = [
        Recipient(b"n" * 32, b"n" * 32, purpose, device_id)
        for purpose in Purpose
        for device_id in (DEVICE, None)
    ]
    keys = {number_key(each) for each in callers}
    assert len(keys) == 2 * len(Purpose)
    assert number_key(replace(callers[0], phone_index=b"m" * 32)) not in keys
    prefixes = {prefix_key(each) for each in callers}
    assert len(prefixes) == 2 * len(Purpose)
    assert prefixes.isdisjoint(keys)


STEP_UP = Recipient(b"n" * 32, b"p" * 32, Purpose.STEP_UP, DEVICE, SESSION)
RESET = Recipient(b"n" * 32, b"p" * 32, Purpose.RESET, DEVICE)
OTHER = uuid.UUID(int=3)
OWN_COUNTERS = [
    pytest.param(STEP_UP, replace(STEP_UP, session_id=OTHER), id="sessions"),
    pytest.param(RESET, replace(RESET, device_id=OTHER), id="devices"),
]


@pytest.mark.parametrize(("stolen", "newer"), OWN_COUNTERS)
def test_step_ups_of_a_session_use_up_no_codes_of_another_session(
    stolen: Recipient, newer: Recipient
):
    """A thief of an access token or device token would use up the owner's codes of the day."""
    theirs, own = send_limits_of(stolen, SENDS), send_limits_of(newer, SENDS)
    assert {key: theirs[key] for key in theirs.keys() & own.keys()} == {
        number_key(stolen): SENDS.known,
        prefix_key(stolen): SENDS.known_prefix,
    }
    assert [each[key] for each in (theirs, own) for key in each.keys() - theirs.keys()] == [
        SENDS.number
    ]
    assert len(theirs) == len(own) == 3


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("device_id", [DEVICE, None])
def test_only_resets_of_strangers_have_a_limit_for_all_numbers(
    purpose: Purpose, device_id: uuid.UUID | None
):
    to = Recipient(b"n" * 32, b"p" * 32, purpose, device_id)
    is_limited = RESETS_KEY in send_limits_of(to, SENDS)
    assert is_limited is (purpose is Purpose.RESET and device_id is None)


def test_face_checks_count_for_each_customer_kind_and_caller():
    """A caller on a new device must not use up the checks of the owner's known devices."""
    checks = [
        FaceCheck(kind, customer_id, is_known_device)
        for kind in FaceCheckKind
        for customer_id in (DEVICE, SESSION)
        for is_known_device in (True, False)
    ]
    assert len({face_key(check) for check in checks}) == len(checks)
