"""Which folders of this machine other users cannot change or play.

Anybody can create a folder of any name in /tmp. So a program that uses a folder there first asks
whose it is.
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


def _is_safe(folder: Path) -> bool:
    """Return whether no user but root and this one can replace what is in a folder."""
    found = folder.stat()
    shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return found.st_uid in {0, os.geteuid()} and (not shared or bool(found.st_mode & stat.S_ISVTX))
