"""Valkey for a service: one client over the Unix socket, with short timeouts and a bounded pool.

A call that fails is not repeated: the caller decides whether it may have had an effect. The errors
of a stopped, loading or full server are in `unreachable.UNREACHABLE`.
"""

from collections.abc import Mapping

from redis.asyncio import BlockingConnectionPool, Redis, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from services.chassis.settings import ServiceSettings

TIMEOUT_S = 1.0
"""How long a call waits for a free connection, for the connection and for the answer, each."""

CONNECTIONS_MAX = 32
"""The largest number of connections of one process; further calls wait for a free one."""

CHECK_AFTER_S = 15
"""A connection that was idle for this long is checked before it is used."""


def open_valkey(settings: ServiceSettings, secret: Mapping[str, str]) -> Redis:
    """Return a client that connects at its first call. The caller closes it with `aclose()`.

    `secret` has the fields of `valkey/<service>` in OpenBao: username, password. Answers are bytes.
    A script of `register_script` also works after the server lost its scripts. Raises ValueError
    when the platform gave no socket.
    """
    if settings.valkey_socket is None:
        raise ValueError("BP_VALKEY_SOCKET is not set. Set it to the path of Valkey's socket.")
    pool = BlockingConnectionPool(
        max_connections=CONNECTIONS_MAX,
        timeout=TIMEOUT_S,
        connection_class=UnixDomainSocketConnection,
        path=str(settings.valkey_socket),
        username=secret["username"],
        password=secret["password"],
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=CHECK_AFTER_S,
        # No user needs the right to name its connections.
        driver_info=None,
    )
    return Redis.from_pool(pool)
