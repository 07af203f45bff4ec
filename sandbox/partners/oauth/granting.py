"""What each grant type answers at the token endpoint, to a client that is authenticated.

`client_credentials`: the subject is the client. `customer`: the sandbox's own grant, by which an
authenticated client gets a token of any customer, without a login. Token exchange (RFC 8693): a
token for the customer whose login the client confirms. `refresh_token`: its next tokens.
"""

import time
import uuid
from typing import Any

from sandbox.partners.oauth import exchange
from sandbox.partners.oauth.access_tokens import AccessTokens, sandbox_session
from sandbox.partners.oauth.clients import Clients, Form
from sandbox.partners.oauth.counts import Counts
from sandbox.partners.oauth.grants import Consent, Grants, Use
from sandbox.partners.oauth.refusals import OauthError, invalid_request
from sandbox.partners.settings import OauthClient, OauthSettings

CLIENT_GRANT = "client_credentials"
CUSTOMER_GRANT = "customer"
REFRESH_GRANT = "refresh_token"
GRANT_TYPES = [CLIENT_GRANT, CUSTOMER_GRANT, exchange.GRANT, REFRESH_GRANT]
OFFLINE = "offline_access"
"""The scope that asks for a refresh token (OpenID Connect Core, 11)."""


class Granting:
    """The grant types of one provider."""

    def __init__(
        self,
        settings: OauthSettings,
        clients: Clients,
        tokens: AccessTokens,
        grants: Grants,
        counts: Counts,
    ) -> None:
        """Keep the parts."""
        self._settings = settings
        self._clients = clients
        self._tokens = tokens
        self._grants = grants
        self._counts = counts
        self._by_type = {
            CLIENT_GRANT: self._for_client,
            CUSTOMER_GRANT: self._for_customer,
            exchange.GRANT: self._exchanged,
            REFRESH_GRANT: self._refreshed,
        }

    def grant(self, form: Form, client: OauthClient) -> dict[str, Any]:
        """Return the answer of the token endpoint, or raise OauthError."""
        answering = self._by_type.get(form.get("grant_type", ""))
        if answering is None:
            raise OauthError("unsupported_grant_type", "see the discovery document")
        return answering(form, client)

    def _for_client(self, form: Form, client: OauthClient) -> dict[str, Any]:
        """A client with a key calls the provider itself, so its token is for the provider."""
        scope = _online(_scope(form, client.scopes))
        settings, name = self._settings, client.client_id
        audience = settings.audience if client.public_jwk is None else settings.issuer
        claims = self._tokens.claims(name, audience, scope, name, settings.token_ttl_s)
        return self._answer(claims, settings.token_ttl_s)

    def _for_customer(self, form: Form, client: OauthClient) -> dict[str, Any]:
        scope = _online(_scope(form, client.scopes))
        if not client.customers:
            raise OauthError("unauthorized_client", "the client may not use this grant")
        try:
            subject = str(uuid.UUID(form.get("subject", "")))
        except ValueError as error:
            raise invalid_request("subject must be a customer's UUID") from error
        lifetime_s, audience = self._settings.token_ttl_s, self._settings.audience
        claims = self._tokens.claims(subject, audience, scope, client.client_id, lifetime_s)
        return self._answer(claims | sandbox_session(), lifetime_s)

    def _exchanged(self, form: Form, client: OauthClient) -> dict[str, Any]:
        if not client.exchange:
            raise OauthError("unauthorized_client", "the client may not exchange tokens")
        exchange.require_parameters(form, self._settings.audience)
        scope = _scope(form, client.scopes)
        if form.get("requested_token_type") == exchange.REFRESH_TOKEN:
            scope = _with_refresh(scope, client)
        consent, now = self._consent(form, client, scope), time.time()
        answered = self._answer_for(consent, consent.scope)
        answered["issued_token_type"] = exchange.ACCESS_TOKEN
        if OFFLINE in scope.split():
            answered["refresh_token"] = self._grants.open(consent, now)
        return answered

    def _consent(self, form: Form, client: OauthClient, scope: str) -> Consent:
        """Return what the subject token confirms; its id is used up after all other checks."""
        actor = self._tokens.active(form["actor_token"])
        exchange.require_actor(actor, client.client_id, self._settings.issuer)
        claims = self._clients.subject_claims(client, form["subject_token"])
        login = exchange.login_of(claims, time.time() + self._settings.clock_skew_s)
        target = {"audience": self._settings.audience, "scope": scope}
        return Consent(client_id=client.client_id, actor=client.client_id, **target, **login)

    def _refreshed(self, form: Form, client: OauthClient) -> dict[str, Any]:
        token, now = form.get("refresh_token", ""), time.time()
        if not token:
            raise invalid_request("refresh_token is required")
        grant = self._grants.find(token, now)
        if grant is None or grant.consent.client_id != client.client_id:
            raise OauthError("invalid_grant", "the refresh token is unknown, expired or revoked")
        use = self._grants.use_of(grant, token, now)
        if use is Use.REUSED:
            self._counts.reuses += 1
            self._grants.end(grant.consent.sid, now, now + self._settings.session_token_ttl_s)
            raise OauthError("invalid_grant", "an earlier refresh token was used; the grant ended")
        scope = _scope(form, tuple(grant.consent.scope.split()), grant.consent.scope)
        change = self._grants.rotate if use is Use.CURRENT else self._grants.repeat
        successor = change(grant, token, now)
        self._counts.refreshes += 1
        return {**self._answer_for(grant.consent, scope), "refresh_token": successor}

    def _answer_for(self, consent: Consent, scope: str) -> dict[str, Any]:
        lifetime_s = self._settings.session_token_ttl_s
        target = (consent.subject, consent.audience, scope, consent.client_id)
        session = {
            "sid": consent.sid,
            "device": consent.device,
            "amr": consent.amr,
            "auth_time": consent.auth_time,
            "act": {"sub": consent.actor},
        }
        return self._answer(self._tokens.claims(*target, lifetime_s) | session, lifetime_s)

    def _answer(self, claims: dict[str, Any], lifetime_s: int) -> dict[str, Any]:
        token = {"access_token": self._tokens.sign(claims), "token_type": "Bearer"}
        return {**token, "expires_in": lifetime_s, "scope": claims["scope"]}


def _scope(form: Form, allowed: tuple[str, ...], default: str | None = None) -> str:
    """Return the requested scopes, or by default all that are allowed but offline access."""
    if default is None:
        default = " ".join(name for name in allowed if name != OFFLINE)
    scopes = list(dict.fromkeys(form.get("scope", default).split()))
    if not set(scopes) <= set(allowed):
        raise OauthError("invalid_scope", f"allowed scopes: {' '.join(allowed)}")
    return " ".join(scopes)


def _online(scope: str) -> str:
    if OFFLINE in scope.split():
        raise OauthError("invalid_scope", f"{OFFLINE} is for token exchange")
    return scope


def _with_refresh(scope: str, client: OauthClient) -> str:
    """Return the scopes with offline access, which a requested refresh token implies."""
    if OFFLINE not in client.scopes:
        raise OauthError("invalid_scope", "the client may not have refresh tokens")
    return " ".join(dict.fromkeys([*scope.split(), OFFLINE]))
