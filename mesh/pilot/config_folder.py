"""The YAML files of one configuration: read as a whole, compared by digest, replaced by renames.

Knows no kind of resource. The limits keep a folder that is not a configuration out of the history.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

FILES_MAX = 500
FILE_BYTES_MAX = 2 * 1024 * 1024
BYTES_MAX = 8 * 1024 * 1024
NAME_BYTES_MAX = 200
"""Of the path in the folder, which a draft of the file makes longer; file systems allow 255."""
_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_DRAFTS = ".drafts"

Content = Mapping[str, bytes]
"""The files of a configuration by their path in the folder, such as "partners/fraud.yaml"."""


class FolderRefused(ValueError):
    """A folder cannot be a configuration; the message says why."""


def read(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder except those that editors keep for themselves.

    Raises FolderRefused if there are too many or too large ones, or a link, or no file at all.
    Raises OSError if a folder cannot be read: without its files, a policy would end silently.
    """
    found: dict[str, bytes] = {}
    size = 0
    for inner, names, files in os.walk(folder, onerror=_require_readable):
        names[:] = sorted(name for name in names if not _is_hidden(name))
        for name in names:
            _check_characters(name)
            if Path(inner, name).is_symlink():
                raise FolderRefused(f"{Path(inner, name)} is a link; put a folder there")
        for name in sorted(files):
            if not _is_hidden(name):
                _check_characters(name)
                path = Path(inner, name)
                body = found[path.relative_to(folder).as_posix()] = _bytes(path)
                size += len(body)
                if len(found) > FILES_MAX or size > BYTES_MAX:
                    checked(found)
    checked(found)
    return found


def _require_readable(error: OSError) -> None:
    """Raise the error of a folder, unless it is absent: an editor may remove it meanwhile."""
    if not isinstance(error, FileNotFoundError):
        raise error


def checked(content: Content) -> None:
    """Raise FolderRefused unless these files can be a configuration."""
    if not content:
        raise FolderRefused("there is no *.yaml file")
    if len(content) > FILES_MAX:
        raise FolderRefused(f"there are more than {FILES_MAX} files")
    if sum(len(each) for each in content.values()) > BYTES_MAX:
        raise FolderRefused(f"the files have more than {BYTES_MAX} bytes")
    for name, body in content.items():
        _check_name(name)
        if len(body) > FILE_BYTES_MAX:
            raise FolderRefused(f"{name} has more than {FILE_BYTES_MAX} bytes")
        for folder in PurePosixPath(name).parents:
            if str(folder) in content:
                raise FolderRefused(f"{folder} is both a file and a folder")


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    unsafe = path.is_absolute() or ".." in path.parts or "\0" in name or name != str(path)
    if unsafe or not path.parts or any(_is_hidden(part) for part in path.parts):
        raise FolderRefused(f"{name!r} is not a path inside the configuration")
    _check_characters(name)
    if len(os.fsencode(name)) > NAME_BYTES_MAX:
        raise FolderRefused(f"{name[:40]}... has more than {NAME_BYTES_MAX} bytes in its name")


def _check_characters(name: str) -> None:
    """Refuse a name that is not UTF-8, which neither JSON nor a digest can have, or that would
    write control characters into logs and on terminals."""
    if not name.isprintable():
        raise FolderRefused(f"{name!r} has a character that cannot be shown; rename it")


def digest(content: Content) -> str:
    """Return a digest of names and bytes; equal configurations have the same."""
    made = hashlib.sha256()
    for name in sorted(content):
        body = content[name]
        made.update(f"{len(name)} {name} {len(body)} ".encode() + body)
    return made.hexdigest()


def write_new(folder: Path, content: Content) -> None:
    """Write the files into a folder that does not exist yet, and have them reach the disk."""
    folder.mkdir(mode=_FOLDER_MODE)
    for name, body in content.items():
        path = folder / name
        path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        _create(path, body)


def replace(folder: Path, content: Content) -> None:
    """Make a folder have exactly these files. Each file is replaced by one rename.

    All new files are on the disk before the first rename, so a full disk changes nothing. Unchanged
    files are not touched. Files of editors stay.
    """
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    drafts = folder / _DRAFTS
    shutil.rmtree(drafts, ignore_errors=True)
    try:
        changed = {n: body for n, body in content.items() if not _has(folder / n, body)}
        if changed:
            write_new(drafts, changed)
        _remove_others(folder, content)
        for name in changed:
            (folder / name).parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            (drafts / name).replace(folder / name)
    finally:
        shutil.rmtree(drafts, ignore_errors=True)


def _has(path: Path, body: bytes) -> bool:
    return path.is_file() and not path.is_symlink() and path.read_bytes() == body


def _remove_others(folder: Path, content: Content) -> None:
    """Remove other files, links, and folders in the place of a file."""
    for inner, names, files in os.walk(folder):
        for name in [*names, *files]:
            path = Path(inner, name)
            kept = path.relative_to(folder).as_posix() in content
            if _is_hidden(name) or (kept and not path.is_dir()):
                continue
            if path.is_symlink() or name in files:
                path.unlink()
            elif kept:
                shutil.rmtree(path)
        names[:] = [name for name in names if not _is_hidden(name)]


def _create(path: Path, body: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _bytes(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise FolderRefused(f"{path} is not a regular file")
    with path.open("rb") as file:
        body = file.read(FILE_BYTES_MAX + 1)
    if len(body) > FILE_BYTES_MAX:
        raise FolderRefused(f"{path} has more than {FILE_BYTES_MAX} bytes")
    return body


def _is_hidden(name: str) -> bool:
    """Return whether an editor keeps this file for itself: `.a.swp`, `.#a`, `#a#` and `a~`."""
    return name.startswith((".", "#")) or name.endswith("~")
