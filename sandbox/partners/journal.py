"""An append-only file of JSON lines: a partner's durable state.

A line reaches the operating system before the partner answers, so kill -9 loses nothing that was
answered. A power cut may lose lines, because there is no fsync in this sandbox. A torn last line is
cut off at the next start; damage anywhere else is an error.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson


class JournalError(RuntimeError):
    """The journal is damaged or in use; move the state_dir away, or stop the other process."""


class Journal:
    """One file with one writer. Call `replay` first, then `append`."""

    def __init__(self, path: Path) -> None:
        """Open (or create) the file and lock it for this process."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise JournalError(f"{path} is in use by another process") from error
        self._end = os.fstat(self._fd).st_size

    def replay(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (offset, record) of each complete line; cut off a torn last line."""
        offset = 0
        with self._path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
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
        return start

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
