"""JSON files in which the control plane keeps what SREs decided; people and faults may damage them.

A damaged entry must not end the process, and must not vanish silently: the whole file is set aside
as `<name>.damaged-<time>`, the entries that can be read stay in force, and the status names the
set-aside file until an SRE removes it.
"""

import json
import logging
import os
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")
BYTES_MAX = 8 * 1024 * 1024
_MODE = 0o600
_DAMAGED = ".damaged-"
_ERRORS = (ValueError, TypeError, LookupError, RecursionError)
"""What JSON of another form causes."""

log = logging.getLogger("control-plane")


class KeptFile(Generic[_T]):
    """A file of entries. `entries` returns the raw ones of its JSON, `parse` reads one of them;
    both raise ValueError, TypeError or LookupError for another form. `packed` is the way back."""

    def __init__(
        self,
        file: Path,
        entries: Callable[[Any], Iterable[Any]],
        parse: Callable[[Any], _T],
        packed: Callable[[list[_T]], Any],
    ) -> None:
        self._file = file
        self._entries, self._parse, self._packed = entries, parse, packed
        self._last: list[_T] = []
        self._one = threading.RLock()

    def read(self) -> list[_T]:
        """Return the entries; none if there is no file. What cannot be read is set aside."""
        with self._one:
            try:
                body = _bytes(self._file)
            except FileNotFoundError:
                return self._known([])
            except (IsADirectoryError, ValueError) as error:
                self._set_aside(str(error), [])
                return self._known([])
            except OSError as error:  # such as too many open files: the file may be good
                log.error("%s cannot be read now: %s", self._file, error)
                return list(self._last)
            return self._known(self._good(body))

    def write(self, entries: Iterable[_T]) -> None:
        """Replace all entries. OSError, such as a full disk, changes nothing. Raises ValueError if
        they are too large: the next read would set all of them aside."""
        with self._one:
            made = list(entries)
            body = json.dumps(self._packed(made), indent=1, sort_keys=True).encode() + b"\n"
            if len(body) > BYTES_MAX:
                raise ValueError(f"{self._file.name} would have more than {BYTES_MAX} bytes")
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = self._file.with_name(f".{self._file.name}.draft")
            _write(draft, body)
            draft.replace(self._file)
            self._last = made

    def remove(self) -> None:
        """Remove the file with all entries."""
        with self._one:
            self._file.unlink(missing_ok=True)
            self._last = []

    def reports(self) -> list[str]:
        """Return a sentence for each file that was set aside and still exists."""
        name = self._file.name
        try:
            found = sorted(self._file.parent.glob(f"{name}{_DAMAGED}*"))
        except OSError:
            return []
        return [
            f"{name} was damaged; {each} has its content. Repeat what it lost, then remove it."
            for each in found
        ]

    def _good(self, body: bytes) -> list[_T]:
        """Return the entries that can be read; set the file aside if one cannot."""
        good: list[_T] = []
        problem = ""
        try:
            for raw in self._entries(json.loads(body)):
                try:
                    good.append(self._parse(raw))
                except _ERRORS as error:
                    problem = f"an entry has another form: {error}"
        except _ERRORS as error:
            problem = f"it has another form: {error}"
        if problem:
            self._set_aside(problem, good)
        return good

    def _set_aside(self, problem: str, good: list[_T]) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        aside = self._file.with_name(f"{self._file.name}{_DAMAGED}{stamp}")
        try:
            if good:
                _write(aside, self._file.read_bytes())
                self.write(good)
            else:
                self._file.rename(aside)
        except OSError as error:
            log.error("%s: %s; it cannot be set aside: %s", self._file, problem, error)
        else:
            log.error("%s: %s; its content is in %s", self._file, problem, aside)

    def _known(self, entries: list[_T]) -> list[_T]:
        self._last = list(entries)
        return entries


def _write(path: Path, body: bytes) -> None:
    """Write a file that only the bank's own user can read, and have it reach the disk."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(path, flags, _MODE), "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def text(raw: Any) -> str:
    """Return a text of JSON. Raises ValueError for anything else."""
    if not isinstance(raw, str):
        raise ValueError(f"{raw!r:.40} is no text")
    raw.encode()  # JSON can have half a character
    return raw


def _bytes(path: Path) -> bytes:
    """Return the content. Raises ValueError for a file that the control plane never wrote."""
    if path.exists() and not path.is_dir() and not path.is_file():
        raise ValueError("it is no regular file")
    with path.open("rb") as file:
        body = file.read(BYTES_MAX + 1)
    if len(body) > BYTES_MAX:
        raise ValueError(f"it has more than {BYTES_MAX} bytes")
    return body
