"""The lock of a home: at most one process runs its stack or removes its data."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TextIO

from sandbox.stack.home import Home
from sandbox.stack.supervisor import control, private

_RETRY_S = 0.02


@contextmanager
def held(home: Home, wait_s: float = 0.0) -> Generator[bool]:
    """Hold the lock during the block; False if another process still has it after `wait_s`.

    Does not wait for a supervisor that answers. One that ends stops answering before it releases
    the lock.
    """
    home.create_root()
    deadline = time.monotonic() + wait_s
    with open(home.lock_file, "a", opener=private.opener) as file:
        # A user that can open the file can also lock it.
        os.fchmod(file.fileno(), private.FILE_MODE)
        while not (own := _taken(file)) and time.monotonic() < deadline:
            if control.is_running(home.control_socket):
                break
            time.sleep(_RETRY_S)
        if own:
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        yield own


def earlier_ended(home: Home, wait_s: float = 0.0) -> bool:
    """Remove the lock file of a version that had it at a different path; False if a supervisor of
    that version still holds it after `wait_s`."""
    deadline = time.monotonic() + wait_s
    try:
        handle = os.open(home.earlier_lock_file, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    with os.fdopen(handle, "r+") as file:
        while not (own := _taken(file)) and time.monotonic() < deadline:
            time.sleep(_RETRY_S)
        if own:
            home.earlier_lock_file.unlink()
    return own


def _taken(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
