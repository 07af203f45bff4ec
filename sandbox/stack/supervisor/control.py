"""Asking a supervisor from outside: one JSON line over its Unix socket.

The commands stand in `control_server`. This half imports nothing heavy, so that `make status` and
bpctl answer at once.
"""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

Answer = dict[str, Any]


def ask(path: Path, timeout_s: float = 120.0, **request: Any) -> Answer:
    """One request from outside (blocking). OSError when no supervisor listens."""
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
    """A request that may take long, answered aside; `answer` holds the answer once it has ended."""

    def __init__(self, path: Path, timeout_s: float, **request: Any) -> None:
        """Starts at once."""
        super().__init__(daemon=True)
        self.answer: Answer = {}
        self._ask = lambda: ask(path, timeout_s, **request)
        self.start()

    def run(self) -> None:
        """Ask; a connection that ends or is silent for too long is an answer too."""
        try:
            self.answer = self._ask()
        except OSError as error:
            self.answer = {"ok": False, "error": f"no answer of the supervisor: {error}"}


def is_running(path: Path) -> bool:
    """Whether a supervisor answers on `path`."""
    try:
        return bool(ask(path, timeout_s=5.0, cmd="ping")["ok"])
    except OSError:
        return False
