"""Checks that a new migration does not stop the bank by locking a table in use for long.

squawk finds statements that rewrite, scan or lock a table for a long time. The bank adds three
rules. A transaction locks at most one existing table, because otherwise code and migration would
have to lock tables in the same order. A migration outside a transaction is one concurrent
statement. Running calls must keep working: no function is dropped and no service loses a right.
`-- squawk-ignore <rule>` above a statement exempts it; the comment above it says why.
"""

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tools.check.tools import BIN, REPO, CheckFailed, output

FROZEN = {
    "audit": "0004",
    "chassis": "0003",
    "customers": "0004",
    "ledger": "0014",
    "notifications": "0004",
    "payments": "0032",
    "relay": "0006",
    "transfers": "0011",
}
"""The last migration of each service that is older than these rules. docs/deployability.md lists
what these migrations block."""

RULES = frozenset(
    {
        "adding-field-with-default",
        "adding-foreign-key-constraint",
        "adding-not-nullable-field",
        "adding-required-field",
        "adding-serial-primary-key-field",
        "ban-concurrent-index-creation-in-transaction",
        "ban-drop-column",
        "ban-drop-table",
        "ban-truncate-cascade",
        "changing-column-type",
        "constraint-missing-not-valid",
        "disallowed-unique-constraint",
        "renaming-column",
        "renaming-table",
        "require-concurrent-index-creation",
        "require-concurrent-index-deletion",
    }
)
"""The rules of squawk that are about locks, or about the processes of the previous version."""

_OUTSIDE_TRANSACTION = re.compile(r"^-- migrate:up\s+transaction:false\b")
_COMMENT = re.compile(r"--[^\n]*")
_BODY = re.compile(r"\$(\w*)\$.*?\$\1\$", re.DOTALL)
_CREATED = re.compile(r"\bCREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?([\w.]+)", re.IGNORECASE)
_LOCKED = re.compile(
    r"\b(?:ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?"
    r"|(?:LOCK|DROP|TRUNCATE)\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?"
    r"|(?:CREATE|DROP)\s+(?:OR\s+REPLACE\s+)?(?:CONSTRAINT\s+)?TRIGGER\b[^;]*?\bON\s+"
    r"|CREATE\s+(?:UNIQUE\s+)?INDEX\b(?!\s+CONCURRENTLY)[^;]*?\bON\s+(?:ONLY\s+)?)"
    r"([\w.]+)(?!\s+VALIDATE\b)(?![\w.])",
    re.IGNORECASE,
)


_TAKEN = {
    "dropped-function": re.compile(r"^DROP\s+FUNCTION\b", re.IGNORECASE | re.MULTILINE),
    "revoked-right": re.compile(
        r"^REVOKE\b[^;]*\bFROM\s[^;]*\bbp_\w+", re.IGNORECASE | re.MULTILINE
    ),
}
_TAKEN_REASON = "Running calls fail when this commits. Do it once no process makes such calls."


class Finding(NamedTuple):
    """A broken rule: the line of the migration, from 1, the rule's name and the reason."""

    line: int
    rule: str
    reason: str


def refuse_long(root: Path = REPO) -> None:
    """Raise CheckFailed with a line for each rule that a new migration breaks."""
    found = [
        f"{file.relative_to(root)}:{finding.line}: {finding.rule}: {finding.reason}"
        for file in sorted(root.glob("services/*/sql/migrations/*.sql"))
        if file.name[:4] > FROZEN.get(file.parents[2].name, "")
        for finding in findings(file)
    ]
    if found:
        raise CheckFailed("\n".join([*found, "See docs/deployability.md, Migrations in use."]))


def findings(file: Path) -> list[Finding]:
    """Return the rules that a migration breaks on its way up, in order of line."""
    up = file.read_text().partition("-- migrate:down")[0]
    outside = _OUTSIDE_TRANSACTION.match(up.lstrip()) is not None
    own = _alone(up) if outside else _one_table(up)
    return sorted([*_squawk(up, in_transaction=not outside), *own, *_taken(up)])


def _squawk(up: str, *, in_transaction: bool) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "up.sql")
        file.write_text(up)
        within = ("--assume-in-transaction",) if in_transaction else ()
        report = output(BIN / "squawk", "--pg-version=18", "--reporter=json", *within, file)
    lines = up.splitlines()
    for found in json.loads(report):
        # ON ONLY reads no row; ops/provision builds the index in each partition.
        statement = " ".join(lines[found["line"] : found["line_end"] + 1])
        if found["rule_name"] in RULES and " ON ONLY " not in statement:
            yield Finding(found["line"] + 1, found["rule_name"], found["message"])


def _alone(up: str) -> Iterator[Finding]:
    statements = [part for part in _COMMENT.sub("", up).split(";") if part.strip()]
    if len(statements) != 1 or "CONCURRENTLY" not in statements[0].upper():
        yield Finding(
            1, "one-concurrent-statement", "Outside a transaction, run one CONCURRENTLY statement."
        )


def _one_table(up: str) -> Iterator[Finding]:
    text = _COMMENT.sub("", _without_bodies(up))
    made = {match[1] for match in _CREATED.finditer(text)}
    first: str | None = None
    for match in _LOCKED.finditer(text):
        table = match[1]
        if table in made or table == first:
            continue
        if first is not None:
            reason = f"{first} is locked already; change {table} in another migration."
            yield Finding(text.count("\n", 0, match.start()) + 1, "one-locked-table", reason)
            return
        first = table


def _taken(up: str) -> Iterator[Finding]:
    text = _without_bodies(up)
    lines = text.splitlines()
    for rule, pattern in _TAKEN.items():
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start())
            if f"squawk-ignore {rule}" not in lines[line - 1]:
                yield Finding(line + 1, rule, _TAKEN_REASON)


def _without_bodies(up: str) -> str:
    """Return the statements without the bodies of functions; the lines keep their numbers."""
    return _BODY.sub(lambda body: "\n" * body[0].count("\n"), up)
