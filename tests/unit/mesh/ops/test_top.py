"""The live table: its rows, and its screen driven by keys."""

import threading
from typing import Any

import pytest
import typer
from textual.widgets import Static

from ops.bpctl.mesh import top_screen
from ops.bpctl.mesh.top_rows import BY_METHOD, COLUMNS, cut, fitted, row, rows
from ops.bpctl.mesh.top_screen import UNAVAILABLE, Screen
from ops.waiting import until

EDGE = {
    **{"seconds": 60.0, "calls": 90, "denied": 0, "p99_ms": None, "breaker": "closed"},
    **{"unanswered": 0, "unanswered_percent": 0.0},
}
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


@pytest.mark.parametrize("columns", [COLUMNS, BY_METHOD])
def test_errors_and_breaker_are_on_a_screen_of_80_columns(columns: tuple[str, ...]) -> None:
    """Names are shortened; a wide screen shows every column whole."""
    method = "/bp.payments.v1.PaymentsService/CreateInterbankTransfer"
    edge = EDGES[1] | {"caller": "notifications", "method": method}
    edge |= {"callee": "directory.ach-network.example"}
    lines = [row(edge | {"unanswered": 9, "unanswered_percent": 10.0})]
    narrow, wide = fitted(columns, lines, 78), fitted(columns, lines, 198)
    assert sum(width + 1 for _, width in narrow) <= 78
    kept = {"caller", "callee", "rate", "errors", "no answer", "p95"}
    assert kept | ({"method"} if "method" in columns else {"breaker"}) <= {e for e, _ in narrow}
    assert all(width >= 12 for name, width in narrow if name in ("caller", "callee", "method"))
    assert [name for name, _ in wide] == list(columns)
    assert all(len(lines[0][name]) <= width for name, width in wide)
    assert cut("directory", 5) == "dire…"


def shown(screen: Screen) -> list[str]:
    """Return the callees in the order of the rows."""
    table = screen.table
    return [str(table.get_row_at(at)[1]).strip() for at in range(table.row_count)]


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
            return any(str(each.label).strip() == "method" for each in columns)

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


async def test_what_the_operator_looks_at_stays_where_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refresh keeps the scrolled place, and the cursor on its row wherever that goes."""
    monkeypatch.setattr(top_screen, "REFRESH_S", 1_000.0)
    rates = {"n": 0}

    def ask(_: bool) -> dict[str, Any]:
        rates["n"] += 1
        # The order of the rows is another one each time.
        sign = 1 if rates["n"] % 2 else -1
        edges = [EDGES[0] | {"callee": f"s{n:02}", "per_second": sign * n} for n in range(40)]
        return {"seconds": 60.0, "edges": edges}

    async def asked(times: int) -> None:
        async def there() -> bool:
            return rates["n"] >= times and shown(screen)[:1] == ["s00" if times % 2 == 0 else "s39"]

        await until(there, what=f"answer {times}")

    screen = Screen(ask)
    async with screen.run_test(size=(60, 12)) as keys:
        await asked(1)
        await keys.press(*["down"] * 20)
        await keys.pause()
        place = screen.table.scroll_offset
        assert place.y > 0
        assert shown(screen)[screen.table.cursor_row] == "s19"
        screen.refresh_calls()
        await asked(2)
        await keys.pause()
        assert screen.table.scroll_offset == place
        assert shown(screen)[screen.table.cursor_row] == "s19"


async def test_a_control_plane_that_hangs_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each refresh would leave one more thread, and an old answer might come last.

    The screen says that it has no answer.
    """
    monkeypatch.setattr(top_screen, "SLOW_S", 0.0)
    release, asked = threading.Event(), list[bool]()

    def ask(by_method: bool) -> dict[str, Any]:
        asked.append(by_method)
        release.wait(60)
        return FOUND

    screen = Screen(ask)
    async with screen.run_test(size=(120, 20)) as keys:
        for _ in range(3):
            screen.refresh_calls()
        await keys.press("m")
        assert asked == [False]
        assert str(screen.query_one("#said", Static).content) == UNAVAILABLE
        release.set()
        await _shows(screen, ["customers", "ach.example"])
        assert asked[:2] == [False, True]
