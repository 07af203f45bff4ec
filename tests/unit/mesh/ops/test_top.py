"""The live table: its rows, and its screen driven by keys."""

from typing import Any

import typer
from textual.widgets import Static

from ops.bpctl.mesh.top_rows import rows
from ops.bpctl.mesh.top_screen import UNAVAILABLE, Screen
from ops.waiting import until

EDGE = {"seconds": 60.0, "calls": 90, "denied": 0, "p99_ms": None, "breaker": "closed"}
EDGES: list[dict[str, Any]] = [
    EDGE
    | {"caller": "gateway", "callee": "customers", "method": "/a.B/Read", "per_second": 1.5}
    | {"failed": 0, "failed_percent": 0.0, "p50_ms": 2.25, "p95_ms": 140.4, "retries": None},
    EDGE
    | {"caller": "payments", "callee": "ach.example", "method": "", "per_second": 0.5}
    | {"failed": 3, "failed_percent": 10.0, "p50_ms": 9.0, "p95_ms": None, "retries": 4},
]
FOUND = {"seconds": 60.0, "edges": EDGES}


def test_rows_have_units_and_the_highest_rate_first() -> None:
    """A time that is not known is empty."""
    first, second = rows({"seconds": 60, "edges": EDGES[::-1]})
    assert (first["callee"], first["method"], first["rate"]) == ("customers", "Read", "1.50/s")
    assert (first["p50"], first["p95"], first["p99"], first["retries"]) == (
        *("2.2 ms", "140 ms", ""),
        "",
    )
    assert (second["errors"], second["retries"], second["breaker"]) == ("10.0 %", "4", "closed")


def shown(screen: Screen) -> list[str]:
    """Return the callees in the order of the rows."""
    table = screen.table
    return [str(table.get_row_at(at)[1]) for at in range(table.row_count)]


async def _shows(screen: Screen, callees: list[str]) -> None:
    async def there() -> bool:
        return shown(screen) == callees

    await until(there, what=f"the rows are {callees}")


async def test_the_screen_refreshes_sorts_and_shows_methods() -> None:
    """By keys; an answer for the other table is dropped."""
    asked: list[bool] = []

    def ask(by_method: bool) -> dict[str, Any]:
        asked.append(by_method)
        return FOUND

    screen = Screen(ask)
    async with screen.run_test(size=(120, 20)) as pilot:
        await _shows(screen, ["customers", "ach.example"])
        await pilot.press("e")
        assert shown(screen) == ["ach.example", "customers"]
        await pilot.press("m")

        async def by_method() -> bool:
            columns = screen.table.columns.values()
            return any(str(each.label) == "method" for each in columns)

        await until(by_method, what="the columns of methods")
        assert True in asked
        await pilot.press("q")


async def test_the_screen_survives_a_control_plane_that_does_not_answer() -> None:
    """The last rows stay."""
    answers = [FOUND]

    def ask(_: bool) -> dict[str, Any]:
        if answers:
            return answers.pop()
        raise typer.Exit(3)

    screen = Screen(ask)
    async with screen.run_test(size=(120, 20)):
        await _shows(screen, ["customers", "ach.example"])
        screen.refresh_calls()

        async def said() -> bool:
            return str(screen.query_one("#said", Static).content) == UNAVAILABLE

        await until(said, what="the message")
        assert shown(screen) == ["customers", "ach.example"]
