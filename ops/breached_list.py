"""Builds the list of breached passwords that auth reads (services/auth/breached.py).

The source is a text file: one password a line, or the hash list of Have I Been Pwned, ordered by
hash, with lines such as `0000…F:12`. A hash list is read as a stream, so its size does not matter.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from services.auth.breached import ENTRY_BYTES, HEADER_BYTES, MAGIC, entry
from services.auth.passwords import LENGTH_MIN

_HASH_LINE = re.compile(rb"([0-9A-Fa-f]{40})(:[0-9]+)?\s*")


class SourceInvalid(ValueError):
    """A line of the source cannot be used; the message has its number."""


def build(source: Path, target: Path, *, are_hashes: bool) -> int:
    """Write the list, replace `target` at once, and return the number of entries.

    Passwords in clear that are too short for the bank are left out. Raise SourceInvalid for a
    malformed line; `target` is unchanged then.
    """
    with source.open("rb") as lines:
        entries = _entries_of_hashes(lines) if are_hashes else _entries_of_passwords(lines)
        return _write(entries, target)


def _entries_of_passwords(lines: Iterable[bytes]) -> list[bytes]:
    passwords = (line.rstrip(b"\r\n") for line in lines)
    long_enough = (p for p in passwords if len(p.decode("utf-8", "replace")) >= LENGTH_MIN)
    return sorted({entry(password) for password in long_enough})


def _entries_of_hashes(lines: Iterable[bytes]) -> Iterator[bytes]:
    last = b""
    for number, line in enumerate(lines, 1):
        found = _HASH_LINE.fullmatch(line)
        if found is None:
            raise SourceInvalid(f"line {number} is not a SHA-1 hash. Check the file.")
        current = bytes.fromhex(found[1].decode("ascii"))[:ENTRY_BYTES]
        if current < last:
            raise SourceInvalid(f"line {number} is not in order. Sort the file by hash.")
        if current != last:
            yield current
        last = current


def _write(entries: Iterable[bytes], target: Path) -> int:
    """Write a file next to the target and rename it, so that no reader sees half a list."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name)
    try:
        with os.fdopen(handle, "wb") as file:
            count = _write_entries(entries, file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return count


def _write_entries(entries: Iterable[bytes], file: BinaryIO) -> int:
    file.write(bytes(HEADER_BYTES))
    count = 0
    for each in entries:
        file.write(each)
        count += 1
    file.seek(0)
    file.write(MAGIC + count.to_bytes(HEADER_BYTES - len(MAGIC), "big"))
    return count
