"""HTTP to partners, through the sidecar's Unix socket: it adds TLS, retries and breakers."""

import aiohttp

from services.chassis.settings import ServiceSettings

CONNECTIONS_MAX = 256
"""The largest number of requests in flight at once. One partner that hangs must not block the
others."""


def partner_session(settings: ServiceSettings) -> aiohttp.ClientSession:
    """Return a session. Request http://<partner host>/path; the sidecar makes it HTTPS."""
    connector = aiohttp.UnixConnector(path=str(settings.socket_out), limit=CONNECTIONS_MAX)
    # The sidecar's route has the real timeout; this one only catches a sidecar that is down.
    timeout = aiohttp.ClientTimeout(total=60, sock_connect=2)
    return aiohttp.ClientSession(connector=connector, timeout=timeout)
