"""Asking a supervisor from outside: one JSON line over its Unix socket.

The commands stand in `control_server`. This half imports nothing heavy, so that `make status` and
bpctl answer at once.
"""

from __future__ import annotations

import json
import socket
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


def is_running(path: Path) -> bool:
    """Whether a supervisor answers on `path`."""
    try:
        return bool(ask(path, timeout_s=5.0, cmd="ping")["ok"])
    except OSError:
        return False
