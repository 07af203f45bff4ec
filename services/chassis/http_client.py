"""HTTP to partners, through the sidecar's Unix socket: TLS, retries and breakers are its work."""

import aiohttp

from services.chassis.settings import ServiceSettings

CONNECTIONS_MAX = 256
"""Requests under way at once; a partner that hangs must not hold up the others."""


def partner_session(settings: ServiceSettings) -> aiohttp.ClientSession:
    """Return a session; ask it for http://<partner host>/path, the sidecar makes it HTTPS."""
    connector = aiohttp.UnixConnector(path=str(settings.socket_out), limit=CONNECTIONS_MAX)
    # The sidecar's route ends a call; this bound only catches a sidecar that is gone.
    timeout = aiohttp.ClientTimeout(total=60, sock_connect=2)
    return aiohttp.ClientSession(connector=connector, timeout=timeout)
