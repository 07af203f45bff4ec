"""Checks that released migrations never change: a database that ran one never runs it again.

Each service keeps the digests of its migrations in `released.sha256` in the same folder, in the
format of `sha256sum -c`. `make gen` adds lines for new files and never changes an existing line;
`make check` refuses a file that differs from its line, was removed, or has no line yet.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tools.check.tools import REPO, CheckFailed

RELEASED = "released.sha256"
LINE = re.compile(r"([0-9a-f]{64})  (\S+\.sql)")
REMEDY = (
    "a database that ran it would never get the change. Restore the file and write a new "
    f"migration; if it was never merged, delete its line in {RELEASED} and run `make gen`."
)


def refuse_changed(root: Path = REPO) -> None:
    """Raise CheckFailed with one sentence for each released migration that changed or is missing,
    and for each new one that has no digest yet."""
    if findings := [finding for folder in _folders(root) for finding in _findings(root, folder)]:
        raise CheckFailed("\n".join(findings))


def advance(root: Path = REPO) -> None:
    """Add the digests of the migrations that have none; existing digests stay unchanged."""
    for folder in _folders(root):
        lines = {name: f"{digest}  {name}" for digest, name in _lines(folder)}
        new = {name: f"{digest}  {name}" for name, digest in digests(folder).items()}
        text = "".join(f"{line}\n" for _, line in sorted({**new, **lines}.items()))
        (folder / RELEASED).write_text(text)


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each migration file in `folder` by name, in order of version."""
    files = sorted(folder.glob("*.sql"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _folders(root: Path) -> list[Path]:
    return sorted(root.glob("services/*/sql/migrations"))


def _lines(folder: Path) -> Iterator[tuple[str, str]]:
    file = folder / RELEASED
    for line in file.read_text().splitlines() if file.exists() else ():
        match = LINE.fullmatch(line)
        if match is None:
            raise CheckFailed(f"{file}: {line!r} must be a digest, two spaces and a file name")
        yield match[1], match[2]


def _findings(root: Path, folder: Path) -> Iterator[str]:
    present, released = digests(folder), defaultdict[str, set[str]](set)
    for digest, name in _lines(folder):
        released[name].add(digest)
    where = folder.relative_to(root)
    for name in sorted(released):
        if name not in present:
            yield f"{where}/{name} was released and is missing: {REMEDY}"
        elif released[name] != {present[name]}:
            yield f"{where}/{name} was released and has changed: {REMEDY}"
    for name in sorted(present.keys() - released.keys()):
        yield f"{where}/{name} has no digest in {RELEASED} yet: run `make gen` and commit it."
    yield from _same_version(where, list(present))


def _same_version(where: Path, names: list[str]) -> Iterator[str]:
    """Find equal numbers: dbmate identifies a migration by its number and would run only one."""
    by_version = defaultdict[str, list[str]](list)
    for name in names:
        by_version[name.partition("_")[0]].append(name)
    for version, same in by_version.items():
        if len(same) > 1:
            yield f"{where}: {' and '.join(same)} share the number {version}; renumber the newer."
