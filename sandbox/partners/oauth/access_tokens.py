"""The provider's access tokens: signed JWTs (RFC 9068), their claims and their verification."""

import time
import uuid
from collections.abc import Callable
from typing import Any

from sandbox.partners.oauth.assertions import AssertionRefused, number, signed_claims
from sandbox.partners.oauth.keys import KeyRing

HasEnded = Callable[[str, float], bool]
"""Says whether a session ended after a token with this `iat` was issued."""
SANDBOX_METHODS = ["pwd", "otp", "face"]
"""Authentication methods (RFC 8176) that the sandbox's tokens claim: no login happened."""


class AccessTokens:
    """Makes and verifies the tokens of one issuer."""

    def __init__(self, issuer: str, keys: KeyRing, has_ended: HasEnded) -> None:
        """Sign with the newest key of the ring; `has_ended` knows the sessions that ended."""
        self.issuer = issuer
        self._keys = keys
        self._has_ended = has_ended

    def claims(
        self, subject: str, audience: str, scope: str, client_id: str, lifetime_s: float
    ) -> dict[str, Any]:
        """Return the claims of an access token that is valid from the current time."""
        now = int(time.time())
        return {
            "iss": self.issuer,
            "sub": subject,
            "aud": audience,
            "iat": now,
            "exp": now + int(lifetime_s),
            "jti": str(uuid.uuid4()),
            "scope": scope,
            "client_id": client_id,
        }

    def sign(self, claims: dict[str, Any]) -> str:
        """Return the signed token."""
        return self._keys.sign(claims)

    def verified(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token of this provider that has not expired, otherwise None."""
        try:
            claims = signed_claims(token, self._keys.verifiers())
            is_valid = claims.get("iss") == self.issuer and number(claims, "exp") > time.time()
            number(claims, "iat")
        except AssertionRefused:
            return None
        return claims if is_valid else None

    def active(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a verified token that is not revoked, otherwise None."""
        claims = self.verified(token)
        if claims is None or self._has_ended(session_of(claims), claims["iat"]):
            return None
        return claims


def sandbox_session() -> dict[str, Any]:
    """Return the claims of a login for a token of the sandbox, which no login precedes."""
    return {
        "sid": str(uuid.uuid4()),
        "device": "",
        "auth_time": int(time.time()),
        "amr": SANDBOX_METHODS,
    }


def session_of(claims: dict[str, Any]) -> str:
    """Return the session that revocation ends; a token without a session is its own."""
    named = claims.get("sid") or claims.get("jti")
    return named if isinstance(named, str) else ""
