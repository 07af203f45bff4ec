"""Revocation (RFC 7009) and introspection (RFC 7662), for a client that is authenticated.

Both take an access token or a refresh token and find out which it is, so `token_type_hint` is not
needed. A refresh token, current or earlier, stands for its grant, an access token for its session.
"""

import time
from typing import Any

from sandbox.partners.oauth.access_tokens import AccessTokens, session_of
from sandbox.partners.oauth.clients import Form
from sandbox.partners.oauth.counts import Counts
from sandbox.partners.oauth.grants import Grant, Grants, Use
from sandbox.partners.oauth.refusals import OauthError, invalid_request
from sandbox.partners.settings import OauthClient

INACTIVE: dict[str, Any] = {"active": False}


class Inspection:
    """The two endpoints; `session_token_ttl_s` is how long access tokens of a grant live."""

    def __init__(
        self, tokens: AccessTokens, grants: Grants, counts: Counts, session_token_ttl_s: int
    ) -> None:
        """Keep the parts."""
        self._tokens = tokens
        self._grants = grants
        self._counts = counts
        self._session_token_ttl_s = session_token_ttl_s

    def revoke(self, form: Form, client: OauthClient) -> dict[str, Any]:
        """End the token's grant and session; a token that is not valid changes nothing."""
        token, now = _token(form), time.time()
        grant = self._grants.find(token, now)
        if grant is not None:
            _require_own(grant.consent.client_id, client)
            self._end(grant.consent.sid, now, now)
        elif (claims := self._tokens.verified(token)) is not None:
            _require_own(claims.get("client_id"), client)
            self._end(session_of(claims), now, claims["exp"])
        return {}

    def introspect(self, form: Form, client: OauthClient) -> dict[str, Any]:
        """Return the claims of an active token; of another one, only that it is inactive."""
        token, now = _token(form), time.time()
        grant = self._grants.find(token, now)
        if grant is not None:
            is_active = self._grants.use_of(grant, token, now) is Use.CURRENT
            is_own = grant.consent.client_id == client.client_id
            return _of_grant(grant, self._tokens.issuer) if is_active and is_own else INACTIVE
        claims = self._tokens.active(token)
        return INACTIVE if claims is None else {**claims, "active": True, "token_type": "Bearer"}

    def _end(self, session: str, now: float, expiry: float) -> None:
        self._counts.revocations += 1
        self._grants.end(session, now, max(expiry, now + self._session_token_ttl_s))


def _of_grant(grant: Grant, issuer: str) -> dict[str, Any]:
    consent = grant.consent
    return {
        "active": True,
        "iss": issuer,
        "sub": consent.subject,
        "aud": consent.audience,
        "scope": consent.scope,
        "client_id": consent.client_id,
        "iat": int(grant.opened_at),
        "exp": int(grant.until),
        "sid": consent.sid,
        "device": consent.device,
        "amr": consent.amr,
        "auth_time": consent.auth_time,
        "act": {"sub": consent.actor},
    }


def _token(form: Form) -> str:
    if "token" not in form:
        raise invalid_request("token is required")
    return form["token"]


def _require_own(client_id: str | None, client: OauthClient) -> None:
    """Refuse to revoke another client's token (RFC 7009, 2.1)."""
    if client_id != client.client_id:
        raise OauthError("invalid_grant", "the token was issued to another client")
