"""Copies of the repository that contain a bug. The repository itself never changes."""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tools.bugs.table import REPO, Bug

_LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv", ".bp", ".bp-*", ".coverage*", ".hypothesis", ".schemathesis"),
    *("*_cache", ".*_cache", "__pycache__", "node_modules"),
)
_MIGRATION = "9999_put_back.sql"
"""The migration runs after all others and replaces a function."""
_changes_s = count(1)


def make_copy() -> Path:
    """Return a new folder with a copy of the repository that uses the same virtual environment.

    Its path is short, because the length of the stack's socket paths is limited.
    """
    copy = Path(tempfile.mkdtemp(prefix="bug-"))
    shutil.copytree(REPO, copy, ignore=_LEFT_OUT, symlinks=True, dirs_exist_ok=True)
    (copy / ".venv").symlink_to((REPO / ".venv").resolve())
    return copy


@contextmanager
def temporary_copy() -> Generator[Path]:
    """Run the block with a copy of the repository, and remove it."""
    copy = make_copy()
    try:
        yield copy
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def put(copy: Path, bug: Bug) -> None:
    """Introduce a bug into a copy; raise ValueError unless the correct text is there exactly once.

    For a SQL function this also adds a migration, so new databases of the copy have the bug.
    """
    path = copy / bug.file
    right = path.read_text()
    if right.count(bug.before) != 1:
        raise ValueError(f"{bug.name}: {bug.file} must have the text `before` exactly once")
    wrong = right.replace(bug.before, bug.after)
    _write(path, wrong)
    if bug.is_of_sql_function:
        text = f"-- migrate:up\n\n{wrong}\n-- migrate:down\n"
        _migration(copy, bug).write_text(text)


@contextmanager
def with_bug(copy: Path, bug: Bug) -> Generator[None]:
    """Run the block while a copy has a bug."""
    right = (copy / bug.file).read_text()
    put(copy, bug)
    try:
        yield
    finally:
        _write(copy / bug.file, right)
        if bug.is_of_sql_function:
            _migration(copy, bug).unlink()


def _migration(copy: Path, bug: Bug) -> Path:
    return copy.joinpath(*bug.file.parts[:-2], "migrations", _MIGRATION)


def _write(path: Path, text: str) -> None:
    """Write a file with a new modification time.

    Python reuses a compiled module if its source still has the same size and time in seconds.
    """
    path.write_text(text)
    changed_s = 1_000_000_000 + next(_changes_s)
    os.utime(path, (changed_s, changed_s))
