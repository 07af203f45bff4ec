"""Text for the terminal: text from a customer or a partner is data, never markup or a command.

Rich reads brackets in a string as markup, and a terminal obeys control characters. A `Text` has no
markup, and each control character in it is written as an escape such as `\\x1b`.
"""

import unicodedata
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

_OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of characters that act on the terminal or on the direction of text."""

_UNBOUNDED = 100_000
_NARROW = 10
"""The width to which a column may be folded so that columns of ids fit, in characters."""


def visible(value: object) -> str:
    """Return a value as text without control characters: each is written as an escape."""
    return "".join(
        ascii(char)[1:-1] if unicodedata.category(char) in _OBEYED else char for char in str(value)
    )


def shown(value: object, style: str = "") -> Text:
    """Return a value as text for rich; a list or tuple has one line for each of its values."""
    lines = value if isinstance(value, list | tuple) else (value,)
    return Text("\n".join(map(visible, lines)), style=style)


def short_time(value: object) -> object:
    """Return a time, or its ISO text, as `2026-11-29 09:30:00Z`; any other value unchanged."""
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return value
    zoned = time if time.tzinfo else time.replace(tzinfo=UTC)
    return f"{zoned.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def print_table(table: Table) -> None:
    """Print a table so that its `no_wrap` columns stay whole and can be copied.

    If they do not fit, the lines are longer than the terminal is wide. Without a terminal, no cell
    is folded.
    """
    console = Console()
    width = _width(console, table) if console.is_terminal else _UNBOUNDED
    Console(width=width, height=console.height).print(table)


def _width(console: Console, table: Table) -> int:
    """Return the terminal's width, or more if the `no_wrap` columns need more."""
    options = console.options.update(width=_UNBOUNDED)
    needed = 1
    for column in table.columns:
        cells = (column.header, *column.cells)
        widest = max(console.measure(cell, options=options).maximum for cell in cells)
        needed += 3 + (widest if column.no_wrap else min(widest, _NARROW))
    return max(console.width, needed)
