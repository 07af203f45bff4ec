"""The lock of a home: at most one process runs its stack or removes its data."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager

from sandbox.stack.home import Home


@contextmanager
def held(home: Home) -> Generator[bool]:
    """Hold the lock during the block; False if another process has it."""
    with home.lock_file.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield True
