"""Telephone numbers in E.164 form, and the parts of them that the bank may show or count. Pure."""

import re
import unicodedata

PREFIX_DIGITS = 7
HINT_DIGITS = 2
_SEPARATORS = str.maketrans("", "", " -.()/")
_E164 = re.compile(r"\+[1-9][0-9]{7,14}")
"""E.164 allows at most 15 digits. A number with fewer than eight gets no text message."""


class PhoneInvalid(ValueError):
    """The text is not an international telephone number."""


def parse(text: str) -> str:
    """Return the number as "+" and 8 to 15 digits. Usual separators may be between digits.

    Raise PhoneInvalid for anything else; a number without its country code is not guessed.
    """
    number = unicodedata.normalize("NFKC", text).strip().translate(_SEPARATORS)
    if not _E164.fullmatch(number):
        raise PhoneInvalid
    return number


def hint(phone: str) -> str:
    """Return the last two digits of a parsed number, by which its owner recognises it."""
    return phone[-HINT_DIGITS:]


def prefix(phone: str) -> str:
    """Return the first seven digits of a parsed number, country code included.

    Numbers that an attacker buys together share them; the text messages to them are counted.
    """
    return phone[1 : 1 + PREFIX_DIGITS]
