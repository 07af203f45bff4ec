"""Rules for new passwords, and the keyed form that bcrypt gets."""

import base64

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth.passwords import LENGTH_MAX, LENGTH_MIN, Flaw, flaws, prehash

KEY = b"k" * 32
EMAIL = "ana.lopez@example.com"
PHONE = "+15551234567"


def _flaws(password: str) -> list[Flaw]:
    return flaws(password, email_canonical=EMAIL, phone=PHONE)


@given(st.text(max_size=2_000))
def test_bcrypt_accepts_each_prehash_whole(password: str):
    """Bcrypt cuts its input at 72 bytes; some versions stop at a NUL."""
    digest = prehash(KEY, password)
    assert len(digest) == 64
    assert b"\0" not in digest


def test_two_long_passwords_that_differ_after_72_bytes_have_different_hashes():
    long = "x" * 72
    stored = bcrypt.hashpw(prehash(KEY, long + "right"), bcrypt.gensalt(4))
    assert bcrypt.checkpw(prehash(KEY, long + "right"), stored)
    assert not bcrypt.checkpw(prehash(KEY, long + "wrong"), stored)


def test_passwords_that_differ_after_a_nul_have_different_prehashes():
    assert prehash(KEY, "same\0right") != prehash(KEY, "same\0wrong")


def test_prehash_is_the_documented_digest():
    """No stored hash would match another digest."""
    assert prehash(KEY, "Pässwörd") == (
        b"msICQCV1hkqRAXiCJIWXqY/apLlcUd5wpyjbX0yLtLUI07aMOXPlaMqe5uGDL6oV"
    )
    assert len(base64.b64decode(prehash(KEY, ""))) == 48


def test_prehash_depends_on_the_key():
    assert prehash(KEY, "password") != prehash(b"l" * 32, "password")


@pytest.mark.parametrize(
    ("typed", "typed_elsewhere"),
    [("cafe\u0301 olé", "café olé"), ("ｐａｓｓ１２３", "pass123"), ("ﬁve", "five")],
)
def test_two_ways_to_type_a_password_have_the_same_prehash(typed: str, typed_elsewhere: str):
    assert prehash(KEY, typed) == prehash(KEY, typed_elsewhere)


def test_case_and_spaces_count():
    assert len({prehash(KEY, p) for p in ("pass word", "Pass word", "password", " pass word")}) == 4


@pytest.mark.parametrize(
    ("password", "flaw"),
    [
        ("", Flaw.TOO_SHORT),
        ("Qz7!kPw", Flaw.TOO_SHORT),
        ("Qz7!kPwm" * 32 + "x", Flaw.TOO_LONG),
        ("Qz7!kP\0wm", Flaw.CHARACTERS),
        ("Qz7!kP\nwm", Flaw.CHARACTERS),
        ("Qz7!kP\ud800wm", Flaw.CHARACTERS),
        ("Qz7!kP\u0378wm", Flaw.CHARACTERS),
        ("aaaaaaaa", Flaw.REPEATED),
        ("passpass", Flaw.REPEATED),
        ("11221212", Flaw.REPEATED),
        ("abcdefgh", Flaw.SEQUENCE),
        ("98765432109", Flaw.SEQUENCE),
        ("Qwertyuiop", Flaw.SEQUENCE),
        ("1qaz2wsx", Flaw.SEQUENCE),
        ("ana.lopez@example.com", Flaw.EMAIL),
        ("AnaLopez1", Flaw.EMAIL),
        ("2026-ana-lopez", Flaw.EMAIL),
        ("5551234567", Flaw.PHONE),
        ("+1 555 123 4567", Flaw.PHONE),
        ("bp123456", Flaw.BANK),
        ("BP-Bank-26", Flaw.BANK),
    ],
)
def test_a_weak_password_has_a_flaw(password: str, flaw: Flaw):
    assert flaw in _flaws(password)


@pytest.mark.parametrize(
    "password",
    [
        "Qz7!kPwm",
        "correct horse battery staple",
        "correcthorsecorrecthorse",
        "ana-lopez-Passw0rd-2026",
        "contraseña única",
        "パスワード保護する",
        "🦄🐢🐙🦊 and me",
        "        spaces 8 before",
        "a subpoena by post",
        "Qz7!kPwm" + "ab1" * 80 + "longest!",
    ],
)
def test_a_good_password_has_no_flaw(password: str):
    assert len(password) <= LENGTH_MAX
    assert _flaws(password) == []


def test_an_unknown_address_and_number_add_no_flaw():
    assert flaws("Qz7!kPwm", email_canonical="", phone="") == []


def test_length_is_counted_after_normalisation():
    """Eight code points that compose to four characters are too few."""
    assert Flaw.TOO_SHORT in _flaws("e\u0301a\u0301o\u0301u\u0301")


@given(st.text(max_size=LENGTH_MIN - 1, alphabet=st.characters(max_codepoint=0x7E)))
def test_each_short_password_is_refused(password: str):
    assert Flaw.TOO_SHORT in _flaws(password)


@given(st.text(max_size=600))
def test_each_text_gets_a_verdict(password: str):
    assert all(flaw.value.startswith("must ") for flaw in _flaws(password))
