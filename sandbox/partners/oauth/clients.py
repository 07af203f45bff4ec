"""The registered clients and how they authenticate.

A client has a secret (Basic header or form) or signs an assertion with its own key
(private_key_jwt: RFC 7523, OpenID Connect Core 9). Keys are parsed once, at start.
"""

import base64
import binascii
import hmac
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from joserfc.jwk import ECKey

from sandbox.partners.oauth.assertions import (
    AssertionRefused,
    Assertions,
    Expected,
    claimed_subject,
)
from sandbox.partners.oauth.refusals import OauthError, invalid_client, invalid_request
from sandbox.partners.oauth.used_ids import UsedIdsError
from sandbox.partners.settings import OauthClient, OauthSettings

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_TTL_S_MAX = 300
SUBJECT_TTL_S_MAX = 120
AUTH_METHODS = ["client_secret_basic", "client_secret_post", "private_key_jwt"]

Form = Mapping[str, str]


class Clients:
    """All registered clients."""

    def __init__(self, settings: OauthSettings, assertions: Assertions) -> None:
        """Parse the clients' public keys."""
        self._assertions = assertions
        self._issuer = settings.issuer
        self._clients = {client.client_id: client for client in settings.clients}
        self._keys = {
            client.client_id: _public_key(client.public_jwk)
            for client in settings.clients
            if client.public_jwk is not None
        }

    def authenticated(self, form: Form, authorization: str) -> OauthClient:
        """Return the client that sent a request, or raise OauthError."""
        is_basic = authorization.partition(" ")[0].lower() == "basic"
        has_assertion = "client_assertion" in form or "client_assertion_type" in form
        if [is_basic, has_assertion, "client_secret" in form].count(True) > 1:
            raise invalid_request("use one method of client authentication")
        if has_assertion:
            return self._by_assertion(form)
        return self._by_secret(*(_basic(authorization) if is_basic else _posted(form)))

    def subject_claims(self, client: OauthClient, token: str) -> dict[str, Any]:
        """Return the claims of a subject token that the client signed, and use up its id."""
        wanted = Expected("subject", client.client_id, (self._issuer,), SUBJECT_TTL_S_MAX)
        try:
            return self._accepted(client, token, wanted)
        except AssertionRefused as error:
            raise invalid_request(f"subject_token is refused: {error}") from error

    def _by_assertion(self, form: Form) -> OauthClient:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise invalid_request(f"client_assertion_type must be {ASSERTION_TYPE}")
        assertion = form.get("client_assertion", "")
        client = self._clients.get(form.get("client_id") or claimed_subject(assertion))
        if client is None or client.client_id not in self._keys:
            raise invalid_client("the client is not registered with a key")
        audiences = (f"{self._issuer}/token", self._issuer)
        wanted = Expected("client", client.client_id, audiences, ASSERTION_TTL_S_MAX)
        try:
            claims = self._accepted(client, assertion, wanted)
        except AssertionRefused as error:
            raise invalid_client(f"client_assertion is refused: {error}") from error
        if claims.get("sub") != client.client_id:
            raise invalid_client("client_assertion is refused: sub must be the client id")
        return client

    def _accepted(self, client: OauthClient, token: str, wanted: Expected) -> dict[str, Any]:
        try:
            return self._assertions.accept(self._keys[client.client_id], token, wanted)
        except UsedIdsError as error:
            text = "too many assertions are in use; retry later"
            raise OauthError("temporarily_unavailable", text, 503) from error

    def _by_secret(self, client_id: str, secret: str) -> OauthClient:
        client = self._clients.get(client_id)
        expected = client.client_secret if client is not None else None
        is_right = hmac.compare_digest((expected or uuid.uuid4().hex).encode(), secret.encode())
        if client is None or expected is None or not is_right:
            raise invalid_client("client id or secret is wrong")
        return client


def _public_key(jwk: dict[str, str]) -> ECKey:
    key = ECKey.import_key(dict(jwk))
    if key.is_private or key.curve_name != "P-256":
        raise ValueError("public_jwk must be a public EC key on the curve P-256")
    return key


def _posted(form: Form) -> tuple[str, str]:
    return form.get("client_id", ""), form.get("client_secret", "")


def _basic(authorization: str) -> tuple[str, str]:
    """Return client id and secret of a Basic header."""
    try:
        value = authorization.partition(" ")[2]
        decoded = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise invalid_client("Basic header cannot be read") from error
    client_id, _, secret = decoded.partition(":")
    return unquote(client_id), unquote(secret)
