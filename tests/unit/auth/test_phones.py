"""Telephone numbers in E.164."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth.phones import PhoneInvalid, hint, parse, prefix


@pytest.mark.parametrize(
    "typed", ["+15551234567", "+1 555 123-4567", " +1 (555) 123.4567 ", "＋1555１２３4567"]
)
def test_spellings_of_one_number_have_one_form(typed: str):
    assert parse(typed) == "+15551234567"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "15551234567",
        "+05551234567",
        "+1555123",
        "+1234567890123456",
        "+1555123456x",
        "+1555+1234567",
        "+1555123\n4567",
        "+1555123456٧",
        "+15551234567;ext=1",
    ],
)
def test_anything_else_is_refused(text: str):
    with pytest.raises(PhoneInvalid):
        parse(text)


@given(st.from_regex(r"\+[1-9][0-9]{7,14}", fullmatch=True))
def test_hint_and_prefix_are_parts_of_the_number(number: str):
    assert parse(number) == number
    assert number.endswith(hint(number))
    assert len(hint(number)) == 2
    assert number[1:].startswith(prefix(number))
    assert len(prefix(number)) == 7
