"""Which folder is the bank's home: one rule for bpctl and for the stack."""

from __future__ import annotations

import os
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]


def named() -> Path:
    """Return the path that BP_HOME names, or `.bp` in the repository, made `whole`."""
    return whole(Path(os.environ.get("BP_HOME") or REPO / ".bp"))


def whole(path: Path) -> Path:
    """Return the absolute path of a home. Links above the home are followed, but the home itself is
    not: PermissionError if it is a link, which another user could have made."""
    absolute = Path(os.path.abspath(path))
    found = absolute.parent.resolve() / absolute.name
    if os.path.islink(found):
        raise PermissionError(f"{found} is a link; remove it or move BP_HOME")
    return found
