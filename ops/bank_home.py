"""Which folder is the bank's home: one rule for bpctl and for the stack."""

from __future__ import annotations

import os
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]


def named() -> Path:
    """Return the path that BP_HOME names, or `.bp` in the repository."""
    return whole(Path(os.environ.get("BP_HOME") or REPO / ".bp"))


def whole(path: Path) -> Path:
    """Return the absolute path of a home. Links above the home are followed, but the home itself is
    not: if it is a link, the stack refuses to start in it."""
    absolute = Path(os.path.abspath(path))
    return absolute.parent.resolve() / absolute.name
