"""A text as a Nacha record holds it: printable ASCII, or nothing at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.nacha.line_text import line_text

LINES = {
    "Bo Rivera": "Bo Rivera",
    "José Ñuñez": "Jose Nunez",
    "Jose\u0301": "Jose",
    "Straße": "Strasse",
    "Łódź, Ærø & Đà Nẵng": "Lodz, AEro & Da Nang",
    "O\u2019Hara \u2013 5 €": "O'Hara - 5 EUR",
    "Bo\u00a0Rivera": "Bo Rivera",
    "Bo\u200cRivera": "BoRivera",
    "\uff22\uff4f": "Bo",
    "": "",
}


@pytest.mark.parametrize(("text", "line"), LINES.items())
def test_letters_and_punctuation_become_ascii(text: str, line: str) -> None:
    assert line_text(text) == line


@pytest.mark.parametrize("text", ["\u738b", "Bo \U0001f389", "\u0416", "a\nb", "\u0301\u200d"])
def test_a_text_without_an_ascii_form_has_no_line(text: str) -> None:
    assert line_text(text) is None


@given(st.text())
def test_a_line_is_printable_ascii_and_its_own_line(text: str) -> None:
    line = line_text(text)
    if line is not None:
        assert all(" " <= one <= "~" for one in line)
        assert line_text(line) == line
