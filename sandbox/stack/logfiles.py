"""Bounded log files: one a process, cut in place when it grows too long.

Processes append to a file descriptor they were given, so a file is copied and truncated rather
than renamed; the last full one stays beside it as `.1`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

LOG_BYTES_MAX = 24 * 1024 * 1024


def bound_all(folder: Path) -> None:
    """Cut each log in `folder` that is longer than LOG_BYTES_MAX."""
    for file in folder.glob("*.log"):
        if file.stat().st_size > LOG_BYTES_MAX:
            shutil.copyfile(file, file.with_suffix(".log.1"))
            with file.open("r+b") as output:
                output.truncate(0)
