"""Loopback TCP ports of one home.

A port is chosen once, kept in BP_HOME/conf/ports.json, and used again as long as nobody else holds
it, so that addresses printed yesterday still work today.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path

PREFERRED = {"gateway": 8443}


class Ports:
    """Ports by name; `get` is stable for a home."""

    def __init__(self, file: Path) -> None:
        """Reads what an earlier run chose."""
        self._file = file
        self._chosen: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
        self._confirmed: set[str] = set()

    def get(self, name: str) -> int:
        """The port of `name`, free when first asked for in this process."""
        if name not in self._confirmed:
            self._confirmed.add(name)
            self._chosen[name] = self._choose(name)
            self._file.write_text(json.dumps(self._chosen, indent=1, sort_keys=True))
        return self._chosen[name]

    def _choose(self, name: str) -> int:
        taken = {port for other, port in self._chosen.items() if other != name}
        for port in (self._chosen.get(name), PREFERRED.get(name)):
            if port is not None and port not in taken and is_free(port):
                return port
        while True:
            port = _any_free_port()
            if port not in taken:
                return port


def is_free(port: int) -> bool:
    """Whether nobody listens on the loopback port (connections in TIME_WAIT do not count)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _any_free_port() -> int:
    """Below the kernel's ephemeral range, where outgoing connections could take it meanwhile."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in range(max(10240, low - 12000), low):
        if port not in _HANDED_OUT and is_free(port):
            _HANDED_OUT.add(port)
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_HANDED_OUT: set[int] = set()
