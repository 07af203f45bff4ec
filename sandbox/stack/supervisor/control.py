"""The client of a supervisor: sends one JSON line over its Unix socket.

`control_server` lists the commands. This module imports nothing heavy, so that `make status` and
bpctl start fast.
"""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

Answer = dict[str, Any]


def ask(path: Path, timeout_s: float = 120.0, **request: Any) -> Answer:
    """Send one request and return the answer (blocking). OSError when no supervisor listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(path))
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as stream:
            line = stream.readline()
    if not line:
        raise ConnectionError(f"the supervisor at {path} closed the connection")
    return json.loads(line)


class Asking(threading.Thread):
    """A long request in a thread; `answer` holds the answer when the thread has ended."""

    def __init__(self, path: Path, timeout_s: float, **request: Any) -> None:
        """Start the thread."""
        super().__init__(daemon=True)
        self.answer: Answer = {}
        self._ask = lambda: ask(path, timeout_s, **request)
        self.start()

    def run(self) -> None:
        """Send the request; a closed connection or a timeout becomes an error answer."""
        try:
            self.answer = self._ask()
        except OSError as error:
            self.answer = {"ok": False, "error": f"no answer from the supervisor: {error}"}


def is_running(path: Path) -> bool:
    """Return whether a supervisor answers on `path` that is not stopping."""
    answer = _ping(path)
    return bool(answer.get("ok")) and not answer.get("stopping")


def is_stopping(path: Path) -> bool:
    """Return whether a supervisor on `path` is stopping everything, after which it ends."""
    return bool(_ping(path).get("stopping"))


def _ping(path: Path) -> Answer:
    try:
        return ask(path, timeout_s=5.0, cmd="ping")
    except OSError:
        return {}
