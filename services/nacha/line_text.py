"""A text as a record of a Nacha file holds it: printable ASCII (Nacha rules, appendix 3). Pure.

Accents are dropped, and letters and punctuation are replaced by their customary ASCII form. A
record cannot hold any other character.
"""

import unicodedata

_FORMS = str.maketrans(
    {
        "ß": "ss",
        "ẞ": "SS",
        "æ": "ae",
        "Æ": "AE",
        "œ": "oe",
        "Œ": "OE",
        "ø": "o",
        "Ø": "O",
        "đ": "d",
        "Đ": "D",
        "ð": "d",
        "Ð": "D",
        "ł": "l",
        "Ł": "L",
        "þ": "th",
        "Þ": "Th",
        "ħ": "h",
        "Ħ": "H",
        "ı": "i",
        "‘": "'",
        "’": "'",
        "‚": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "«": '"',
        "»": '"',
        "‐": "-",
        "‑": "-",
        "‒": "-",
        "–": "-",
        "—": "-",
        "−": "-",
        "•": "*",
        "·": ".",
        "¡": "!",
        "¿": "?",
        "×": "x",
        "€": "EUR",
        "£": "GBP",
        "¥": "JPY",
        "¢": "c",
        # Joiners have no width.
        "\u200c": "",
        "\u200d": "",
    }
)


def line_text(text: str) -> str | None:
    """Return a text in printable ASCII, or None if it has a character without an ASCII form.

    Also returns None if the ASCII text has only spaces; an empty text remains empty.
    """
    parts = unicodedata.normalize("NFKD", text.translate(_FORMS)).translate(_FORMS)
    line = "".join(one for one in parts if unicodedata.category(one) != "Mn")
    if text and not line.strip():
        return None
    return line if all(" " <= one <= "~" for one in line) else None
