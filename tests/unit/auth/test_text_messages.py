"""The text messages with a one-time code."""

import pytest

from services.auth.settings import AuthSettings
from services.auth.state import Purpose
from services.auth.text_messages import TEXTS, WARNINGS, text_message

GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The basic character set of 3GPP TS 23.038."""
DOMAIN = AuthSettings.model_fields["web_domain"].default
KINDS = [(locale, purpose) for locale in WARNINGS for purpose in Purpose]


def _text(purpose: Purpose = Purpose.LOGIN, locale: str = "en", code: str = "123456") -> str:
    return text_message(code, purpose, locale=locale, domain=DOMAIN)


@pytest.mark.parametrize(("locale", "purpose"), KINDS)
def test_each_message_is_one_segment_of_gsm_7(locale: str, purpose: Purpose):
    text = _text(purpose, locale)
    assert set(text) <= GSM_7
    assert len(text) <= 160


@pytest.mark.parametrize(("locale", "purpose"), KINDS)
def test_the_last_line_lets_a_phone_fill_in_the_code(locale: str, purpose: Purpose):
    head, last = _text(purpose, locale).split("\n")
    assert last == f"@{DOMAIN} #123456"
    assert WARNINGS[locale] in head
    assert "123456" in head


def test_each_purpose_and_language_has_words_of_its_own():
    assert len({_text(purpose, locale) for locale, purpose in KINDS}) == len(TEXTS) == len(KINDS)


@pytest.mark.parametrize(
    ("locale", "language"),
    [("es-MX", "es"), ("ES", "es"), ("en-US", "en"), ("fr", "en"), ("", "en")],
)
def test_a_locale_selects_its_language(locale: str, language: str):
    assert WARNINGS[language] in _text(locale=locale)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345\n", "12a456", "１２３４５６"])
def test_only_six_digits_get_into_a_message(code: str):
    with pytest.raises(ValueError, match="six digits"):
        _text(code=code)


@pytest.mark.parametrize(
    "domain", ["", "bp", "bp.example\n@evil.example", "bp.example #1", "é.com"]
)
def test_only_a_host_name_gets_into_a_message(domain: str):
    with pytest.raises(ValueError, match="host name"):
        text_message("123456", Purpose.LOGIN, locale="en", domain=domain)


def test_a_domain_that_needs_a_second_segment_is_refused():
    with pytest.raises(ValueError, match="too long"):
        text_message("123456", Purpose.LOGIN, locale="en", domain="a" * 90 + ".example")
