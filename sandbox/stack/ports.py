"""Chooses the loopback TCP ports of one state directory.

A port is chosen once, kept in BP_HOME/conf/ports.json and reused while it is free, so that printed
addresses stay valid after a restart. Each home starts its search at a different place in the range,
because a chosen port may be bound only much later.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Mapping
from pathlib import Path

from sandbox.stack.supervisor import private

LOWEST = 10240
RANGE = 12000


class Ports:
    """Ports by name; a name keeps its port while that port is free."""

    def __init__(self, file: Path, preferred: Mapping[str, int] | None = None) -> None:
        """Read the ports of an earlier run; `preferred` is tried before any other port."""
        self._file = file
        self._preferred = preferred or {}
        self._chosen: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
        self._confirmed: set[str] = set()

    def get(self, name: str) -> int:
        """Return the port of `name`, which was free at the first call in this process."""
        if name not in self._confirmed:
            self._confirmed.add(name)
            self._chosen[name] = self._choose(name)
            private.write(self._file, json.dumps(self._chosen, indent=1, sort_keys=True))
        return self._chosen[name]

    def _choose(self, name: str) -> int:
        taken = {port for other, port in self._chosen.items() if other != name}
        for port in (self._chosen.get(name), self._preferred.get(name)):
            if port is not None and port not in taken and is_free(port):
                return port
        return self._any_free_port(taken)

    def _any_free_port(self, taken: set[int]) -> int:
        """Return a port below the ephemeral range, whose ports outgoing connections may take."""
        end = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        begin = max(LOWEST, end - RANGE)
        digest = hashlib.sha256(bytes(self._file)).digest()
        place = int.from_bytes(digest[:4])
        for step in range(end - begin):
            port = begin + (place + step) % (end - begin)
            if port not in taken and is_free(port):
                return port
        raise RuntimeError(f"no free loopback port between {begin} and {end}")


def require_free(port: int, program: str) -> None:
    """Raise RuntimeError with the remedy when another process listens on the loopback port."""
    if not is_free(port):
        raise RuntimeError(
            f"port {port} of {program} is taken by another process: end that process, or run"
            " `make down` and `make up` to choose another port"
        )


def is_free(port: int) -> bool:
    """Return whether no process listens on the loopback port; TIME_WAIT does not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
