"""HTTP to partners, through the sidecar's Unix socket: it adds TLS, retries and breakers."""

import re
from typing import Any

import aiohttp
import orjson
import structlog

from services.chassis.settings import ServiceSettings

CONNECTIONS_MAX = 256
"""The largest number of requests in flight at once to one partner."""

ANSWER_BYTES_MAX = 64 * 1024
"""The largest body of a partner's answer; the longest one in their protocols is below 4 KiB."""

TOTAL_S = 40.0
"""Longer than the sidecar's longest timeout for a partner (30 s), and shorter than the shortest
lease under which a worker asks a partner (45 s)."""

_PLAIN = re.compile(r"[\x20-\x7e]{1,255}")

log = structlog.get_logger()


def partner_session(settings: ServiceSettings) -> aiohttp.ClientSession:
    """Return a session for one partner. Request http://<partner host>/path; the sidecar makes it
    HTTPS.

    Each partner has its own session, so requests that hang at one partner leave connections free
    for the others.
    """
    connector = aiohttp.UnixConnector(path=str(settings.socket_out), limit=CONNECTIONS_MAX)
    # The sidecar's route has the real timeout; this one only catches a sidecar that is down.
    timeout = aiohttp.ClientTimeout(total=TOTAL_S, sock_connect=2)
    return aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,
    )


async def read_answer(response: aiohttp.ClientResponse) -> bytes:
    """Return the body of a partner's answer.

    Raises aiohttp.ClientPayloadError, as for a broken connection, if the body is longer than
    `ANSWER_BYTES_MAX` or has a Content-Encoding: a few compressed bytes can fill the memory.
    """
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise aiohttp.ClientPayloadError("the answer has a Content-Encoding")
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise aiohttp.ClientPayloadError(f"the answer exceeds {ANSWER_BYTES_MAX} bytes")
    return bytes(body)


def json_of(body: bytes) -> Any:
    """Return the value of a JSON text; None for an empty or unreadable one."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def plain(value: object) -> str:
    """Return a state, a code or an id of a partner: 1 to 255 printable ASCII characters.

    Any other value, of any type, is "". So only short texts are stored or logged.
    """
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else ""


def log_unexpected_answer(partner: str, call: str, status: int) -> None:
    """Log an answer that the partner's protocol does not define, or that cannot be used.

    The body is never logged, because it may contain personal data or a secret.
    """
    log.warning(f"{partner}.unexpected_answer", call=call, status=status)


def log_no_answer(partner: str, call: str, error: Exception) -> None:
    """Log a call that got no complete answer from the partner."""
    log.warning(f"{partner}.no_answer", call=call, error=type(error).__name__)
