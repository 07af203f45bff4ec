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
