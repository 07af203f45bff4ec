"""Keeps signed statements outside the database: append-only, one file for each day (UTC).

`HeadStore` is the interface that signing and verification use. An object store with object lock can
implement it too: it would keep each statement as an object named by its number.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from io import TextIOBase
from pathlib import Path
from typing import Protocol

from services.audit.heads import LINE_BYTES_MAX, Signed, parse

SUFFIX = ".heads"
LOCK = "lock"
"""Only one process at a time appends. The folder must support flock; local disks and NFSv4 do."""
LOCK_WAIT_S = 5.0
"""How long a process waits while another process appends. It keeps the signing lock meanwhile."""
LOCK_POLL_S = 0.05
BLOCK_BYTES = 65_536
"""A file is read backwards in blocks of this size."""


class HeadStore(Protocol):
    """A place for signed statements that is not the database of the log."""

    def append(self, signed: Signed) -> bool:
        """Store a statement and return True when it is durable.

        False if a statement with this or a later number is already stored.
        """
        ...

    def statements(self) -> Iterator[Signed]:
        """Return every stored statement, in the order of storing."""
        ...

    def last(self) -> Signed | None:
        """Return the statement that was kept last, None if there is none."""
        ...


class HeadFiles:
    """Statements in a folder. A file is only appended to, and each line is synced to the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, signed: Signed) -> bool:
        """Store a statement and return True when it is on the disk.

        False if a statement with this or a later number is already stored, because this process
        lost the lock while it signed. Raises TimeoutError if another process keeps the lock.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / LOCK).open("a") as lock:
            _lock(lock)
            last = self.last()
            if last is not None and last.statement.number >= signed.statement.number:
                return False
            self._append(signed)
        return True

    def _append(self, signed: Signed) -> None:
        # If a clock was ahead, statements still go to its day's file, so that they stay in order.
        day = self._folder / f"{signed.statement.sign_time:%Y-%m-%d}{SUFFIX}"
        file = max([day, *self._files()])
        made = not file.exists()
        descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            # A crash may have left half a line; a line feed separates it from this one.
            _write(descriptor, _line_end(descriptor) + signed.line + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if made:
            _sync_folder(self._folder)

    def statements(self) -> Iterator[Signed]:
        """Return every stored statement, in order, without lines that a crash cut off."""
        return _statements([(file, file.stat().st_size) for file in self._files()])

    def last(self) -> Signed | None:
        """Return the last complete statement, None if there is none."""
        for file in reversed(self._files()):
            for line in _lines_from_end(file):
                signed = parse(line)
                if signed is not None:
                    return signed
        return None

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{SUFFIX}"))


def _lock(file: TextIOBase) -> None:
    """Take the lock of a file; raise TimeoutError after `LOCK_WAIT_S`."""
    deadline_s = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline_s:
                raise TimeoutError("another process keeps the lock of the signed heads") from error
            time.sleep(LOCK_POLL_S)
        else:
            return


def _statements(files: list[tuple[Path, int]]) -> Iterator[Signed]:
    """Yield the statements in the first bytes of each file."""
    for file, size in files:
        for line in _lines(file, size):
            signed = parse(line)
            if signed is not None:
                yield signed


def _lines(file: Path, size: int) -> Iterator[bytes]:
    """Yield the lines without their line feeds; of a line that is too long, only its start."""
    with file.open("rb") as kept:
        starts = True
        while part := kept.readline(min(LINE_BYTES_MAX + 1, size - kept.tell())):
            if starts:
                yield part.removesuffix(b"\n")
            starts = part.endswith(b"\n")


def _lines_from_end(file: Path) -> Iterator[bytes]:
    """Yield the lines from the last to the first; of a line that is too long, only a part."""
    with file.open("rb") as kept:
        end, rest = kept.seek(0, os.SEEK_END), b""
        while end:
            begin = max(0, end - BLOCK_BYTES)
            kept.seek(begin)
            first, *whole = (kept.read(end - begin) + rest).split(b"\n")
            yield from reversed(whole)
            # A part that is too long makes the whole line too long.
            end, rest = begin, first[: LINE_BYTES_MAX + 1]
        yield rest


def _line_end(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    return b"\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else b""


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
