"""Text from a customer or a partner cannot change the rest of an operator's screen."""

from typing import Any

import pytest

from ops.bpctl import audit, ledger
from ops.bpctl.transfers import table
from sandbox.demo.stage import Stage
from sandbox.stack import progress
from services.audit.inspection import Report
from services.audit.verify import Finding, Kind

HOSTILE = {
    "markup that closes nothing": "Bo [/] X",
    "markup that colours": "[green]CLEARED[/green]",
    "a link": "[link=https://example.test]Luis[/link]",
    "an escape sequence": "Luis\x1b[2K\x1b[1A",
    "one of eight bits": "Luis\x9b2K",
    "a change of direction": "Luis\u202e001",
    "a new row": "Luis\nreview OPEN",
}
WRITTEN = {
    "an escape sequence": r"Luis\x1b[2K\x1b[1A",
    "one of eight bits": r"Luis\x9b2K",
    "a change of direction": r"Luis\u202e001",
    "a new row": r"Luis\nreview OPEN",
}
names = pytest.mark.parametrize("name", HOSTILE)


def verdict(text: str) -> dict[str, Any]:
    difference = {"kind": "X", "ids": {"id": text}, "expected": [text], "actual": text}
    return {
        "ok": False,
        "seconds": 1,
        "checked": {},
        "waiting_for_partners": {text: 1},
        "differences": [difference],
        "difference_counts": {text: 1},
    }


def node(text: str) -> dict[str, Any]:
    return {"name": "x", "state": "ready", "ready_after_s": 1, "reason": text, "trouble": text}


def shown_whole(out: str, name: str) -> None:
    assert WRITTEN.get(name, HOSTILE[name]) in out
    assert not any(sign in out for sign in "\x1b\x9b\u202e")


@names
def test_a_customers_text_is_shown_as_it_is_in_a_table_and_in_its_place(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table("Review", [{"field": "beneficiary name", "value": HOSTILE[name]}], ("field", "value"))
    shown_whole(capsys.readouterr().out, name)
    table(HOSTILE[name], HOSTILE[name], ())
    shown_whole(capsys.readouterr().out, name)


@names
def test_a_finding_shows_its_text_as_it_is(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    audit._show(Report(notes=[HOSTILE[name]]))
    shown_whole(capsys.readouterr().out, name)
    audit._show(Report(findings=[Finding(Kind.GAP, 0, 0, "", HOSTILE[name])]))
    shown_whole(capsys.readouterr().out, name)


@names
def test_a_difference_shows_its_text_as_it_is(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    ledger._show(verdict(HOSTILE[name]))
    shown_whole(capsys.readouterr().out, name)


@names
def test_a_parts_trouble_is_shown_as_it_is(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    progress.print_status([node(HOSTILE[name].partition("\n")[0])])
    written = WRITTEN.get(name, HOSTILE[name]).partition("\\n")[0]
    assert written in capsys.readouterr().out


@names
def test_a_push_is_shown_as_it_is(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    Stage().phone({"notification": {"title": "Paid", "body": HOSTILE[name]}})
    shown_whole(capsys.readouterr().out, name)


IDS = {
    "create_time": "2026-11-29T09:30:00.123456+00:00",
    "transfer_id": "0193a5f2-7d3c-7c3e-9a51-2f6b0c4d8e17",
    "trace_number": "021000021234567",
    "reason": "a word and " * 12 + "x" * 90,
    "event_id": "0193a5f2-7d3c-7c3e-9a51-2f6b0c4d8e18",
}


@pytest.mark.parametrize("columns", ["80", "40"])
def test_an_id_in_a_table_can_be_copied_from_a_narrow_terminal(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "dumb")
    table("Found", [IDS], (*IDS,))
    out = capsys.readouterr().out
    for name in ("transfer_id", "trace_number", "event_id"):
        assert IDS[name] in out
    assert "2026-11-29" in out
    assert "09:30:00Z" in out
    assert "123456+00:00" not in out
    assert IDS["reason"] not in out, "long text is folded"


def test_a_table_in_a_file_or_a_pipe_has_one_line_for_each_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    table("Found", [IDS], (*IDS,))
    (row,) = [line for line in capsys.readouterr().out.splitlines() if IDS["event_id"] in line]
    assert all(IDS[name] in row for name in IDS if name != "create_time")
    assert "2026-11-29 09:30:00Z" in row


def test_a_list_of_transfers_and_reviews_fits_into_eighty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "dumb")
    row: dict[str, Any] = {
        **IDS,
        "kind": "INTERBANK",
        "state": "COMPLETED",
        "amount": "1,250.00 USD",
    }
    row["transfer"] = [IDS["transfer_id"], f"INTERBANK {IDS['trace_number']}"]
    table("Transfers", [row], ("create_time", "state", "amount", "transfer"))
    table("Reviews", [row], ("create_time", "transfer_id", "amount", "state"))
    out = capsys.readouterr().out
    assert out.count(IDS["transfer_id"]) == 2
    assert max(map(len, out.splitlines())) <= 80
