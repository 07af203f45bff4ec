"""The provider's public API over HTTP: discovery, key set, and the endpoints for clients.

Those are the token, revocation and introspection endpoints: form-encoded, with client
authentication, and with the answers and errors of RFC 6749.
"""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from sandbox.partners.oauth.assertions import ALGORITHMS
from sandbox.partners.oauth.clients import AUTH_METHODS, Clients, Form
from sandbox.partners.oauth.counts import Counts
from sandbox.partners.oauth.granting import GRANT_TYPES, Granting
from sandbox.partners.oauth.inspection import Inspection
from sandbox.partners.oauth.keys import KeyRing
from sandbox.partners.oauth.refusals import OauthError, invalid_request
from sandbox.partners.server import answer
from sandbox.partners.settings import OauthClient, OauthSettings

NO_STORE = {"Cache-Control": "no-store"}
JWKS_CACHE = {"Cache-Control": "public, max-age=60"}
ENDPOINTS = ("token", "revocation", "introspection")

Work = Callable[[Form, OauthClient], dict[str, Any]]


class OauthApi:
    """The endpoints on the public port."""

    def __init__(
        self, clients: Clients, granting: Granting, inspection: Inspection, counts: Counts
    ) -> None:
        """Keep the parts."""
        self._clients = clients
        self._granting = granting
        self._inspection = inspection
        self._counts = counts

    async def token(self, request: web.Request) -> web.StreamResponse:
        """POST /token."""
        answered = await self._answered(request, self._granting.grant)
        if answered.status == 200:
            self._counts.tokens_issued += 1
        else:
            self._counts.tokens_refused += 1
        return answered

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        """POST /revoke."""
        return await self._answered(request, self._inspection.revoke)

    async def introspect(self, request: web.Request) -> web.StreamResponse:
        """POST /introspect."""
        return await self._answered(request, self._inspection.introspect)

    async def _answered(self, request: web.Request, work: Work) -> web.Response:
        try:
            form = await _form(request)
            client = self._clients.authenticated(form, request.headers.get("Authorization", ""))
            return answer(work(form, client), headers=NO_STORE)
        except OauthError as error:
            headers = dict(NO_STORE)
            if error.status == 401:
                headers["WWW-Authenticate"] = 'Basic realm="oauth.example"'
            refusal = {"error": error.code, "error_description": str(error)}
            return answer(refusal, error.status, headers)


class Metadata:
    """The documents that clients read: what the provider supports, and its keys."""

    def __init__(self, settings: OauthSettings, keys: KeyRing) -> None:
        """Write the discovery document once; the key set changes with the keys."""
        self._document = _discovery(settings)
        self._keys = keys

    async def discovery(self, _request: web.Request) -> web.StreamResponse:
        """GET /.well-known/openid-configuration (OpenID Connect Discovery 1.0, RFC 8414)."""
        return answer(self._document)

    async def jwks(self, _request: web.Request) -> web.StreamResponse:
        """GET /jwks: the public keys."""
        return answer(self._keys.published(), headers=JWKS_CACHE)


async def _form(request: web.Request) -> dict[str, str]:
    """Return the parameters; an empty one counts as omitted, a repeated one is refused."""
    try:
        sent = await request.post()
    except (LookupError, ValueError) as error:
        raise invalid_request("the body must be a form in UTF-8") from error
    if len(set(sent)) != len(sent):
        raise invalid_request("a parameter is repeated")
    return {name: value for name, value in sent.items() if isinstance(value, str) and value}


def _discovery(settings: OauthSettings) -> dict[str, Any]:
    """Return the metadata. No grant uses an authorization endpoint, so there are no response
    types; there are no ID tokens either, but the field is required."""
    issuer = settings.issuer
    document: dict[str, Any] = {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/jwks",
        "token_endpoint": f"{issuer}/token",
        "revocation_endpoint": f"{issuer}/revoke",
        "introspection_endpoint": f"{issuer}/introspect",
        "grant_types_supported": GRANT_TYPES,
        "scopes_supported": sorted({name for c in settings.clients for name in c.scopes}),
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ALGORITHMS,
    }
    for name in ENDPOINTS:
        document[f"{name}_endpoint_auth_methods_supported"] = AUTH_METHODS
        document[f"{name}_endpoint_auth_signing_alg_values_supported"] = ALGORITHMS
    return document
