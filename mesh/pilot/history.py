"""The revisions of the mesh's configuration: who put which files in force, when and why.

`history/<number>/config/` has the files, `meta.json` the rest. A revision is written as a draft and
appears by one rename, so it is whole or absent. `pending` in it says that the active folder may not
have its files yet. If it is still there, the control plane ended in between and completes this at
its next start. The end of an application removes this file, which needs no space on the disk.
`events/` next to the revisions has their audit events (outbox.py).
`replaced-<time>/` has the files of the active folder that a revision replaced and that no revision
has, such as an edit with errors.
"""

import contextlib
import json
import logging
import os
import re
import shutil
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from mesh.pilot import config_folder
from mesh.pilot.config_folder import Content
from mesh.pilot.kept_file import text

REVISIONS_MAX = 1_000
"""Older ones are removed."""
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_DRAFT = ".draft"
_CONFIG = "config"
_META = "meta.json"
_PENDING = "pending"
_REPLACED = "replaced-"
_MODE = 0o700
_ERRORS = (ValueError, TypeError, LookupError, RecursionError)
"""What JSON of another form, or a folder that is no configuration, causes."""

log = logging.getLogger("control-plane")


class Origin(StrEnum):
    """How a revision came about."""

    APPLY = "apply"
    EDIT = "edit"
    """A file of the active folder was edited in place."""
    ROLLBACK = "rollback"
    EXPIRY = "expiry"
    """The control plane removed what was in force for a limited time."""
    REPOSITORY = "repository"
    """The bank was started with another configuration in its repository."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision. `who` is a user of the machine, `create_time` is UTC in RFC 3339."""

    number: int
    digest: str
    create_time: str
    who: str
    why: str
    origin: Origin
    of: int | None = None
    """The revision whose files a rollback brought back."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known about a revision before it has a number."""

    who: str
    why: str
    origin: Origin
    of: int | None = None


class UnknownRevision(LookupError):
    """There is no revision with this number; `bpctl mesh history` lists them."""


class DamagedRevision(UnknownRevision):
    """The files of this revision are not those that were recorded."""


class History:
    """The revisions below one folder. Only one process may write them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._damaged: dict[tuple[int, str], str] = {}
        """What is wrong with a file or folder of a revision, as far as they were read."""

    def settle(self) -> None:
        """Have the names of all revisions reach the disk: they are durable after this."""
        _sync_folder(self._folder)

    def latest(self) -> Revision | None:
        """Return the newest revision, or None if there is none."""
        numbers = self.numbers()
        return self.get(numbers[-1]) if numbers else None

    def newest_whole(self) -> Revision | None:
        """Return the newest revision whose files are those that were recorded."""
        for number in reversed(self.numbers()):
            with contextlib.suppress(UnknownRevision):
                self.content(number)
                return self.get(number)
        return None

    def reports(self) -> list[str]:
        """Return a sentence for each revision that was found damaged."""
        return [
            f"{self._of(number) / name} is damaged, so revision {number} is not used: {problem}"
            for (number, name), problem in sorted(self._damaged.items())
        ]

    def newest_first(self, limit: int = REVISIONS_MAX) -> list[Revision]:
        """Return the newest revisions; one that is just removed, or half removed, is none."""
        found: list[Revision] = []
        for number in reversed(self.numbers()[-limit:]):
            with contextlib.suppress(UnknownRevision):
                found.append(self.get(number))
        return found

    def get(self, number: int) -> Revision:
        """Return a revision; raises UnknownRevision, or DamagedRevision."""
        if not self._of(number).exists():
            raise UnknownRevision(f"there is no revision {number}")
        with self._reading(number, _META):
            return _revision(json.loads((self._of(number) / _META).read_bytes()), number)

    def last_applied(self) -> Revision | None:
        """Return the newest revision that came from a folder outside, such as the repository's."""
        outside = (Origin.APPLY, Origin.REPOSITORY)
        return next((each for each in self.newest_first() if each.origin in outside), None)

    def content(self, number: int) -> dict[str, bytes]:
        """Return the files of a revision; raises UnknownRevision, or DamagedRevision."""
        revision = self.get(number)
        with self._reading(number, _CONFIG):
            found = config_folder.read(self.folder_of(number))
            if config_folder.digest(found) != revision.digest:
                raise ValueError("its files were changed since they were recorded")
        return found

    @contextlib.contextmanager
    def _reading(self, number: int, name: str) -> Generator[None]:
        """Raise DamagedRevision if a file of a revision has another form, and remember it."""
        try:
            yield
        except (*_ERRORS, IsADirectoryError, FileNotFoundError, NotADirectoryError) as error:
            problem = f"{type(error).__name__}: {error}"
            if self._damaged.get((number, name)) != problem:
                log.error("revision %s is damaged: %s: %s", number, name, problem)
            self._damaged[number, name] = problem
            raise DamagedRevision(f"revision {number} is damaged: {name}: {problem}") from error
        self._damaged.pop((number, name), None)

    def folder_of(self, number: int) -> Path:
        """Return the folder with the files of a revision."""
        return self._of(number) / _CONFIG

    def record(self, content: Content, entry: Entry, *, pending: bool = True) -> Revision:
        """Write the next revision and return it. It reaches the disk before it appears.

        `pending` is whether the active folder has yet to get the files.
        """
        self._folder.mkdir(mode=_MODE, parents=True, exist_ok=True)
        draft = self._folder / _DRAFT
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=_MODE)
        config_folder.write_new(draft / _CONFIG, content)
        numbers = self.numbers()
        made = Revision(
            number=numbers[-1] + 1 if numbers else 1,
            digest=config_folder.digest(content),
            create_time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            who=entry.who,
            why=entry.why,
            origin=entry.origin,
            of=entry.of,
        )
        _write_synced(draft / _META, json.dumps(asdict(made), indent=1).encode() + b"\n")
        if pending:
            _write_synced(draft / _PENDING, b"")
        draft.rename(self._of(made.number))
        try:
            _sync_folder(self._folder)
        except OSError:
            self.withdraw(made.number)
            raise
        self._forget_oldest()
        return made

    def put_in_force(self, number: int, active: Path) -> None:
        """Give the active folder the files of a revision. Repeating it changes nothing."""
        self._keep_unrecorded(number, active)
        config_folder.replace(active, self.content(number))
        self.mark_in_force(number)

    def replaced(self, number: int) -> list[Path]:
        """Return the folders with the unrecorded files that a revision replaced."""
        return sorted(self._of(number).glob(f"{_REPLACED}*"))

    def _keep_unrecorded(self, number: int, active: Path) -> None:
        """Keep the files of the active folder, unless one of the last two revisions has them."""
        try:
            found = config_folder.read(active)
        except config_folder.FolderRefused:
            return
        if config_folder.digest(found) not in {each.digest for each in self.newest_first(2)}:
            now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
            kept = self._of(number) / f"{_REPLACED}{now}"
            config_folder.write_new(kept, found)
            log.warning("an edit of %s is replaced; its files are in %s", active, kept)

    def mark_in_force(self, number: int) -> None:
        """Note that the active folder has the files of a revision."""
        (self._of(number) / _PENDING).unlink(missing_ok=True)

    def withdraw(self, number: int) -> None:
        """Remove a revision whose files the active folder could not get."""
        draft = self._folder / _DRAFT
        shutil.rmtree(draft, ignore_errors=True)
        self._of(number).rename(draft)
        shutil.rmtree(draft, ignore_errors=True)

    def is_in_force(self, number: int) -> bool:
        """Return whether the active folder once got the files of this revision."""
        return not (self._of(number) / _PENDING).exists()

    def _of(self, number: int) -> Path:
        return self._folder / str(number)

    def numbers(self) -> list[int]:
        """Return the numbers of all revisions, the oldest first."""
        return sorted(self._all_numbers())

    def _all_numbers(self) -> Iterator[int]:
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if _NUMBER.fullmatch(path.name):
                    yield int(path.name)

    def _forget_oldest(self) -> None:
        for number in self.numbers()[:-REVISIONS_MAX]:
            shutil.rmtree(self._of(number), ignore_errors=True)
            for name in (_META, _CONFIG):
                self._damaged.pop((number, name), None)


def _revision(raw: Any, number: int) -> Revision:
    """Return a revision from its meta.json. A later version may have added fields."""
    of = raw["of"]
    if raw["number"] != number or not (of is None or type(of) is int):
        raise ValueError(f"it is not the one of revision {number}")
    texts = {name: text(raw[name]) for name in ("digest", "create_time", "who", "why")}
    _require_time(texts["create_time"])
    return Revision(number=number, origin=Origin(raw["origin"]), of=of, **texts)


def _require_time(written: str) -> None:
    """Raise ValueError for a time that was damaged: the id of the audit event is made of it."""
    made = datetime.fromisoformat(written)
    if made.tzinfo is None or made.timestamp() < 0:
        raise ValueError(f"create_time is {written!r:.40}")


def _write_synced(path: Path, body: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
