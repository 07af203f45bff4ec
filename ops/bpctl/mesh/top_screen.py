"""The screen of `bpctl mesh top`: one table that refreshes in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import typer
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable, Footer, Static

from ops.bpctl.mesh.top_rows import BY_METHOD, COLUMNS, row, title
from ops.display import shown

REFRESH_S = 2.0
UNAVAILABLE = "The control plane does not answer. The table keeps its last values."
Ask = Callable[[bool], dict[str, Any]]
"""Returns the live calls, by method on demand. Ends with Exit if nobody answers."""


class Screen(App[None]):
    """Shows what `ask` returns, every REFRESH_S seconds."""

    TITLE = "bpctl mesh top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        ("m", "methods", "Methods"),
        ("e", "sort('failed_percent')", "By errors"),
        ("r", "sort('per_second')", "By rate"),
        ("q", "quit", "Quit"),
    ]

    def __init__(self, ask: Ask, *, methods: bool = False) -> None:
        super().__init__()
        self._ask = ask
        self._by_method = methods
        self._order = "per_second"
        self._found: dict[str, Any] = {"seconds": 0.0, "edges": []}
        self.table: DataTable[Text] = DataTable(cursor_type="row", zebra_stripes=True)

    def compose(self) -> ComposeResult:
        """Place a line, the table and the keys."""
        yield Static(id="said")
        yield self.table
        yield Footer()

    def on_mount(self) -> None:
        """Ask at once, then again and again."""
        self.refresh_calls()
        self.set_interval(REFRESH_S, self.refresh_calls)

    def refresh_calls(self) -> None:
        """Ask in a thread, because the answer may take a while."""
        self.run_worker(self._asked, thread=True, exclusive=True)

    def _asked(self) -> None:
        by_method = self._by_method
        try:
            found = self._ask(by_method)
        except typer.Exit:
            self.call_from_thread(self._say, UNAVAILABLE)
            return
        self.call_from_thread(self._show, found, by_method)

    def action_methods(self) -> None:
        """Show methods, or callees again."""
        self._by_method = not self._by_method
        self.refresh_calls()

    def action_sort(self, order: str) -> None:
        """Order the rows."""
        self._order = order
        self._fill()

    def _show(self, found: dict[str, Any], by_method: bool) -> None:
        if by_method == self._by_method:
            self._found = found
            self._say(title(found))
            self._fill()

    def _say(self, text: str) -> None:
        self.query_one("#said", Static).update(text)

    def _fill(self) -> None:
        table, at = self.table, self.table.cursor_row
        columns = BY_METHOD if self._by_method else COLUMNS
        table.clear(columns=True)
        table.add_columns(*columns)
        edges = sorted(self._found["edges"], key=lambda each: -each[self._order])
        for edge in edges:
            cells = row(edge)
            style = "red" if edge["failed"] or edge["breaker"] == "open" else ""
            table.add_row(*(shown(cells[name], style) for name in columns))
        table.move_cursor(row=min(at, max(0, len(edges) - 1)))
