"""Notices changes of files: one signal for each burst of changes in some folders.

The kernel reports changes by inotify. The parent of each folder is watched too, because a folder
may be created later, or replaced. A user has few inotify instances; without one, the folders are
compared every POLL_S.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from asyncinotify import Inotify, Mask

QUIET_S = 0.01
"""A burst of changes ends after this time without one,"""
BURST_S_MAX = 0.05
"""or after this time: editors and `git checkout` write several files."""
POLL_S = 1.0
_CHANGES = (
    Mask.CLOSE_WRITE
    | Mask.MOVED_TO
    | Mask.MOVED_FROM
    | Mask.DELETE
    | Mask.CREATE
    | Mask.DELETE_SELF
)


async def changes(folders: Iterable[Path], *, recursive: bool = True) -> AsyncIterator[None]:
    """Yield at once, then after each burst of changes in the folders, and below if `recursive`.

    A change that falls between two yields causes the next one, so none is missed.
    """
    watched = tuple(folders)
    try:
        inotify = Inotify()
    except OSError:
        async for _ in _polled(watched, recursive):
            yield
        return
    with inotify:
        yield
        _watch(inotify, watched, recursive)
        # A change before the first watch, or in a folder that was just created.
        yield
        while True:
            await inotify.get()
            await _burst(inotify)
            _watch(inotify, watched, recursive)
            yield


async def _burst(inotify: Inotify) -> None:
    """Wait for the end of a burst."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BURST_S_MAX):
            while True:
                async with asyncio.timeout(QUIET_S):
                    await inotify.get()


def _watch(inotify: Inotify, folders: tuple[Path, ...], recursive: bool) -> None:
    """Watch every folder; the kernel keeps one watch for a folder, however often it is added."""
    for folder in folders:
        with contextlib.suppress(OSError):
            inotify.add_watch(folder.parent, _CHANGES)
        for inner, names, _ in os.walk(folder):
            if not recursive:
                names.clear()
            with contextlib.suppress(OSError):  # it was removed meanwhile
                inotify.add_watch(Path(inner), _CHANGES)


async def _polled(folders: tuple[Path, ...], recursive: bool) -> AsyncIterator[None]:
    before = _seen(folders, recursive)
    yield
    while True:
        await asyncio.sleep(POLL_S)
        now = _seen(folders, recursive)
        if now != before:
            before = now
            yield


def _seen(folders: tuple[Path, ...], recursive: bool) -> dict[str, tuple[int, int, int]]:
    found: dict[str, tuple[int, int, int]] = {}
    for folder in folders:
        for inner, names, files in os.walk(folder):
            if not recursive:
                names.clear()
            for name in files:
                path = os.path.join(inner, name)
                with contextlib.suppress(OSError):
                    stat = os.stat(path)
                    found[path] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    return found
