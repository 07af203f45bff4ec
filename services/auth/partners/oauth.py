"""The OAuth provider: tokens for a customer who passed all factors (RFC 8693, RFC 7523).

Auth proves itself with a signed assertion (private_key_jwt) and states the customer in a second
one. The sidecar adds TLS, timeouts, retries and the circuit breaker. An assertion is valid once, so
a retry of the sidecar whose first attempt arrived is refused; then one more attempt is made with
new assertions.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import aiohttp
import structlog
from joserfc import jwt
from joserfc.jwk import ECKey

from services.auth.errors import RefreshTokenInvalid
from services.auth.state import TokenPair
from services.chassis.http_client import (
    json_of,
    log_no_answer,
    log_unexpected_answer,
    plain,
    read_answer,
)
from services.chassis.revocations import TOKEN_LIFE_S
from services.kernel.errors import DependencyUnavailable

TOKEN_URL = "http://oauth.example/token"  # noqa: S105 - an address; the sidecar adds TLS
REVOKE_URL = "http://oauth.example/revoke"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
ACCESS_TYPE = "urn:ietf:params:oauth:token-type:access_token"
SCOPES = "accounts:read transfers:read transfers:write auth:read auth:write"
OFFLINE = "offline_access"
"""The scope that asks for a refresh token."""
ASSERTION_S = 60
RENEW_BEFORE_S = 60
"""How long before its expiry auth's own token is renewed."""
OWN_TOKEN_S_MAX = 86_400
"""The longest lifetime of auth's own token that counts as an answer."""
ATTEMPTS = 2
EXCHANGE_S_MAX = 10.0
"""How long an exchange may take, with auth's own token and the second attempt. The sidecar ends one
request after five seconds; the deadline of the biometric step leaves no time for four of them."""
REFRESH_S_MAX = 9.0
"""The same for a refresh, whose deadline is shorter."""
PARTNER = "oauth"
"""The partner's name in the log."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Subject:
    """The customer of the tokens, and how the customer logged in."""

    customer_id: uuid.UUID
    session_id: uuid.UUID
    device_id: uuid.UUID
    methods: tuple[str, ...]
    """Authentication method references (RFC 8176), such as "pwd", "otp", "face", "hwk", "swk"."""
    auth_time: datetime


class _Refused(Exception):
    """The provider refused a request with an error code of RFC 6749."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class TokenProvider:
    """Auth's registered client at the provider; its key is parsed once."""

    def __init__(self, session: aiohttp.ClientSession, account: Mapping[str, str]) -> None:
        """`account` holds the fields of `secret/external/oauth-login`."""
        self._session = session
        self._client_id = account["client_id"]
        self._issuer = account["issuer"]
        self._audience = account["audience"]
        self._key = ECKey.import_key(account["private_key"])
        self._header = {"alg": "ES256", "kid": account["key_id"]}
        self._own_token, self._own_renew_s = "", 0.0
        self._renewing = asyncio.Lock()

    async def exchange(self, subject: Subject, *, with_refresh_token: bool) -> TokenPair:
        """Return tokens for a customer; the refresh token is "" unless it is asked for.

        Raises DependencyUnavailable.
        """
        async with _at_most(EXCHANGE_S_MAX):
            for attempt in range(ATTEMPTS):
                try:
                    return await self._exchange(subject, with_refresh_token=with_refresh_token)
                except _Refused as error:
                    self._own_token = ""
                    if attempt + 1 == ATTEMPTS:
                        raise DependencyUnavailable from error
        raise DependencyUnavailable

    async def _exchange(self, subject: Subject, *, with_refresh_token: bool) -> TokenPair:
        granted = await self._request(
            {
                "grant_type": EXCHANGE,
                "subject_token": self._subject_token(subject),
                "subject_token_type": JWT_TYPE,
                "actor_token": await self._actor_token(),
                "actor_token_type": ACCESS_TYPE,
                "audience": self._audience,
                "scope": f"{SCOPES} {OFFLINE}" if with_refresh_token else SCOPES,
            },
            "exchange",
        )
        try:
            return _pair(granted, with_refresh_token=with_refresh_token)
        except DependencyUnavailable:
            # The provider made a grant, although no session uses its tokens.
            if isinstance(unused := granted.get("refresh_token"), str):
                await self.revoke(unused)
            raise

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Return the next tokens; raise RefreshTokenInvalid and DependencyUnavailable."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        async with _at_most(REFRESH_S_MAX):
            for attempt in range(ATTEMPTS):
                try:
                    return _pair(await self._request(form, "refresh"), with_refresh_token=True)
                except _Refused as error:
                    if error.code == "invalid_grant":
                        raise RefreshTokenInvalid from error
                    if attempt + 1 == ATTEMPTS:
                        raise DependencyUnavailable from error
        raise DependencyUnavailable

    async def revoke(self, refresh_token: str) -> bool:
        """End the grant of a refresh token at the provider (RFC 7009); return whether it did.

        An outage is logged and not raised: the bank's own record of the session is the one that
        counts.
        """
        form = {"token": refresh_token, "token_type_hint": "refresh_token", **self._client()}
        try:
            async with self._session.post(REVOKE_URL, data=form) as answer:
                await read_answer(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log_no_answer(PARTNER, "revoke", error)
            return False
        if answer.status != 200:
            log_unexpected_answer(PARTNER, "revoke", answer.status)
        return answer.status == 200

    async def _actor_token(self) -> str:
        """Return auth's own token; a new one shortly before the old one expires."""
        async with self._renewing:
            if not self._own_token or time.monotonic() >= self._own_renew_s:
                granted = await self._request({"grant_type": "client_credentials"}, "client")
                self._own_token, expires_in_s = _access_token(granted, OWN_TOKEN_S_MAX)
                self._own_renew_s = time.monotonic() + max(expires_in_s - RENEW_BEFORE_S, 1)
            return self._own_token

    async def _request(self, form: Mapping[str, str], call: str) -> dict[str, Any]:
        """Return the fields of a success; raise _Refused or DependencyUnavailable."""
        try:
            async with self._session.post(TOKEN_URL, data={**form, **self._client()}) as answer:
                status, body = answer.status, json_of(await read_answer(answer))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log_no_answer(PARTNER, call, error)
            raise DependencyUnavailable from error
        fields = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
        if status == 200 and plain(fields.get("token_type")).lower() == "bearer":
            return fields
        log_unexpected_answer(PARTNER, call, status)
        code = plain(fields.get("error"))
        if status in (400, 401) and code:
            raise _Refused(code)
        raise DependencyUnavailable

    def _client(self) -> dict[str, str]:
        """Return the form fields that prove the client (private_key_jwt, RFC 7523)."""
        claims = {"sub": self._client_id}
        return {
            "client_id": self._client_id,
            "client_assertion_type": JWT_BEARER,
            "client_assertion": self._signed(claims, self._issuer),
        }

    def _subject_token(self, subject: Subject) -> str:
        claims = {
            "sub": str(subject.customer_id),
            "sid": str(subject.session_id),
            "device": str(subject.device_id),
            "amr": list(subject.methods),
            "auth_time": int(subject.auth_time.timestamp()),
        }
        return self._signed(claims, self._issuer)

    def _signed(self, claims: Mapping[str, Any], audience: str) -> str:
        now = int(time.time())
        times = {"iat": now, "exp": now + ASSERTION_S, "jti": uuid.uuid4().hex}
        whole = {"iss": self._client_id, "aud": audience, **times, **claims}
        return jwt.encode(self._header, whole, self._key)


@asynccontextmanager
async def _at_most(limit_s: float) -> AsyncGenerator[None]:
    """Raise DependencyUnavailable if the block takes longer, before the call's own deadline."""
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError as error:
        raise DependencyUnavailable from error


def _pair(granted: Mapping[str, Any], *, with_refresh_token: bool) -> TokenPair:
    """Return a customer's tokens; raise DependencyUnavailable if one is missing.

    The services forget an ended session after TOKEN_LIFE_S and a tolerance, and would then accept a
    token that lives longer.
    """
    access, expires_in_s = _access_token(granted, TOKEN_LIFE_S)
    if not with_refresh_token:
        return TokenPair(access, "", expires_in_s)
    refresh = granted.get("refresh_token")
    if not isinstance(refresh, str) or not refresh:
        raise DependencyUnavailable
    return TokenPair(access, refresh, expires_in_s)


def _access_token(granted: Mapping[str, Any], life_s_max: int) -> tuple[str, int]:
    """Return an access token and its lifetime in seconds; raise DependencyUnavailable."""
    access, expires_in = granted.get("access_token"), granted.get("expires_in")
    if not isinstance(access, str) or not access:
        raise DependencyUnavailable
    if not isinstance(expires_in, int) or expires_in <= 0:
        raise DependencyUnavailable
    if expires_in > life_s_max:
        log.error("oauth.token_lives_too_long", expires_in_s=expires_in, life_s_max=life_s_max)
        raise DependencyUnavailable
    return access, expires_in
