"""Finds the differences between the SQL files and the schema that the migrations make. Pure.

A function file is compared by its effect: PostgreSQL runs it in the migrated database, and the
functions that it writes must not change. So a file may be formatted freely.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

GENERATE = "Run `make gen` and commit what it changes."
MIGRATE = "Write a new migration with this definition, or correct the file."


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the catalog; each overload is a separate function."""

    name: str
    """Without the schema; also the file's name without suffix."""
    signature: str
    """With the schema and the argument types."""
    definition: str
    """As PostgreSQL prints it."""
    owner: str
    executors: tuple[str, ...]
    """The roles that may execute it, without its owner."""


@dataclass(frozen=True, slots=True)
class FunctionFile:
    """One file of `sql/functions`, and the result of running it."""

    text: str
    written: tuple[Function, ...] = ()
    """The functions that the file created or replaced, as defined afterwards."""
    error: str = ""
    """PostgreSQL's message when it refuses the file."""


def function_findings(
    folder: str, functions: Mapping[str, Function], files: Mapping[str, FunctionFile]
) -> Iterator[str]:
    """Report each function file that is missing, superfluous or different, with the remedy.

    `functions` are the migrated database's by signature; `files` are those in `folder` by name
    without suffix.
    """
    for name, file in sorted(files.items()):
        yield from (f"{folder}/{name}.sql: {what}" for what in _faults(name, file, functions))
    for signature, function in sorted(functions.items()):
        file = files.get(function.name)
        if file is None:
            yield f"{folder}/{function.name}.sql: missing; {signature} has no file. {GENERATE}"
        elif not file.error and signature not in {f.signature for f in file.written}:
            yield f"{folder}/{function.name}.sql: does not define {signature}. {MIGRATE}"


def _faults(name: str, file: FunctionFile, functions: Mapping[str, Function]) -> Iterator[str]:
    if file.error:
        yield f"PostgreSQL refuses the file: {file.error}. {MIGRATE}"
    elif not file.written:
        yield "defines no function. Remove the file."
    if not file.text.startswith("-- "):
        yield "the first line is not a comment. Write there what the function does."
    for written in file.written:
        made = functions.get(written.signature)
        if made is None:
            yield f"no migration creates {written.signature}. {MIGRATE}"
        elif made != written:
            yield f"{written.signature} differs: {_difference(made, written)}. {MIGRATE}"
        if written.name != name:
            yield f"defines {written.signature}. Move it to {written.name}.sql."


def _difference(made: Function, written: Function) -> str:
    if made.definition == written.definition:
        return "the owner or the grants; a function file must hold no other statement"
    first = first_difference(made.definition, written.definition)
    return f"the migrations have {first[0]!r}, the file has {first[1]!r}"


def schema_finding(path: str, committed: str | None, made: str) -> Iterator[str]:
    """Report the first difference between a committed schema.sql (None: missing) and `made`."""
    if committed is None:
        yield f"{path}: missing. {GENERATE}"
    elif committed != made:
        old, new = first_difference(committed, made)
        yield f"{path}: differs; it has {old!r}, the migrations have {new!r}. {GENERATE}"


def first_difference(before: str, after: str) -> tuple[str, str]:
    """Return the first lines that differ; an empty string if a text has no such line."""
    old, new = before.splitlines(), after.splitlines()
    blocks = difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes()
    _, i, i_end, j, j_end = next(block for block in blocks if block[0] != "equal")
    return old[i].strip() if i < i_end else "", new[j].strip() if j < j_end else ""
