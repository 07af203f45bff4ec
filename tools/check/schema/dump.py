"""Makes pg_dump's output readable and the same at every run. Pure.

The statements are pg_dump's. Each table is followed by its indexes, triggers and grants, and the
catalog's comments become comments of the file. Functions are only listed: each has its own file.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tools.check.schema.compare import Function

LINE_CHARACTERS = 100
ENTRY = re.compile(r"^--\n-- Name: (.+); Type: (.+); Schema: .+; Owner: .+\n--\n", re.MULTILINE)
PREAMBLE = re.compile(r"^(?:SET .+;|SELECT pg_catalog\..+;|\\.*|--.*)$\n", re.MULTILINE)
COMMENT = re.compile(r"COMMENT ON (\w+) (\S+) IS '(.*)';", re.DOTALL)
TOKEN = re.compile(r"(?:'(?:[^']|'')*'|\"[^\"]*\"|[^\s'\"])+")
INDENT = "    "
HEAD = """\
Schema {schema} of {database} as the migrations of services/{service} make it. `make gen` writes \
this file and `make check` compares it; nothing runs it. Each function is in functions/. The \
partitions that hold one month are left out; a function makes them.\
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object in a dump."""

    name: str
    kind: str
    body: str

    def about(self, schema: str, tables: Sequence[str]) -> str | None:
        """Return the table that this object is or belongs to; None if it belongs to no table."""
        if self.kind == "TYPE":
            return None
        named = re.findall(rf"\b{schema}\.(\w+)", self.body)
        return next((name for name in named if name in tables), None)


def readable(
    database: str, service: str, schema: str, dump: str, functions: Sequence[Function]
) -> str:
    """Return the text of a schema.sql from pg_dump's output for one schema, and its functions."""
    entries = [e for e in entries_of(dump) if not _of_functions(e) and e.kind != "INDEX ATTACH"]
    comments = {f"{m[1]} {m[2]}": m[3] for e in entries if (m := COMMENT.match(e.body))}
    entries = [entry for entry in entries if entry.kind != "COMMENT"]
    tables = sorted(entry.name for entry in entries if entry.kind == "TABLE")
    place = {None: -1} | {table: number for number, table in enumerate(tables)}
    entries.sort(key=lambda entry: place[entry.about(schema, tables)])
    head = HEAD.format(schema=schema, database=database, service=service)
    blocks = ["\n".join(_commented(head))]
    blocks += ["\n".join(_block(schema, entry, comments)) for entry in entries]
    blocks += ["\n".join(_grants(function)) for function in functions]
    return "\n\n".join(blocks) + "\n"


def entries_of(dump: str) -> Iterator[Entry]:
    """Read the objects in a plain dump, without the settings between them."""
    found = list(ENTRY.finditer(dump))
    for this, following in zip(found, [*found[1:], None], strict=True):
        body = dump[this.end() : following.start() if following else len(dump)]
        yield Entry(this[1], this[2], PREAMBLE.sub("", body).strip())


def _of_functions(entry: Entry) -> bool:
    kinds = ("FUNCTION", "PROCEDURE", "AGGREGATE")
    return entry.kind in kinds or entry.name.startswith(tuple(f"{kind} " for kind in kinds))


def _block(schema: str, entry: Entry, comments: dict[str, str]) -> Iterator[str]:
    named = f"{entry.kind} {schema}.{entry.name}"
    yield from _commented(comments.get(named, "").replace("''", "'"))
    for line in entry.body.splitlines():
        if line:
            yield from _wrapped(line.replace("\t", INDENT))


def _commented(text: str) -> list[str]:
    return textwrap.wrap(text, LINE_CHARACTERS, initial_indent="-- ", subsequent_indent="-- ")


def _grants(function: Function) -> Iterator[str]:
    yield f"-- functions/{function.name}.sql, owned by {function.owner}"
    if function.executors:
        executors = ", ".join(function.executors)
        grant = f"GRANT EXECUTE ON FUNCTION {function.signature} TO {executors};"
        yield from _wrapped(grant)
    else:
        yield from _wrapped(f"-- Only its owner may execute {function.signature}.", "-- ")


def _wrapped(line: str, indent: str = INDENT) -> Iterator[str]:
    """Break a long line between words, never inside a quoted string."""
    start = line[: len(line) - len(line.lstrip())]
    kept = start
    for number, token in enumerate(TOKEN.findall(line)):
        longer = f"{kept}{' ' if number and kept.strip() else ''}{token}"
        if len(longer) > LINE_CHARACTERS and kept.strip():
            yield kept
            longer = f"{start}{indent}{token}"
        kept = longer
    yield kept
