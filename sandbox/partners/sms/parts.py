"""How many parts a text needs on the radio (3GPP TS 23.038 and 23.040): pure.

A text of the GSM alphabet has 160 septets in one part and 153 in each of several; any other text
has 70 or 67 code units of UCS-2. A character is never split between two parts.
"""

from collections.abc import Iterable

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
"""Each of these takes two septets: an escape and the character."""
GSM_SEPTETS = (160, 153)
UCS2_UNITS = (70, 67)
_BASIC_PLANE_MAX = 0xFFFF


def parts(text: str) -> int:
    """Return the number of parts of a text, at least 1."""
    if _BASIC.union(_EXTENDED).issuperset(text):
        return _filled((2 if char in _EXTENDED else 1 for char in text), *GSM_SEPTETS)
    return _filled((2 if ord(char) > _BASIC_PLANE_MAX else 1 for char in text), *UCS2_UNITS)


def _filled(sizes: Iterable[int], alone: int, each: int) -> int:
    found = list(sizes)
    if sum(found) <= alone:
        return 1
    count, used = 1, 0
    for size in found:
        if used + size > each:
            count, used = count + 1, 0
        used += size
    return count
