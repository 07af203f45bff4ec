"""Finds out which folders other users of this machine can neither change nor imitate.

Any user can create a folder of any name in /tmp. So a program that uses a folder there first checks
its owner.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

FALLBACK = Path("/tmp")  # noqa: S108
"""Root's own, where users cannot rename what others made."""


def temporary() -> Path:
    """Return the folder for temporary files without links on the way; /tmp if another user could
    replace a folder on the way."""
    chosen = Path(tempfile.gettempdir()).resolve()
    return chosen if all(map(_is_safe, (chosen, *chosen.parents))) else FALLBACK


def is_run_folder(run: Path, home: Path) -> bool:
    """Return whether `run` is the run folder of the bank in `home`: no link, and of the user whose
    home it is. That is this user; root may also use the banks of others."""
    try:
        found, owner = run.lstat(), home.lstat().st_uid
    except OSError:
        return False
    known = owner == os.geteuid() or os.geteuid() == 0
    return known and stat.S_ISDIR(found.st_mode) and found.st_uid == owner


def read(file: Path, run: Path) -> str:
    """Return the text of a file that the owner of the run folder wrote there.

    Raises OSError if it is a link and PermissionError if it belongs to another user.
    """
    # Without O_NONBLOCK, the opening of a named pipe would wait for a writer.
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(handle, encoding="utf-8") as opened:
        if os.fstat(handle).st_uid != run.lstat().st_uid:
            raise PermissionError(f"{file} does not belong to the user of the bank")
        return opened.read()


def _is_safe(folder: Path) -> bool:
    """Return whether no user but root and this one can replace what is in a folder."""
    found = folder.stat()
    shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return found.st_uid in {0, os.geteuid()} and (not shared or bool(found.st_mode & stat.S_ISVTX))
