"""Text for the terminal: text from a customer or a partner is data, never markup or a command.

Rich reads brackets in a string as markup, and a terminal obeys control characters. A `Text` has no
markup, and each control character in it is written as an escape such as `\\x1b`.
"""

import unicodedata

from rich.text import Text

_OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of characters that act on the terminal or on the direction of text."""


def visible(value: object) -> str:
    """Return a value as text without control characters: each is written as an escape."""
    return "".join(
        ascii(char)[1:-1] if unicodedata.category(char) in _OBEYED else char for char in str(value)
    )


def shown(value: object, style: str = "") -> Text:
    """Return a value as text for rich; a list or tuple has one line for each of its values."""
    lines = value if isinstance(value, list | tuple) else (value,)
    return Text("\n".join(map(visible, lines)), style=style)
