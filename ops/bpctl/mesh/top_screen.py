"""The screen of `bpctl mesh top`: one table that refreshes in place."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

import typer
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable, Footer, Static

from ops.bpctl.mesh.top_rows import BY_METHOD, COLUMNS, NUMBERS, cut, fitted, is_bad, row, title
from ops.display import shown

REFRESH_S = 2.0
SLOW_S = 5.0
"""After this time without an answer, the operator learns that the values are old."""
UNAVAILABLE = "The control plane does not answer. The table keeps its last values."
NO_CALLS = "no calls"
Ask = Callable[[bool], dict[str, Any]]
"""Returns the live calls, by method on demand. Ends with Exit if nobody answers."""
Edge = dict[str, Any]
ORDERS: dict[str, Callable[[Edge], tuple[float, ...]]] = {
    "rate": lambda edge: (edge["per_second"],),
    "errors": lambda edge: (
        edge["failed_percent"] + edge["unanswered_percent"],
        edge["per_second"],
    ),
}


class Screen(App[None]):
    """Shows what `ask` returns, every REFRESH_S seconds."""

    TITLE = "bpctl mesh top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        ("m", "methods", "Methods"),
        ("e", "sort('errors')", "By errors"),
        ("r", "sort('rate')", "By rate"),
        ("q", "quit", "Quit"),
    ]

    def __init__(self, ask: Ask, *, methods: bool = False) -> None:
        super().__init__()
        self._ask = ask
        self._by_method = methods
        self._order = "rate"
        self._found: dict[str, Any] = {"seconds": 0.0, "edges": []}
        self._asking, self._asked_s = False, 0.0
        self._updated = ""
        self._keys: list[tuple[str, ...]] = []
        """What the rows are about."""
        self.table: DataTable[Text] = DataTable(
            cursor_type="row", zebra_stripes=True, cell_padding=0
        )

    def compose(self) -> ComposeResult:
        """Place two lines, the table and the keys."""
        yield Static(id="said")
        yield Static(id="when")
        yield self.table
        yield Footer()

    def on_mount(self) -> None:
        """Ask at once, then again and again."""
        self.refresh_calls()
        self.set_interval(REFRESH_S, self.refresh_calls)

    def on_resize(self) -> None:
        """Fit the columns to the new width."""
        self.call_after_refresh(self._fill)

    def refresh_calls(self) -> None:
        """Ask in a thread, because the answer may take a while; one question at a time."""
        if self._asking:
            if time.monotonic() - self._asked_s > SLOW_S:
                self._say(UNAVAILABLE)
        else:
            self._asking, self._asked_s = True, time.monotonic()
            # The process does not wait for it: a control plane that hangs must not delay `q`.
            threading.Thread(target=self._asked, daemon=True).start()

    def _asked(self) -> None:
        by_method = self._by_method
        # After `q`, there is no screen that could show the answer.
        with contextlib.suppress(RuntimeError):
            try:
                found = self._ask(by_method)
            except (typer.Exit, ValueError):
                self.call_from_thread(self._failed)
            else:
                self.call_from_thread(self._show, found, by_method)

    def action_methods(self) -> None:
        """Show methods, or callees again."""
        self._by_method = not self._by_method
        self.refresh_calls()

    def action_sort(self, order: str) -> None:
        """Order the rows."""
        self._order = order
        self._fill()

    def _failed(self) -> None:
        self._asking = False
        self._say(UNAVAILABLE)

    def _show(self, found: dict[str, Any], by_method: bool) -> None:
        self._asking = False
        if by_method != self._by_method:
            self.refresh_calls()
            return
        self._found = found
        self._updated = f"{datetime.now(UTC):%H:%M:%SZ}"
        self._say(title(found))
        self._fill()

    def _say(self, text: str) -> None:
        self.query_one("#said", Static).update(text)

    def _fill(self) -> None:
        """Show the rows; what the operator looks at stays where it is."""
        table, at, place = self.table, self.table.cursor_row, self.table.scroll_offset
        chosen = self._keys[at] if at < len(self._keys) else ()
        edges = sorted(self._found["edges"], key=ORDERS[self._order], reverse=True)
        self._keys = [(each["caller"], each["callee"], each["method"]) for each in edges]
        table.clear(columns=True)
        self._place(edges)
        row_ = self._keys.index(chosen) if chosen in self._keys else min(at, len(edges) - 1)
        table.move_cursor(row=max(0, row_), scroll=False)
        table.scroll_to(*place, animate=False)
        updated = f"updated {self._updated}, " if self._updated else ""
        what = f"{len(edges)} rows by {self._order}" if edges else NO_CALLS
        self.query_one("#when", Static).update(Text(f"{updated}{what}", "dim"))

    def _place(self, edges: list[Edge]) -> None:
        lines = [row(each) for each in edges]
        known = BY_METHOD if self._by_method else COLUMNS
        width = self.size.width - self.table.styles.scrollbar_size_vertical
        columns = fitted(known, lines, width)
        for name, wide in columns:
            self.table.add_column(_cell(name, name, wide), width=wide + 1)
        for edge, line in zip(edges, lines, strict=True):
            style = "red" if is_bad(edge) else ""
            self.table.add_row(*(_cell(name, line[name], wide, style) for name, wide in columns))


def _cell(name: str, text: str, width: int, style: str = "") -> Text:
    """Return a cell with a space after it; numbers are at the right."""
    plain = str(shown(cut(text, width)))
    placed = plain.rjust(width) if name in NUMBERS else plain.ljust(width)
    return Text(f"{placed} ", style=style)
