"""Opens folders of this user to others, after everything in them has its owner."""

from pathlib import Path


def open_way(folder: Path) -> None:
    """Let other users pass through a folder to their own folder in it, but not list it."""
    folder.chmod(0o711)


def open_copy(folder: Path) -> None:
    """Let other users read a new folder with everything in it, and run its programs. It must have
    no links. The folder itself is opened last."""
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
