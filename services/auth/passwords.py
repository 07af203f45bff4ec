"""What a password may be, and the keyed form of it that bcrypt gets. Pure.

The rules are those of NIST SP 800-63B for a password with a second factor: at least eight
characters, no rules of composition, no words that belong to the account or the bank.
"""

import base64
import hmac
import unicodedata
from enum import Enum

LENGTH_MIN = 8
"""SP 800-63B asks for 8 characters where a password is one of several factors."""
LENGTH_MAX = 256
DIFFERENT_CHARACTERS_MIN = 4
WORD_LENGTH_MIN = 4
"""Good passwords also contain shorter words."""
PHONE_TAIL_DIGITS = 7
BANK_WORDS = ("bp", "bpbank", "bppayments", "bppaymentsbank", "paymentsbank", "bancobp")
ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "1234567890",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertyuiopasdfghjklñzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "1q2w3e4r5t6y7u8i9o0p",
)
"""Letters, digits and the rows and columns of keyboards, as people type them."""
_ROWS_FOLDED = tuple(way * (LENGTH_MAX // len(way) + 2) for row in ROWS for way in (row, row[::-1]))
_REFUSED_CATEGORIES = ("Cc", "Cs", "Cn")


class Flaw(Enum):
    """A rule that a new password breaks; the value is the text of the field violation."""

    TOO_SHORT = f"must have at least {LENGTH_MIN} characters"
    TOO_LONG = f"must have at most {LENGTH_MAX} characters"
    CHARACTERS = "must not contain control characters or characters that Unicode does not define"
    REPEATED = (
        f"must have at least {DIFFERENT_CHARACTERS_MIN} different characters and must not repeat "
        "a short part"
    )
    SEQUENCE = "must not be a sequence of the alphabet, of digits or of a keyboard"
    EMAIL = "must not be your e-mail address or a small change of it"
    PHONE = "must not be your telephone number or a small change of it"
    BANK = "must not be the bank's name or a small change of it"


def normalised(password: str) -> str:
    """Return the NFKC form, so that each keyboard's way to type a password has the same digest.

    SP 800-63B recommends NFKC or NFKD before hashing.
    """
    return unicodedata.normalize("NFKC", password)


def prehash(key: bytes, password: str) -> bytes:
    """Return what bcrypt hashes: 64 ASCII bytes, the base64 of a keyed SHA-384 digest.

    bcrypt ignores all but the first 72 bytes and some versions stop at a NUL; this form has
    neither problem. `key` is in OpenBao, so a stolen table alone cannot be searched.
    """
    # A lone surrogate cannot come from protobuf; "surrogatepass" keeps the function total.
    text = normalised(password).encode("utf-8", "surrogatepass")
    return base64.b64encode(hmac.digest(key, text, "sha384"))


def flaws(password: str, *, email_canonical: str, phone: str) -> list[Flaw]:
    """Return the rules that a new password breaks, empty for a good one.

    `email_canonical` is the form of emails.canonical, `phone` is E.164; "" means unknown.
    """
    text = normalised(password)
    local_part = email_canonical.rpartition("@")[0]
    found = {
        Flaw.TOO_SHORT: len(text) < LENGTH_MIN,
        Flaw.TOO_LONG: len(text) > LENGTH_MAX,
        Flaw.CHARACTERS: any(unicodedata.category(c) in _REFUSED_CATEGORIES for c in text),
        Flaw.REPEATED: _is_repeated(text),
        Flaw.SEQUENCE: _is_sequence(text),
        Flaw.EMAIL: any(_is_made_of(text, word) for word in (email_canonical, local_part)),
        Flaw.PHONE: _is_made_of(text, phone[1:][-PHONE_TAIL_DIGITS:]),
        Flaw.BANK: any(_is_made_of(text, word) for word in BANK_WORDS),
    }
    return [flaw for flaw, is_found in found.items() if is_found]


def _is_repeated(text: str) -> bool:
    """Return True for few different characters, or a part shorter than a password, repeated."""
    if not text:
        return False
    period = (text + text).find(text, 1)
    return len(set(text)) < DIFFERENT_CHARACTERS_MIN or (period < len(text) and period < LENGTH_MIN)


def _is_sequence(text: str) -> bool:
    folded = text.casefold()
    return bool(folded) and any(folded in row for row in _ROWS_FOLDED)


def _is_made_of(text: str, word: str) -> bool:
    """Return True when a password is `word` plus fewer other characters than a password needs.

    Case, spaces and punctuation do not count. A very short word counts only when
    the rest of the password is digits.
    """
    word, folded = _compact(word), _compact(text)
    if not word:
        return False
    if len(word) >= WORD_LENGTH_MIN and word in folded:
        return len(folded) - len(word) < LENGTH_MIN
    return "".join(c for c in folded if not c.isdigit()) == word


def _compact(text: str) -> str:
    """Return the text in one case, without spaces and ASCII punctuation."""
    return "".join(c for c in text.casefold() if c.isalnum() or not c.isascii())
