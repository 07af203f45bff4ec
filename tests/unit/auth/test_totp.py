"""Codes of authenticator apps and recovery codes."""

import uuid
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyotp.totp import TOTP

from services.auth.totp import (
    BASE32_ALPHABET,
    STEP_S,
    matching_step,
    new_recovery_codes,
    new_secret,
    otpauth_uri,
    qr_svg,
    recovery_digest,
)

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
"""The secret of RFC 6238's test vectors in base32."""
NOW = datetime(2026, 11, 29, 12, 0, 10, tzinfo=UTC)
STEP = int(NOW.timestamp()) // STEP_S
KEY = b"k" * 32
CUSTOMER = uuid.UUID(int=1)


@pytest.mark.parametrize(
    ("unix_s", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
    ],
)
def test_codes_are_those_of_rfc_6238(unix_s: int, code: str):
    """Appendix B, the last six of its eight digits."""
    now = datetime.fromtimestamp(unix_s, UTC)
    assert matching_step(SECRET, code, now) == unix_s // STEP_S


@pytest.mark.parametrize(
    ("drift_steps", "is_right"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_a_clock_may_be_one_step_off(drift_steps: int, is_right: bool):
    step = STEP + drift_steps
    code = TOTP(SECRET).generate_otp(step)
    assert matching_step(SECRET, code, NOW) == (step if is_right else None)


def test_a_code_keeps_its_step_so_that_the_store_can_refuse_a_replay():
    code = TOTP(SECRET).generate_otp(STEP)
    later = NOW + timedelta(seconds=STEP_S)
    assert matching_step(SECRET, code, NOW) == matching_step(SECRET, code, later) == STEP


@pytest.mark.parametrize(
    "code", ["", "12345", "1234567", "abcdef", "１２３４５６", "12345\n", "-12345"]
)
def test_what_is_not_six_digits_is_wrong(code: str):
    assert matching_step(SECRET, code, NOW) is None


def test_a_space_between_the_groups_does_not_count():
    code = TOTP(SECRET).generate_otp(STEP)
    assert matching_step(SECRET, f"{code[:3]} {code[3:]}", NOW) == STEP


@given(st.from_regex("[0-9]{6}", fullmatch=True))
def test_only_the_three_codes_of_the_moment_are_right(code: str):
    steps = range(STEP - 1, STEP + 2)
    right = {TOTP(SECRET).generate_otp(step): step for step in steps}
    assert matching_step(SECRET, code, NOW) == right.get(code)


def test_each_secret_is_new_and_has_160_bits():
    secrets = {new_secret() for _ in range(50)}
    assert len(secrets) == 50
    assert {len(TOTP(secret).byte_secret()) for secret in secrets} == {20}


def test_an_app_reads_the_uri():
    uri = otpauth_uri(SECRET, "a…z@example.com")
    read = pyotp.parse_uri(uri)
    assert isinstance(read, TOTP)
    assert (read.issuer, read.name, read.secret) == ("BP", "a…z@example.com", SECRET)
    assert matching_step(SECRET, read.at(NOW), NOW) == STEP


def test_the_picture_is_an_svg_without_scripts_or_references():
    picture = qr_svg(otpauth_uri(new_secret(), "a…z@example.com"))
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(picture).iter()}  # noqa: S314
    assert tags <= {"svg", "path", "g"}
    assert "href" not in picture
    assert len(picture) < 16_000


def test_ten_different_recovery_codes_in_two_groups():
    codes = new_recovery_codes()
    assert len(set(codes)) == 10
    for code in codes:
        first, second = code.split("-")
        assert len(first) == len(second) == 5
        assert set(first + second) <= set(BASE32_ALPHABET)


@pytest.mark.parametrize("typed", ["K4TQZ-7WOIB", "k4tqz7woib", " k4tqz 7w0 1 8 ", "K4TQZ-7W018"])
def test_a_recovery_code_may_be_typed_carelessly(typed: str):
    digest = recovery_digest(KEY, CUSTOMER, "K4TQZ-7WOIB")
    assert digest is not None
    assert recovery_digest(KEY, CUSTOMER, typed) == digest


@pytest.mark.parametrize("typed", ["", "K4TQZ", "K4TQZ-7WOIB2", "K4TQZ-7WOI!", "K4TQZ-7WOIé"])
def test_what_is_no_recovery_code_has_no_digest(typed: str):
    assert recovery_digest(KEY, CUSTOMER, typed) is None


def test_digests_depend_on_the_key_and_the_customer():
    code = new_recovery_codes()[0]
    digests = {
        recovery_digest(KEY, CUSTOMER, code),
        recovery_digest(b"l" * 32, CUSTOMER, code),
        recovery_digest(KEY, uuid.UUID(int=2), code),
    }
    assert len(digests) == 3
    assert all(digest is not None and len(digest) == 32 for digest in digests)
