"""Verifies the JWTs that clients sign with their own key: ES256, short-lived, used once.

They are client assertions (RFC 7523) and subject tokens of a token exchange (RFC 8693).
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from sandbox.partners.oauth.used_ids import UsedIds

ALGORITHMS = ["ES256"]
TEXT_CHARACTERS_MAX = 256


class AssertionRefused(ValueError):
    """The JWT is not acceptable; the message names the rule that it breaks."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a JWT of a client must be: its kind, issuer, audience (one of these), lifetime."""

    kind: str
    issuer: str
    audiences: tuple[str, ...]
    lifetime_s_max: int


class Assertions:
    """Checks the JWTs of all clients; `clock_skew_s` is how far their clocks may differ."""

    def __init__(self, used: UsedIds, clock_skew_s: int) -> None:
        """Keep the memory of used ids."""
        self._used = used
        self._skew_s = clock_skew_s

    def accept(self, key: ECKey, token: str, expected: Expected) -> dict[str, Any]:
        """Return the claims of an acceptable JWT and use up its id, or raise AssertionRefused."""
        claims = signed_claims(token, key)
        if claims.get("iss") != expected.issuer:
            raise AssertionRefused("iss must be the client id")
        if _only_audience(claims) not in expected.audiences:
            raise AssertionRefused(f"aud must be {' or '.join(expected.audiences)}")
        now = time.time()
        expiry = self._expiry(claims, expected.lifetime_s_max, now)
        name = f"{expected.kind} {expected.issuer} {text(claims, 'jti')}"
        if not self._used.take(name, expiry + self._skew_s, now):
            raise AssertionRefused("jti was already used; sign a new JWT for each request")
        return claims

    def _expiry(self, claims: Mapping[str, Any], lifetime_s_max: int, now: float) -> float:
        """Return exp, after exp, iat and nbf were checked. Without iat, it is the current time."""
        expiry = number(claims, "exp")
        issued = number(claims, "iat", now)
        if expiry + self._skew_s <= now:
            raise AssertionRefused("the JWT has expired")
        if max(issued, number(claims, "nbf", issued)) > now + self._skew_s:
            raise AssertionRefused("the JWT is not valid yet")
        if not 0 < expiry - issued <= lifetime_s_max:
            raise AssertionRefused(f"exp must be at most {lifetime_s_max} s after iat")
        return expiry


def signed_claims(token: str, key: Any) -> dict[str, Any]:
    """Return the claims of a JWT whose ES256 signature `key` verifies; no claim is checked."""
    try:
        return jwt.decode(token, key, algorithms=ALGORITHMS).claims
    except (JoseError, ValueError, RecursionError) as error:
        raise AssertionRefused("the JWT cannot be read, or its signature is invalid") from error


def claimed_subject(token: str) -> str:
    """Return the `sub` of a JWT that is not verified yet; empty when it cannot be read."""
    try:
        claims = json.loads(jws.extract_compact(token.encode()).payload)
    except (JoseError, ValueError, RecursionError):
        return ""
    subject = claims.get("sub") if isinstance(claims, dict) else None
    return subject if isinstance(subject, str) else ""


def number(claims: Mapping[str, Any], name: str, absent: float | None = None) -> float:
    """Return a time claim in unix seconds; `absent` replaces a missing one."""
    value = claims.get(name, absent)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise AssertionRefused(f"{name} must be a time in seconds")
    return value


def text(claims: Mapping[str, Any], name: str, *, may_be_empty: bool = False) -> str:
    """Return a claim that must be a text of at most 256 characters."""
    value = claims.get(name)
    if not isinstance(value, str) or len(value) > TEXT_CHARACTERS_MAX:
        raise AssertionRefused(f"{name} must be a text of at most {TEXT_CHARACTERS_MAX} characters")
    if not value and not may_be_empty:
        raise AssertionRefused(f"{name} is empty")
    return value


def _only_audience(claims: Mapping[str, Any]) -> str | None:
    """Return the one audience: a JWT for several receivers could be replayed by one of them."""
    value = claims.get("aud")
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, str) else None
