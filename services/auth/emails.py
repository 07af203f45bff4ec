"""The one form of an e-mail address by which the bank finds an account. Pure.

Two spellings with the same canonical form belong to the same account. The bank sends mail and
codes only to what the account stores, so a typed spelling never chooses the receiver.
"""

import unicodedata

import idna

LENGTH_OCTETS_MAX = 254
LOCAL_OCTETS_MAX = 64
"""RFC 5321, 4.5.3.1."""
_ATEXT_MARKS = frozenset("!#$%&'*+-/=?^_`{|}~")
"""The ASCII marks of an atom in RFC 5322, 3.2.3."""
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})
"""Control, invisible, undefined and space characters: two addresses must not look the same."""


class EmailInvalid(ValueError):
    """The text is not an e-mail address that the bank accepts."""


def canonical(text: str) -> str:
    """Return the canonical form: NFKC and folded case before the @, IDNA 2008 ASCII after it.

    Spaces around the address do not count. Raise EmailInvalid for a malformed address. The form
    is stable: the canonical form of a canonical form is the same.
    """
    local, at, domain = unicodedata.normalize("NFKC", text.strip()).rpartition("@")
    if not at:
        raise EmailInvalid
    address = f"{_local(local)}@{_domain(domain)}"
    if len(address.encode()) > LENGTH_OCTETS_MAX:
        raise EmailInvalid
    return address


def _local(text: str) -> str:
    """Return the folded local part, a dot-atom of RFC 5322 and RFC 6531."""
    folded = _folded(text)
    if not all(folded.split(".")) or not all(_is_allowed(c) for c in folded):
        raise EmailInvalid
    if len(folded.encode()) > LOCAL_OCTETS_MAX:
        raise EmailInvalid
    return folded


def _folded(text: str) -> str:
    """Return the form of Unicode's compatibility caseless match (definition D146), composed."""
    once = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFKC", once.casefold())


def _is_allowed(character: str) -> bool:
    if character.isascii():
        return character.isalnum() or character == "." or character in _ATEXT_MARKS
    return unicodedata.category(character) not in _REFUSED_CATEGORIES


def _domain(text: str) -> str:
    """Return the domain in ASCII. ß stays apart from ss, because DNS may have both domains."""
    try:
        # UTS 46 lowers the case and maps full-width forms and dots.
        domain = idna.encode(text, uts46=True, std3_rules=True).decode("ascii")
    except UnicodeError:
        raise EmailInvalid from None
    labels = domain.split(".")
    if len(labels) < 2 or labels[-1].isdigit() or not all(labels):
        raise EmailInvalid
    return domain
