"""Whether a process itself listens on a loopback port. Other users' programs may take free ports.

Linux lists the listening sockets of all processes in /proc/net, and the sockets of one process, if
it belongs to the same user, in /proc/<pid>/fd.
"""

from __future__ import annotations

import os
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
LISTENS = "0A"
"""The state of a listening socket in these tables."""


def listens(pid: int, port: int) -> bool:
    """Return whether the process has a socket that listens on the port."""
    return bool(_sockets_on(port) & _sockets_of(pid))


def _sockets_on(port: int) -> set[str]:
    """Return the inodes of the sockets that listen on the port."""
    found: set[str] = set()
    # Without IPv6, its table is absent.
    for table in filter(Path.exists, TABLES):
        for line in table.read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == LISTENS and int(local.rpartition(":")[2], 16) == port:
                found.add(inode)
    return found


def _sockets_of(pid: int) -> set[str]:
    """Return the inodes of the process's open sockets; none if it has ended."""
    found: set[str] = set()
    try:
        for file in Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(file)
            if target.startswith("socket:["):
                found.add(target.removeprefix("socket:[").removesuffix("]"))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return found
    return found
