"""Files and folders that only the bank's own user can open, whatever the umask of the process.

A file gets its mode when it is created: between its creation and a later chmod, another user could
open it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path
from typing import BinaryIO

UMASK = 0o077
FILE_MODE = 0o600
FOLDER_MODE = 0o700
PASSABLE_MODE = 0o711
"""A folder that other users may pass through to their own folder, but may not list."""


def opener(path: str, flags: int) -> int:
    """Open a file for `open(…, opener=opener)`; a new file gets mode 0600."""
    return os.open(path, flags, FILE_MODE)


def write(path: Path, text: str, owner: tuple[int, int] | None = None) -> None:
    """Write a file with mode 0600 atomically; an older file's mode does not matter.

    `owner`: user id and group id of the new file, which root may choose. The opened file is given
    away, never a path, because the owner of the folder could replace it by a link to another file.
    """
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    with open(draft, "x", opener=opener) as file:
        if owner is not None:
            os.fchown(file.fileno(), *owner)
        file.write(text)
    draft.replace(path)


def appending(path: Path) -> BinaryIO:
    """Open a log to append to it."""
    return open(path, "ab", opener=opener)


def bind(listener: socket.socket, path: Path) -> None:
    """Bind a Unix socket whose file has mode 0600 from the start. The umask belongs to the whole
    process, so call this where no other thread creates files."""
    before = os.umask(0o777 & ~FILE_MODE)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)


def folder(path: Path, mode: int = FOLDER_MODE) -> None:
    """Create a folder with this mode, or give it to a folder that exists."""
    path.mkdir(mode=mode & FOLDER_MODE, parents=True, exist_ok=True)
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)


def require_own(path: Path) -> None:
    """Raise PermissionError if a folder is a link or belongs to another user, and
    NotADirectoryError if it is a file."""
    found = path.lstat()
    if found.st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to another user; remove it or move BP_HOME")
    if stat.S_ISLNK(found.st_mode):
        raise PermissionError(f"{path} is a link; remove it or move BP_HOME")
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(f"{path} is not a folder; remove it or move BP_HOME")


def is_own_folder(path: Path) -> bool:
    """Return whether a path is a folder of this user, and no link."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def narrow(path: Path, mode: int = FOLDER_MODE) -> None:
    """Remove the rights that `mode` lacks. A link, another user's file and a shared folder such as
    /tmp are not changed."""
    found = path.lstat()
    owned = found.st_uid == os.geteuid() and not found.st_mode & stat.S_ISVTX
    if owned and not stat.S_ISLNK(found.st_mode) and found.st_mode & 0o777 & ~mode:
        path.chmod(found.st_mode & mode)


def open_way(path: Path) -> None:
    """Let other users pass through a folder to their own folder below it."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode | PASSABLE_MODE & 0o111 != mode:
        path.chmod(mode | PASSABLE_MODE & 0o111)


def open_copy(folder: Path) -> None:
    """Let other users read a new folder of this user with everything in it, and run its programs.
    It must have no links. The folder itself is opened last."""
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def is_open_copy(folder: Path) -> bool:
    """Return whether `open_copy` has completed for a folder."""
    return bool(folder.stat().st_mode & 0o001)


def narrow_all(folder: Path, passable: frozenset[Path]) -> None:
    """Remove other users' rights on everything below a folder, parents before children.
    Folders of `passable` keep PASSABLE_MODE. Links are not followed. Another user's folder is not
    entered: that user could replace what is in it by links."""
    for inner, names, files in os.walk(folder):
        for path in (Path(inner, name) for name in (*names, *files)):
            with contextlib.suppress(FileNotFoundError):  # a process of the last run still ends
                narrow(path, PASSABLE_MODE if path in passable else FOLDER_MODE)
        names[:] = [name for name in names if _is_own(Path(inner, name))]


def _is_own(path: Path) -> bool:
    try:
        return path.lstat().st_uid == os.geteuid()
    except FileNotFoundError:
        return False
