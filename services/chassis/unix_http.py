"""HTTP over a Unix socket, for clients that block: OpenBao's and AWS's. Nothing here depends on
the requests.

The socket is in a folder of this user, so another user's program cannot replace it. On a free
TCP port, any user's program can listen.
"""

import socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

SCHEME = "unix://"
HOST = "localhost"
"""The Host header; the server ignores it."""
CONNECTIONS = 4
"""Connections that are kept open."""


def session(path: str) -> requests.Session:
    """Return a session that sends requests for `http://localhost` to the Unix socket."""
    made = requests.Session()
    made.trust_env = False
    made.mount("http://", _Adapter(path))
    return made


class _Connection(HTTPConnection):
    def __init__(self, path: str, **settings: Any) -> None:
        super().__init__(HOST, **settings)
        self._path = path

    def connect(self) -> None:
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if isinstance(self.timeout, int | float):
            opened.settimeout(self.timeout)
        try:
            opened.connect(self._path)
        except OSError:
            opened.close()
            raise
        self.sock = opened


class Pool(HTTPConnectionPool):
    """Connections to one Unix socket."""

    def __init__(self, path: str, connections: int = CONNECTIONS) -> None:
        super().__init__(HOST, maxsize=connections)
        self._path = path

    def _new_conn(self) -> Any:
        return _Connection(self._path, timeout=self.timeout.connect_timeout)


class _Adapter(HTTPAdapter):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._pool = Pool(path)

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        return self._pool

    def close(self) -> None:
        super().close()
        self._pool.close()
