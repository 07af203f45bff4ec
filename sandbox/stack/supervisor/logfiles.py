"""Bounded log files: one per process, truncated in place when it grows too long.

Processes append to an open file descriptor, so a file is copied and truncated, not renamed. The
last full log is kept as `.1`.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

LOG_BYTES_MAX = 24 * 1024 * 1024
TAIL_BYTES = 64 * 1024
LAST_LINES = 6
VERY_LAST_LINES = 3
LINE_CHARS_MAX = 300
ERROR = re.compile(r"error|critical|fatal|exception|panic", re.IGNORECASE)


def bound_all(folder: Path) -> None:
    """Truncate each log in `folder` that is longer than LOG_BYTES_MAX."""
    for file in folder.glob("*.log"):
        if file.stat().st_size > LOG_BYTES_MAX:
            shutil.copyfile(file, file.with_suffix(".log.1"))
            with file.open("r+b") as output:
                output.truncate(0)


def size(file: Path) -> int:
    """Return the bytes in a log; 0 when there is none."""
    return file.stat().st_size if file.exists() else 0


def last_errors(file: Path, since: int) -> list[str]:
    """Return a few lines written after byte `since`: the last ones, and errors just before."""
    if not file.exists():
        return []
    with file.open("rb") as log:
        length = log.seek(0, 2)
        start = since if since <= length else 0  # it was truncated after `since` was taken
        log.seek(max(start, length - TAIL_BYTES))
        lines = log.read().decode(errors="replace").splitlines()
    written = [line.rstrip() for line in lines if line.strip()]
    end = len(written) - VERY_LAST_LINES
    kept = [line for at, line in enumerate(written) if at >= end or ERROR.search(line)]
    return [line[:LINE_CHARS_MAX] for line in kept[-LAST_LINES:]]
