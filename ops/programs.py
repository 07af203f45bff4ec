"""Finds programs for commands that may run in a folder of another user.

An empty or relative entry of PATH names a folder below the working folder. In PostgreSQL's data,
which belongs to another user, that user's program of this name would run as root.
"""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path


def search_path() -> str:
    """Return PATH without its empty and relative entries; the system's default if none is left."""
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(filter(os.path.isabs, entries)) or os.defpath


def program(name: str) -> str:
    """Return the absolute path of a program of `search_path`; a path becomes absolute.

    Raises FileNotFoundError if there is none.
    """
    return os.path.abspath(name) if Path(name).name != name else _found(name, search_path())


@cache
def _found(name: str, path: str) -> str:
    found = shutil.which(name, path=path)
    if found is None:
        raise FileNotFoundError(f"{name} is in no absolute folder of PATH: run `make setup`")
    return found
