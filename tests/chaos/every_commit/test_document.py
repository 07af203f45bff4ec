"""docs/transfer-saga.md states correctly how a transfer ends after a fault at each commit."""

from sandbox.stack.home import REPO
from tests.chaos.every_commit.rows import STEPS, Step

HEAD = "| commit | leads to | after any fault there it ends as |\n|---|---|---|\n"


def _line(step: Step) -> str:
    name = "debit" if step.row is None else f"{step.row[0].name}, {step.row[1].name.lower()}"
    return f"| {name} | {step.following.name} | {' or '.join(sorted(step.scenario.ends_as))} |\n"


def test_the_documents_table_matches_the_cases() -> None:
    table = HEAD + "".join(_line(step) for step in STEPS)
    text = (REPO / "docs" / "transfer-saga.md").read_text()
    assert table in text, f"docs/transfer-saga.md lacks this table:\n{table}"
