"""`python -m sandbox.partners.oauth --config FILE.json`: the OpenID provider as a process."""

import time
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from sandbox.partners.control import ControlError, control_app, parsed
from sandbox.partners.faults import Faults
from sandbox.partners.oauth.access_tokens import AccessTokens, sandbox_session
from sandbox.partners.oauth.api import Metadata, OauthApi
from sandbox.partners.oauth.assertions import Assertions
from sandbox.partners.oauth.clients import Clients
from sandbox.partners.oauth.counts import Counts
from sandbox.partners.oauth.granting import Granting
from sandbox.partners.oauth.grants import Grants, Limits
from sandbox.partners.oauth.inspection import Inspection
from sandbox.partners.oauth.keys import KeyRing
from sandbox.partners.oauth.used_ids import UsedIds
from sandbox.partners.server import REQUEST_BYTES_MAX, Partner, answer, main
from sandbox.partners.settings import OauthSettings


class _Rotation(BaseModel):
    """The new key signs after `lead_s`; older keys are removed `overlap_s` later."""

    model_config = ConfigDict(extra="forbid")
    lead_s: float = Field(default=0, ge=0, le=86_400)
    overlap_s: float = Field(default=1800, ge=0, le=86_400)


class _Mint(BaseModel):
    """A validly signed token with any lifetime (negative: expired) and any claims.

    `claims` replace the usual ones; null removes a claim.
    """

    model_config = ConfigDict(extra="forbid")
    subject: str
    scope: str = ""
    lifetime_s: float = 600
    claims: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Control:
    """The endpoints of the control API, and what they show and change."""

    audience: str
    keys: KeyRing
    tokens: AccessTokens
    grants: Grants
    done: Counts

    def counts(self) -> dict[str, Any]:
        done = self.done
        tokens = {"issued": done.tokens_issued, "refused": done.tokens_refused}
        changes = {
            "grants": len(self.grants),
            "refreshes": done.refreshes,
            "reuses": done.reuses,
            "revocations": done.revocations,
        }
        return {"tokens": tokens, "keys": len(self.keys.keys), **changes}

    async def list(self, _request: web.Request) -> web.StreamResponse:
        return answer({"keys": [key.view() for key in self.keys.keys]})

    async def rotate(self, request: web.Request) -> web.StreamResponse:
        body = await parsed(request, _Rotation)
        return answer(self.keys.rotate(body.lead_s, body.overlap_s).view(), 201)

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        if not self.keys.revoke(request.match_info["kid"]):
            raise ControlError(409, "the key does not exist or is the last one")
        return answer({"revoked": 1})

    async def mint(self, request: web.Request) -> web.StreamResponse:
        body = await parsed(request, _Mint)
        target = (body.subject, self.audience, body.scope, "control")
        usual = self.tokens.claims(*target, body.lifetime_s)
        claims = usual | sandbox_session() | body.claims
        token = self.tokens.sign({name: v for name, v in claims.items() if v is not None})
        return answer({"access_token": token})


def build(settings: OauthSettings) -> Partner:
    """Wire the provider; keys, grants and used ids are read from the state directory."""
    state, counts = settings.state_dir, Counts()
    keys = KeyRing(state / "oauth-keys.json")
    used = UsedIds(state / "oauth-ids.journal", settings.used_ids_max)
    limits = Limits(settings.grant_ttl_s, settings.refresh_leeway_s, settings.grants_max)
    grants = Grants(state / "oauth-grants.journal", limits, time.time())
    tokens = AccessTokens(settings.issuer, keys, grants.has_ended)
    clients = Clients(settings, Assertions(used, settings.clock_skew_s))
    granting = Granting(settings, clients, tokens, grants, counts)
    inspection = Inspection(tokens, grants, counts, settings.session_token_ttl_s)
    faults, api = Faults(), OauthApi(clients, granting, inspection, counts)
    control = _Control(settings.audience, keys, tokens, grants, counts)
    return Partner(
        app=_public(faults, Metadata(settings, keys), api),
        control=_controls(faults, control),
        closers=[grants.close, used.close],
    )


def _public(faults: Faults, metadata: Metadata, api: OauthApi) -> web.Application:
    app = web.Application(middlewares=[faults.middleware], client_max_size=REQUEST_BYTES_MAX)
    app.router.add_get("/.well-known/openid-configuration", metadata.discovery)
    app.router.add_get("/jwks", metadata.jwks)
    app.router.add_post("/token", api.token)
    app.router.add_post("/revoke", api.revoke)
    app.router.add_post("/introspect", api.introspect)
    return app


def _controls(faults: Faults, control: _Control) -> web.Application:
    app = control_app("oauth", faults, control.counts)
    app.router.add_get("/control/keys", control.list)
    app.router.add_post("/control/keys/rotate", control.rotate)
    app.router.add_delete("/control/keys/{kid}", control.revoke)
    app.router.add_post("/control/tokens", control.mint)
    return app


if __name__ == "__main__":
    main("oauth", OauthSettings, build)
