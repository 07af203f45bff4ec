"""Reads the admin interfaces of the proxies, each over its Unix socket."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

from mesh.pilot.places import folder_name
from ops.bpctl import connections
from ops.bpctl.mesh import pilot
from ops.waiting import scaled_s

ANSWER_WITHIN_S = 10.0


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("envoy", timeout=scaled_s(ANSWER_WITHIN_S))
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def run_folder() -> Path:
    """Return the folder of the bank's sockets; exit with code 3 if the bank does not run."""
    connections.require_running()
    return Path(connections.addresses()["BP_RUN"])


def nodes() -> list[str]:
    """Return the ids of all proxies that the control plane serves."""
    return sorted(pilot.get("/v1/state")["nodes"])


def admin_socket(node: str) -> Path:
    """Return the socket of a proxy's admin interface."""
    return run_folder() / folder_name(node) / "admin.sock"


def read(node: str, target: str) -> str | None:
    """Return the answer to a GET as text, or None if the proxy does not run."""
    connection = _Connection(admin_socket(node))
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return text if answer.status == http.client.OK else None
