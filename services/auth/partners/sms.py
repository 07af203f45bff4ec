"""The SMS gateway: text messages with one-time codes. The sidecar adds TLS, retries and breakers.

A message has an Idempotency-Key, so a retry sends one message. The gateway reports later, by a
signed receipt, whether the telephone got it.
"""

from collections.abc import Mapping

import aiohttp
import orjson

from services.auth.errors import OtpSendsExhausted
from services.chassis.http_client import (
    json_of,
    log_no_answer,
    log_unexpected_answer,
    plain,
    read_answer,
)
from services.kernel.errors import DependencyUnavailable

SEND_URL = "http://sms-gateway.example/v1/messages"
PARTNER = "sms"
"""The partner's name in the log."""
GATEWAY_TIMEOUT = 504
"""The sidecar's status when the gateway gave no answer in time."""


class NumberRefused(Exception):
    """The gateway will never deliver to this number."""


class NotAccepted(Exception):
    """The gateway answered, and did not accept the message.

    A connection that broke off counts too, because the sidecar answers the same for both.
    """


class SmsGateway:
    """Sends text messages."""

    def __init__(self, session: aiohttp.ClientSession, account: Mapping[str, str]) -> None:
        """`account` holds the fields of `secret/external/sms`."""
        self._session = session
        self._sender = account["sender"]
        self._headers = {"Authorization": f"Bearer {account['api_key']}"}

    async def send(self, to: str, text: str, key: str, ttl_s: int) -> None:
        """Send a text to a number in E.164; the gateway drops it after `ttl_s` seconds.

        Raises NumberRefused, NotAccepted, OtpSendsExhausted, and DependencyUnavailable when the
        gateway may have accepted it.
        """
        message = {
            "to": to,
            "from": self._sender,
            "body": text,
            "clientReference": key,
            "ttlSeconds": ttl_s,
        }
        headers = {
            **self._headers,
            "Idempotency-Key": key,
            "Content-Type": "application/json",
        }
        try:
            async with self._session.post(
                SEND_URL, data=orjson.dumps(message), headers=headers
            ) as answer:
                status, body = answer.status, await read_answer(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log_no_answer(PARTNER, "send", error)
            raise DependencyUnavailable from error
        _require_accepted(status, body)


def _require_accepted(status: int, body: bytes) -> None:
    if status == 202:
        return
    log_unexpected_answer(PARTNER, "send", status)
    if status == 429:
        raise OtpSendsExhausted
    error = json_of(body)
    code = plain(error["error"].get("code")) if _has_error(error) else ""
    if status in (400, 422) and code in ("INVALID_NUMBER", "BLOCKED_NUMBER"):
        raise NumberRefused(code)
    if status == GATEWAY_TIMEOUT:
        raise DependencyUnavailable
    raise NotAccepted


def _has_error(answer: object) -> bool:
    return isinstance(answer, dict) and isinstance(answer.get("error"), dict)
