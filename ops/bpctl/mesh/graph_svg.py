"""Draws the graph of calls as SVG. Pure: text in, text out.

Callers are left of what they call. A line that is drawn through has calls, and its width grows with
their rate; a dashed line only may have some.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from itertools import pairwise

BOX_W, BOX_H, GAP_X, GAP_Y, EDGE = 190, 34, 130, 22, 20
_STYLE = (
    "text{font:13px sans-serif;fill:#222}"
    ".rate{font-size:11px;fill:#444;paint-order:stroke;stroke:#fff;stroke-width:3px}"
    ".box{fill:#f3f6fa;stroke:#56708f}.partner{fill:#fdf6e9;stroke:#a07a2c}"
    ".may{fill:none;stroke:#b5b5b5;stroke-dasharray:4 4}"
    ".does{fill:none;stroke:#2b7a4b}.fails{fill:none;stroke:#c0392b}"
)
Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Link:
    """A caller and a callee."""

    caller: str
    callee: str
    partner: bool
    methods: int
    allowed: bool
    per_second: float = 0.0
    failed_percent: float = 0.0
    called: bool = False
    unanswered_percent: float = 0.0

    @property
    def words(self) -> str:
        """The calls in words."""
        if not self.called:
            return "no calls"
        lost = f", {self.unanswered_percent:.1f} % no answer" if self.unanswered_percent else ""
        return f"{self.per_second:.2f}/s, {self.failed_percent:.1f} % errors{lost}"

    @property
    def fails(self) -> bool:
        """Whether some calls failed or had no answer."""
        return self.failed_percent > 0 or self.unanswered_percent > 0


def drawn(links: list[Link], about: str = "") -> str:
    """Return the drawing. `about` says from when the calls are; "" draws no calls."""
    columns = _columns(links)
    places: dict[str, Place] = {
        name: (EDGE + at * (BOX_W + GAP_X), 2 * EDGE + row * (BOX_H + GAP_Y))
        for at, column in enumerate(columns)
        for row, name in enumerate(column)
    }
    rows = Counter(x for x, _ in places.values())
    width = 2 * EDGE + len(columns) * (BOX_W + GAP_X) - GAP_X
    height = 3 * EDGE + max(map(len, columns), default=0) * (BOX_H + GAP_Y)
    partners = {each.callee for each in links if each.partner}
    said = f"Calls of {about}" if about else "Who may call whom"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{EDGE}" y="{EDGE}">{escape(said)}</text>',
        *(
            _line(each, _points(places[each.caller], places[each.callee], rows), about)
            for each in links
        ),
        *(_box(name, place, name in partners) for name, place in places.items()),
        *_rates(links, places, rows),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _columns(links: list[Link]) -> list[list[str]]:
    """Return the names by column: each callee is right of its callers, partners are last."""
    partners = {each.callee for each in links if each.partner}
    names = {name for each in links for name in (each.caller, each.callee)} - partners
    depth = dict.fromkeys(names, 0)
    # A cycle of calls ends after as many rounds as there are names.
    for _ in names:
        for each in links:
            if each.callee in depth and each.callee != each.caller:
                deeper = max(depth[each.callee], depth[each.caller] + 1)
                depth[each.callee] = min(deeper, len(names) - 1)
    columns = [[n for n in sorted(names) if depth[n] == at] for at in sorted(set(depth.values()))]
    return [each for each in (*columns, sorted(partners)) if each]


def _line(link: Link, points: list[Place], about: str) -> str:
    kind = "may" if not link.called else "fails" if link.fails else "does"
    width = 1.0 + min(7.0, 2.0 * math.log10(1 + link.per_second * 10)) if link.called else 1.0
    words = f": {link.words}" if about else ""
    title = escape(f"{link.caller} → {link.callee}{words}")
    return (
        f'<path class="{kind}" stroke-width="{width:.1f}" d="{_curve(points)}">'
        f"<title>{title}</title></path>"
    )


def _points(start: Place, end: Place, rows: Mapping[float, int]) -> list[Place]:
    """Return where a line passes: in the gaps between the boxes of the columns on its way."""
    x1, y1, x2, y2 = _ends(start, end)
    made = [(x1, y1)]
    for x, count in sorted(rows.items()):
        if x1 < x < x2:
            wanted = y1 + (y2 - y1) * (x + BOX_W / 2 - x1) / (x2 - x1)
            gaps = [_gap(at) for at in range(count + 1)]
            # Everything below the last box is free.
            y = min((*gaps, max(wanted, gaps[-1])), key=lambda one: abs(one - wanted))
            made += [(x, y), (x + BOX_W, y)]
    return [*made, (x2, y2)]


def _gap(row: int) -> float:
    """Return the middle of the gap above a row."""
    return 2 * EDGE + row * (BOX_H + GAP_Y) - GAP_Y / 2


def _curve(points: list[Place]) -> str:
    made = f"M{points[0][0]:g},{points[0][1]:g}"
    for (x1, y1), (x2, y2) in pairwise(points):
        bend = max(GAP_X / 2, abs(x2 - x1) / 2)
        made += f" C{x1 + bend:g},{y1:g} {x2 - bend:g},{y2:g} {x2:g},{y2:g}"
    return made


def _ends(start: Place, end: Place) -> tuple[float, float, float, float]:
    return start[0] + BOX_W, start[1] + BOX_H / 2, end[0], end[1] + BOX_H / 2


def _box(name: str, place: Place, partner: bool) -> str:
    x, y = place
    kind = "box partner" if partner else "box"
    return (
        f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{BOX_W}" height="{BOX_H}" rx="5"/>'
        f'<text x="{x + 9:g}" y="{y + 21:g}">{escape(_short(name))}</text>'
    )


def _short(name: str) -> str:
    return name if len(name) <= 27 else f"{name[:26]}…"


def _rates(
    links: Iterable[Link], places: Mapping[str, Place], rows: Mapping[float, int]
) -> Iterator[str]:
    """Write each rate at the middle of the line's last part."""
    for each in links:
        if each.called:
            points = _points(places[each.caller], places[each.callee], rows)
            (x1, y1), (x2, y2) = points[-2:]
            x, y = (x1 + x2) / 2 - 20, (y1 + y2) / 2 - 4
            yield f'<text class="rate" x="{x:g}" y="{y:g}">{each.per_second:.2f}/s</text>'
