"""The provider's public API: discovery, key set, token endpoint (RFC 6749 answers and errors).

There are two grants: `client_credentials`, whose subject is the client, and the sandbox's customer
grant. With it, an authenticated client gets a token of any customer, without a password.
"""

import base64
import binascii
import hmac
import time
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from sandbox.partners.oauth.keys import KeyRing
from sandbox.partners.server import answer
from sandbox.partners.settings import OauthClient, OauthSettings

CLIENT_GRANT = "client_credentials"
CUSTOMER_GRANTS = ("customer", "urn:ietf:params:oauth:grant-type:token-exchange")
NO_STORE = {"Cache-Control": "no-store"}
JWKS_CACHE = {"Cache-Control": "public, max-age=60"}


class OauthError(Exception):
    """A refusal of the token endpoint, by RFC 6749 section 5.2."""

    def __init__(self, status: int, code: str, description: str) -> None:
        """`code` is the registered error code."""
        super().__init__(description)
        self.status, self.code = status, code


@dataclass(slots=True)
class Counts:
    """Counters since the start of the provider."""

    tokens_issued: int = 0
    tokens_refused: int = 0


class Provider:
    """Endpoints of the provider; `mint` is also used by the control API."""

    def __init__(self, settings: OauthSettings, keys: KeyRing) -> None:
        """Read clients from the settings and keys from the ring."""
        self._settings = settings
        self._keys = keys
        self._clients = {client.client_id: client for client in settings.clients}
        self.counts = Counts()

    def mint(self, subject: str, scope: str, client_id: str, lifetime_s: float) -> dict[str, Any]:
        """Return the claims of an access token that is valid from the current time."""
        now = int(time.time())
        return {
            "iss": self._settings.issuer,
            "sub": subject,
            "aud": self._settings.audience,
            "iat": now,
            "exp": now + int(lifetime_s),
            "jti": str(uuid.uuid4()),
            "scope": scope,
            "client_id": client_id,
        }

    async def discovery(self, _request: web.Request) -> web.StreamResponse:
        """OpenID Connect Discovery 1.0, limited to what this provider supports."""
        issuer = self._settings.issuer
        return answer(
            {
                "issuer": issuer,
                "jwks_uri": f"{issuer}/jwks",
                "token_endpoint": f"{issuer}/token",
                "grant_types_supported": [CLIENT_GRANT, *CUSTOMER_GRANTS],
                "token_endpoint_auth_methods_supported": [
                    "client_secret_basic",
                    "client_secret_post",
                ],
                "response_types_supported": ["token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
            }
        )

    async def jwks(self, _request: web.Request) -> web.StreamResponse:
        """The public keys."""
        return answer(self._keys.published(), headers=JWKS_CACHE)

    async def token(self, request: web.Request) -> web.StreamResponse:
        """POST /token, form encoded."""
        try:
            body = self._grant({k: str(v) for k, v in (await request.post()).items()}, request)
        except OauthError as error:
            self.counts.tokens_refused += 1
            headers = dict(NO_STORE)
            if error.status == 401:
                headers["WWW-Authenticate"] = 'Basic realm="oauth.example"'
            refusal = {"error": error.code, "error_description": str(error)}
            return answer(refusal, error.status, headers)
        self.counts.tokens_issued += 1
        return answer(body, headers=NO_STORE)

    def _grant(self, form: dict[str, str], request: web.Request) -> dict[str, Any]:
        client = self._client(form, request)
        scope = _scope(form.get("scope"), client)
        grant = form.get("grant_type", "")
        if grant == CLIENT_GRANT:
            subject = client.client_id
        elif grant in CUSTOMER_GRANTS:
            subject = _customer(form, client)
        else:
            raise OauthError(400, "unsupported_grant_type", "see the discovery document")
        ttl_s = self._settings.token_ttl_s
        token = self._keys.sign(self.mint(subject, scope, client.client_id, ttl_s))
        answered = {"access_token": token, "token_type": "Bearer", "expires_in": ttl_s}
        if grant == CUSTOMER_GRANTS[1]:
            answered["issued_token_type"] = "urn:ietf:params:oauth:token-type:access_token"
        return {**answered, "scope": scope}

    def _client(self, form: dict[str, str], request: web.Request) -> OauthClient:
        client_id, secret = _credentials(form, request)
        client = self._clients.get(client_id)
        expected = client.client_secret if client is not None else uuid.uuid4().hex
        right = hmac.compare_digest(expected.encode(), secret.encode())
        if client is None or not right:
            raise OauthError(401, "invalid_client", "client id or secret is wrong")
        return client


def _credentials(form: dict[str, str], request: web.Request) -> tuple[str, str]:
    """Return client id and secret, from the Basic header if there is one, else from the form."""
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        decoded = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise OauthError(401, "invalid_client", "Basic header cannot be read") from error
    client_id, _, secret = decoded.partition(":")
    return unquote(client_id), unquote(secret)


def _scope(wanted: str | None, client: OauthClient) -> str:
    """Return the requested scopes, or all of the client's if none; each must be allowed."""
    scopes = wanted.split() if wanted else list(client.scopes)
    if not set(scopes) <= set(client.scopes):
        raise OauthError(400, "invalid_scope", f"allowed scopes: {' '.join(client.scopes)}")
    return " ".join(scopes)


def _customer(form: dict[str, str], client: OauthClient) -> str:
    if not client.customers:
        raise OauthError(400, "unauthorized_client", "this client may not act for customers")
    subject = form.get("subject") or form.get("subject_token", "")
    try:
        return str(uuid.UUID(subject))
    except ValueError as error:
        raise OauthError(400, "invalid_request", "subject must be a customer's UUID") from error
