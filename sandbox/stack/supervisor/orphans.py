"""Stops the processes that a killed supervisor may have left running.

The kernel signals the children of a killed supervisor. This module makes the next start wait until
they have ended, and kills those that do not end. A process is identified by pid and start time,
never by its name.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from ops.waiting import scaled_s
from sandbox.stack.supervisor import private

END_WITHIN_S = 8.0


def record(file: Path, pids: Mapping[str, int | None]) -> None:
    """Write pid and start time of each process, atomically."""
    rows = {name: [pid, start_time(pid)] for name, pid in pids.items() if pid is not None}
    private.write(file, json.dumps(rows))


def end_all(file: Path) -> list[str]:
    """Stop recorded processes of an earlier supervisor that are still alive; return their names."""
    if not file.exists():
        return []
    rows: dict[str, tuple[int, int]] = json.loads(file.read_text())
    alive = {name: pid for name, (pid, begun) in rows.items() if start_time(pid) == begun}
    deadline = time.monotonic() + scaled_s(END_WITHIN_S)
    grace = time.monotonic() + scaled_s(END_WITHIN_S / 4)
    while any(start_time(pid) == rows[name][1] for name, pid in alive.items()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes of an earlier run do not end; kill them: {alive}")
        for name, pid in alive.items():
            # SIGQUIT first, so that PostgreSQL also stops its child processes.
            number = signal.SIGQUIT if time.monotonic() < grace else signal.SIGKILL
            if start_time(pid) == rows[name][1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        time.sleep(0.1)
    return list(alive)


def start_time(pid: int) -> int | None:
    """Return the process's start in clock ticks after boot; None when it ended or is a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])
