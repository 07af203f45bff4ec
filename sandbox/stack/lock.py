"""The lock of a home: at most one process runs its stack or removes its data."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TextIO

from sandbox.stack.home import Home

_RETRY_S = 0.02


@contextmanager
def held(home: Home, gives_up: Callable[[], bool] = lambda: True) -> Generator[bool]:
    """Hold the lock during the block, or yield False.

    While another process has the lock, `gives_up` says whether to stop trying.
    """
    home.root.mkdir(parents=True, exist_ok=True)
    with home.lock_file.open("a") as file:
        while not (own := _taken(file)) and not gives_up():
            time.sleep(_RETRY_S)
        if own:
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        yield own


def _taken(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
