"""`bpctl sandbox` refuses what a partner would not do, before it calls one."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from sandbox.commands import partners

REFUSED = {
    "partner ach": "",
    "partner nobody state": "'nobody' is not one of",
    "partner ach nonsense": "'nonsense' is not one of",
    "partner ach fault": "Name the kind of fault: latency, hang",
    "partner ach fault nonsense": "'nonsense' is not one of",
    "partner ach fault latency": "Give the latency with --ms",
    "partner ach fault hang --ms -1": "",
    "partner ach fault reset --ms 5": "--ms has no effect on reset",
    "partner ach fault hang --status 503": "--status has no effect on hang",
    "partner ach fault http_5xx --status 200": "--status of http_5xx is 500 to 599",
    "partner ach fault reject --status 302": "--status of reject is 400 to 599",
    "partner ach fault hang --rate 2": "",
    "partner ach fault hang --count 0": "",
    "partner ach clear hang": "Only the action fault takes a kind and options; clear takes none",
    "partner ach clear --endpoint x": "Only the action fault takes a kind and options",
    "partner ach state --ms 5": "Only the action fault takes a kind and options",
    "clock advance --banking-days -1": "",
    "clock advance --days 0": "",
    "clock advance --seconds -1": "",
    "outbox": "",
    "outbox sms": "",
    "outbox email --to a": "'email' is not one of",
    "outbox sms --to +15550100001 --limit 0": "",
    "clock advance --days 1 --banking-days 1": "Give one of --banking-days, --days and --seconds",
}
ACCEPTED = (
    "partner ach fault http_5xx --status 503 --endpoint x",
    "partner ach fault latency --ms 0",
    "partner ach fault hang",
    "partner fraud clear",
    "outbox sms --to +15550100001",
    "outbox push --to phone-ana --limit 1 --json",
    "clock advance",
    "clock advance --banking-days 2",
)


def said(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    monkeypatch.setenv("BP_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    app = typer.Typer()
    partners.register(app)
    app.callback()(lambda: None)
    result = CliRunner().invoke(app, ["sandbox", *line.split()])
    return result.exit_code, result.output


@pytest.mark.parametrize("line", REFUSED)
def test_an_option_without_effect_or_sense_is_refused(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, text = said(line, tmp_path, monkeypatch)
    assert code == 2, text
    assert REFUSED[line] in text


@pytest.mark.parametrize("line", ACCEPTED)
def test_all_others_reach_the_bank_which_was_never_started(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, text = said(line, tmp_path, monkeypatch)
    assert (code, text) == (3, f"The bank was never started in {tmp_path}. Run `make up`.\n")
