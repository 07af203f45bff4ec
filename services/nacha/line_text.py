"""A text as a record of a Nacha file holds it: printable ASCII (Nacha rules, appendix 3). Pure.

Accents are dropped, and letters and punctuation that have a customary ASCII form get it. Any other
character has no place in a record.
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

    None also stands for a text of which nothing can be seen in ASCII.
    """
    parts = unicodedata.normalize("NFKD", text.translate(_FORMS)).translate(_FORMS)
    line = "".join(one for one in parts if unicodedata.category(one) != "Mn")
    if text and not line.strip():
        return None
    return line if all(" " <= one <= "~" for one in line) else None
