"""Valkey for a service: one client over the Unix socket, with short timeouts and a bounded pool.

A call that fails is not repeated: the caller decides whether it may have had an effect. The errors
of a stopped, loading or full server, and of one that refuses writes for a time, are in
`unreachable.UNREACHABLE`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from services.chassis.settings import ServiceSettings

TIMEOUT_S = 1.0
"""How long a call waits for a free connection, for the connection and for the answer, each."""

CONNECTIONS_MAX = 32
"""The largest number of connections of one process; further calls wait for a free one."""

CHECK_AFTER_S = 15
"""A connection that was idle for this long is checked before it is used."""

_TEMPORARY = ("MISCONF ", "BUSY ", "NOREPLICAS ")
"""How the errors begin with which a server refuses a command for a time: it cannot write its file,
runs a long script, or misses its replicas. The client has no classes for them."""


class RefusedForNow(ResponseError):
    """Valkey did not execute the command, and accepts it when an operator removed the cause."""


class _Connection(UnixDomainSocketConnection):
    """A connection that tells temporary refusals from defects."""

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Return the server's answer; raise RefusedForNow, or the client's own errors."""
        try:
            return await super().read_response(*args, **options)
        except ResponseError as error:
            if str(error).startswith(_TEMPORARY):
                raise RefusedForNow(*error.args) from None
            raise


def open_valkey(settings: ServiceSettings, secret: Mapping[str, str]) -> Redis:
    """Return a client that connects at its first call. The caller closes it with `aclose()`.

    `secret` has the fields of `valkey/<service>` in OpenBao: username, password. Answers are bytes.
    A script of `register_script` also works after the server lost its scripts. Raises ValueError
    when the platform gave no socket.
    """
    if settings.valkey_socket is None:
        raise ValueError("BP_VALKEY_SOCKET is not set. Set it to the path of Valkey's socket.")
    return valkey_client(settings.valkey_socket, secret, TIMEOUT_S)


def valkey_client(socket: Path, login: Mapping[str, str], timeout_s: float) -> Redis:
    """Return the same client for a process that has no settings of a service."""
    pool = BlockingConnectionPool(
        max_connections=CONNECTIONS_MAX,
        timeout=timeout_s,
        connection_class=_Connection,
        path=str(socket),
        username=login["username"],
        password=login["password"],
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=CHECK_AFTER_S,
        # No user needs the right to name its connections.
        driver_info=None,
    )
    return Redis.from_pool(pool)
