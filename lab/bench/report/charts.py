"""Draws charts as SVG: horizontal bars, whole or in segments. Pure.

The background is white, so a chart looks the same on light and dark pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 760
LABELS = 210
"""Room for the labels on the left …"""
VALUES = 150
"""… and for the values on the right."""
ROW = 26
BAR = 16
TOP = 46
BOTTOM = 16
INK = "#1f2933"
FAINT = "#7b8794"
OURS = "#0b6e4f"
OTHERS = "#9fb3c8"
PALETTE = (
    "#0b6e4f",
    "#e9b44c",
    "#3d5a80",
    "#c8553d",
    "#7d8597",
    "#6a994e",
    "#b56576",
    "#56a3a6",
    "#8d6a9f",
    "#d9c5b2",
)
REST = "#e1e5ea"


@dataclass(frozen=True, slots=True)
class Bar:
    """One row: a label, a value, and the text after the bar."""

    label: str
    value: float
    text: str
    ours: bool = True
    low: float | None = None
    """Start of a range; None for a single value."""


@dataclass(frozen=True, slots=True)
class Stack:
    """One row of segments."""

    label: str
    segments: Sequence[tuple[str, float]]
    text: str

    @property
    def total(self) -> float:
        """Length of the whole row."""
        return sum(value for _, value in self.segments)


def bars(title: str, rows: Sequence[Bar]) -> str:
    """Draw one bar for each row, starting at zero."""
    scale = _scale(max((row.value for row in rows), default=0.0))
    drawn: list[str] = []
    for number, row in enumerate(rows):
        y = TOP + number * ROW
        colour = OURS if row.ours else OTHERS
        drawn.append(_label(row.label, y))
        if row.low is not None and row.low < row.value:
            drawn.append(_rect(LABELS, y, row.value * scale, colour, opacity=0.45))
            drawn.append(_rect(LABELS, y, row.low * scale, colour))
        else:
            drawn.append(_rect(LABELS, y, row.value * scale, colour))
        drawn.append(_value(row.text, LABELS + row.value * scale, y))
    return _svg(title, drawn, TOP + len(rows) * ROW + BOTTOM)


def stacks(title: str, rows: Sequence[Stack], named_max: int = len(PALETTE)) -> str:
    """Draw rows of segments. The legend names the largest; all others are merged into one."""
    scale = _scale(max((row.total for row in rows), default=0.0))
    names = _largest(rows, named_max)
    colours = dict(zip(names, PALETTE, strict=False))
    drawn: list[str] = []
    for number, row in enumerate(rows):
        y, x = TOP + number * ROW, float(LABELS)
        drawn.append(_label(row.label, y))
        for name in (*names, None):
            value = sum(v for n, v in row.segments if (n if n in colours else None) == name)
            drawn.append(_rect(x, y, value * scale, colours.get(name or "", REST)))
            x += value * scale
        drawn.append(_value(row.text, x, y))
    below = TOP + len(rows) * ROW + 6
    legend, height = _legend([*colours.items(), ("the rest", REST)], below)
    return _svg(title, [*drawn, *legend], height + BOTTOM)


def _largest(rows: Sequence[Stack], count: int) -> list[str]:
    most: dict[str, float] = {}
    for row in rows:
        for name, value in row.segments:
            most[name] = max(most.get(name, 0.0), value)
    return sorted(most, key=lambda name: -most[name])[:count]


def _scale(longest: float) -> float:
    return (WIDTH - LABELS - VALUES) / longest if longest else 0.0


def _label(text: str, y: float) -> str:
    return (
        f'<text x="{LABELS - 10}" y="{y + 12.5:g}" text-anchor="end" fill="{INK}">'
        f"{escape(text)}</text>"
    )


def _value(text: str, x: float, y: float) -> str:
    return f'<text x="{x + 8:.1f}" y="{y + 12.5:g}" fill="{FAINT}">{escape(text)}</text>'


def _rect(x: float, y: float, width: float, colour: str, opacity: float = 1.0) -> str:
    shown = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
    return (
        f'<rect x="{x:.1f}" y="{y:g}" width="{max(width, 0):.1f}" height="{BAR}" '
        f'fill="{colour}"{shown}/>'
    )


def _legend(entries: Sequence[tuple[str, str]], top: float) -> tuple[list[str], int]:
    drawn: list[str] = []
    columns, width = 5, WIDTH // 5
    for number, (name, colour) in enumerate(entries):
        x, y = 16 + number % columns * (width - 4), top + number // columns * 20
        drawn.append(f'<rect x="{x}" y="{y + 3:g}" width="10" height="10" fill="{colour}"/>')
        drawn.append(f'<text x="{x + 15}" y="{y + 12:g}" fill="{INK}">{escape(name)}</text>')
    return drawn, int(top + -(-len(entries) // columns) * 20)


def _svg(title: str, drawn: Sequence[str], height: float) -> str:
    body = "\n".join(drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:g}" '
        f'viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(title)}" '
        'font-family="system-ui, sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{height:g}" rx="6" fill="#ffffff"/>\n'
        f'<text x="16" y="26" font-size="15" font-weight="600" fill="{INK}">'
        f"{escape(title)}</text>\n"
        f"{body}\n</svg>\n"
    )
