"""The exit code of `bpctl ledger check`: 1 only for a finding."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from ops.bpctl import app, ledger
from ops.bpctl.connections import CHECK
from ops.judge import judge
from ops.judge.drain import InFlight
from ops.judge.findings import Findings, Kind

CASES = {
    "all agree": ((), 0),
    "a finding": ((Kind.BOOKS,), 1),
    "events in flight": ((Kind.NOT_DRAINED,), 1),
    "a store that is down": ((Kind.STORE_UNREADABLE,), 3),
    "a store that is down and its events": ((Kind.NOT_DRAINED, Kind.STORE_UNREADABLE), 3),
}


@pytest.mark.parametrize("option", ["", "--json"])
@pytest.mark.parametrize(("kinds", "code"), CASES.values(), ids=CASES)
def test_a_store_that_could_not_be_read_is_no_finding(
    kinds: tuple[Kind, ...], code: int, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    findings = Findings()
    for kind in kinds:
        findings.add(kind, "readable", "ConnectionError", store="bp_write")

    async def judged(_stores: object, _wait_s: float) -> judge.Verdict:
        return judge.Verdict(findings, InFlight(), 0.1)

    monkeypatch.setattr(judge, "judge", judged)
    monkeypatch.setattr(ledger, "stores", lambda: None)
    done = CliRunner().invoke(app.build(), ["ledger", "check", *option.split()])
    assert done.exit_code == code
    assert (CHECK in done.stderr) == (code == 3)
    assert len(done.stderr.splitlines()) == (code == 3)
    if option:
        assert json.loads(done.stdout)["ok"] == (not kinds)
    else:
        assert all(kind.name in done.stdout for kind in kinds)


def test_the_help_names_every_exit_code() -> None:
    told = " ".join(CliRunner().invoke(app.build(), ["ledger", "check", "--help"]).stdout.split())
    assert "Exit code 0 when they agree, 1 when they do not, 3 when a store" in told
