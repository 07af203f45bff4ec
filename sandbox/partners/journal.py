"""An append-only file of JSON lines: a partner's durable state.

A line reaches the operating system before the partner answers, so kill -9 loses nothing that was
answered. A power cut may lose lines, because there is no fsync in this sandbox. A torn last line is
cut off at the next start; damage anywhere else is an error.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson


class JournalError(RuntimeError):
    """The journal is damaged or in use; move the state_dir away, or stop the other process."""


class Journal:
    """One file with one writer. Call `replay` first, then `append`.

    `records` is the number of records in the file, once it was replayed.
    """

    def __init__(self, path: Path) -> None:
        """Open (or create) the file and lock it for this process."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._fd = _locked(path)
        self._end = os.fstat(self._fd).st_size
        self.records = 0

    def replay(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (offset, record) of each complete line; cut off a torn last line."""
        offset, self.records = 0, 0
        with self._path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                self.records += 1
                yield offset, self._parse(line, offset)
                offset += len(line)
        os.ftruncate(self._fd, offset)
        self._end = offset

    def append(self, record: dict[str, Any]) -> int:
        """Write one record and return its offset."""
        line = orjson.dumps(record) + b"\n"
        start = self._end
        written = os.write(self._fd, line)
        if written != len(line):
            os.ftruncate(self._fd, start)
            raise JournalError(f"{self._path}: short write; check that the disk has free space")
        self._end += written
        self.records += 1
        return start

    def replace(self, records: Iterable[dict[str, Any]]) -> None:
        """Replace all records; kill -9 leaves the old file or the new one. Offsets change."""
        part = self._path.with_name(self._path.name + ".part")
        part.unlink(missing_ok=True)
        fd, count = _locked(part), 0
        with os.fdopen(os.dup(fd), "wb") as lines:
            for record in records:
                lines.write(orjson.dumps(record) + b"\n")
                count += 1
        part.replace(self._path)
        os.close(self._fd)
        self._fd, self._end, self.records = fd, os.fstat(fd).st_size, count

    def read(self, offset: int) -> dict[str, Any]:
        """Return the record at an offset that `replay` or `append` returned."""
        with self._path.open("rb") as lines:
            lines.seek(offset)
            return self._parse(lines.readline(), offset)

    def close(self) -> None:
        """Close the file, which releases its lock."""
        os.close(self._fd)

    def _parse(self, line: bytes, offset: int) -> dict[str, Any]:
        try:
            return orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise JournalError(f"{self._path}: damaged record at byte {offset}") from error


def _locked(path: Path) -> int:
    """Open (or create) a file to append to it, and lock it; return its descriptor."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise JournalError(f"{path} is in use by another process") from error
    return fd
