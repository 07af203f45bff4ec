"""The push service: Firebase Cloud Messaging, HTTP v1, with Google's OAuth 2.0 service accounts.

The sidecar adds TLS, timeouts and circuit breakers. The notification's tag (Android) and collapse
id (APNs) are the event's id, so a push that is sent again replaces the first one on the device.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
import orjson
from joserfc import jwt
from joserfc.jwk import RSAKey

from services.chassis.http_client import (
    log_no_answer,
    log_unexpected_answer,
    plain,
    read_answer,
)
from services.notifications.state import Attempt, Outcome, Push

TOKEN_URL = "http://oauth2.googleapis.com/token"  # noqa: S105 - an address; the sidecar adds TLS
SEND_URL = "http://fcm.googleapis.com/v1/projects/{project}/messages:send"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_S = 3600
RENEW_BEFORE_S = 300
"""How long before its expiry a token is renewed."""
ATTEMPT_S = 15.0
"""How long an attempt may take, with the wait for an access token. It must be shorter than the
margin of the lease (`lease_margin_s`); otherwise another process could send the same push at the
same time."""
SEND_TIMEOUT = aiohttp.ClientTimeout(total=ATTEMPT_S)
PARTNER = "push"
"""The partner's name in the log."""
COLLAPSE_ID_BYTES_MAX = 64
"""APNs refuses a longer collapse id; an event id with its suffix has 45 bytes."""

ASKED_S_MAX = 86_400.0
"""A push is retried after at most a day, even if Retry-After is longer."""

FOR_GOOD = {"INVALID_ARGUMENT", "SENDER_ID_MISMATCH"}
"""FCM error codes with which FCM refuses a message permanently."""


class TokenRefused(Exception):
    """Google's token endpoint returned no token; every push is postponed until it does.

    The text is the status and the code of the answer.
    """


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    renew_time: float


def _granted(status: int, body: bytes) -> _Token:
    """Return the token of an answer; raise TokenRefused, and ValueError for a malformed 200."""
    if status != 200:
        raise TokenRefused(f"{status} {_error_code(body)}".strip())
    granted = _object(body)
    expires = granted.get("expires_in")
    if not isinstance(expires, int | float | str):
        raise ValueError("a success without expires_in")
    expires_s = float(expires)
    lifetime_s = max(expires_s - RENEW_BEFORE_S, expires_s / 2)
    return _Token(_text(granted, "access_token"), time.monotonic() + lifetime_s)


class AccessTokens:
    """Access tokens of one service account, whose key is parsed once."""

    def __init__(self, session: aiohttp.ClientSession, account: Mapping[str, str]) -> None:
        self._session = session
        self._email = account["client_email"]
        self._audience = account["token_uri"]
        self._header = {"alg": "RS256", "kid": account["private_key_id"]}
        self._key = RSAKey.import_key(account["private_key"])
        self._token = _Token("", 0.0)
        self._renewing = asyncio.Lock()

    async def get(self, refused: str = "") -> str:
        """Return a valid token other than `refused`, which a server has refused."""
        if self._is_good(refused):
            return self._token.value
        async with self._renewing:
            if not self._is_good(refused):
                self._token = await self._bought()
        return self._token.value

    def _is_good(self, refused: str) -> bool:
        return self._token.value != refused and time.monotonic() < self._token.renew_time

    async def _bought(self) -> _Token:
        form = {"grant_type": GRANT, "assertion": self._assertion()}
        async with self._session.post(TOKEN_URL, data=form, timeout=SEND_TIMEOUT) as answer:
            status, body = answer.status, await read_answer(answer)
        try:
            return _granted(status, body)
        except (TokenRefused, ValueError):
            log_unexpected_answer(PARTNER, "token", status)
            raise

    def _assertion(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self._email,
            "scope": SCOPE,
            "aud": self._audience,
            "iat": now,
            "exp": now + ASSERTION_S,
        }
        return jwt.encode(self._header, claims, self._key)


class PushClient:
    """Sends one push and returns its outcome; a failure of the partner never raises."""

    def __init__(
        self, session: aiohttp.ClientSession, tokens: AccessTokens, project_id: str
    ) -> None:
        self._session = session
        self._tokens = tokens
        self._url = SEND_URL.format(project=project_id)

    async def send(self, push: Push) -> Attempt:
        """Send the push; a timeout, a refused token or a 5xx postpones it."""
        try:
            async with asyncio.timeout(ATTEMPT_S):
                return await self._send(push)
        except (TimeoutError, aiohttp.ClientError, OSError, TokenRefused, ValueError) as error:
            if not isinstance(error, TokenRefused | ValueError):
                log_no_answer(PARTNER, "send", error)
            return Attempt(push, Outcome.POSTPONED, _detail(error))

    async def _send(self, push: Push) -> Attempt:
        body = orjson.dumps(message(push))
        token = await self._tokens.get()
        status, headers, answer = await self._post(body, token)
        if status == 401:
            token = await self._tokens.get(refused=token)
            status, headers, answer = await self._post(body, token)
        try:
            attempt = understood(push, status, headers, answer)
        except ValueError:
            log_unexpected_answer(PARTNER, "send", status)
            raise
        if attempt.outcome is Outcome.POSTPONED:
            log_unexpected_answer(PARTNER, "send", status)
        return attempt

    async def _post(self, body: bytes, token: str) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with self._session.post(
            self._url, data=body, headers=headers, timeout=SEND_TIMEOUT
        ) as answer:
            return answer.status, answer.headers, await read_answer(answer)


def message(push: Push) -> dict[str, Any]:
    """Return the request of messages:send."""
    tag = push.event_id[:COLLAPSE_ID_BYTES_MAX]
    return {
        "message": {
            "token": push.device,
            "notification": {"title": push.title, "body": push.body},
            "data": _data(push),
            "android": {"notification": {"tag": tag}},
            "apns": {"headers": {"apns-collapse-id": tag}},
        }
    }


def _data(push: Push) -> dict[str, str]:
    """Return what the app reads; `transferId` is absent in a message about logins."""
    transfer = {"transferId": push.transfer_id} if push.transfer_id else {}
    return {"eventId": push.event_id, **transfer, "template": push.template}


def _detail(error: Exception) -> str:
    """Return an error's class, with the answer to a request for a token. The texts of other errors
    may contain the partner's answer."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, TokenRefused) else name


def understood(push: Push, status: int, headers: Mapping[str, str], body: bytes) -> Attempt:
    """Return what an answer means for the delivery; raise ValueError for a malformed 200."""
    if status == 200:
        return Attempt(push, Outcome.TAKEN, plain(_text(_object(body), "name")))
    code = _error_code(body)
    detail = f"{status} {code}".strip()
    if code == "UNREGISTERED":
        return Attempt(push, Outcome.DEVICE_GONE, detail)
    if code in FOR_GOOD:
        return Attempt(push, Outcome.REFUSED, detail)
    after = headers.get("Retry-After", "")
    asked_s = min(float(after), ASKED_S_MAX) if after.isdigit() else 0.0
    return Attempt(push, Outcome.POSTPONED, detail, asked_s)


def _object(body: bytes) -> dict[str, Any]:
    """Return a JSON object; raise ValueError for anything else."""
    document = orjson.loads(body)
    if not isinstance(document, dict):
        raise ValueError("a success without a JSON object")
    return cast("dict[str, Any]", document)


def _text(fields: dict[str, Any], name: str) -> str:
    """Return a field's text; raise ValueError for a value of any other type, even nested."""
    value = fields.get(name)
    if not isinstance(value, str):
        raise ValueError(f"a success without {name}")
    return value


def _error_code(body: bytes) -> str:
    """Return FCM's errorCode, the status of Google's error model or the error of OAuth 2.0 (RFC
    6749, 5.2); "" when the answer is not Google's, for example from a proxy."""
    try:
        error = orjson.loads(body)["error"]
        if isinstance(error, str):
            return plain(error)
        found = [one["errorCode"] for one in error.get("details", ()) if "errorCode" in one]
        return next(filter(None, map(plain, (*found, error.get("status")))), "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
