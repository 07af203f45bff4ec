"""`python -m sandbox.partners.oauth --config FILE.json`: the OpenID provider as a process."""

from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from sandbox.partners.control import ControlError, control_app, parsed
from sandbox.partners.faults import Faults
from sandbox.partners.oauth.api import Provider
from sandbox.partners.oauth.keys import KeyRing
from sandbox.partners.server import REQUEST_BYTES_MAX, Partner, answer, main
from sandbox.partners.settings import OauthSettings


class _Rotation(BaseModel):
    """The new key signs after `lead_s`; older keys are removed `overlap_s` later."""

    model_config = ConfigDict(extra="forbid")
    lead_s: float = Field(default=0, ge=0, le=86_400)
    overlap_s: float = Field(default=1800, ge=0, le=86_400)


class _Mint(BaseModel):
    """A validly signed token with any lifetime (negative: expired) and any claims."""

    model_config = ConfigDict(extra="forbid")
    subject: str
    scope: str = ""
    lifetime_s: float = 900
    claims: dict[str, Any] = Field(default_factory=dict)


class _Control:
    def __init__(self, provider: Provider, keys: KeyRing) -> None:
        self._provider = provider
        self._keys = keys

    def counts(self) -> dict[str, Any]:
        done = self._provider.counts
        tokens = {"issued": done.tokens_issued, "refused": done.tokens_refused}
        return {"tokens": tokens, "keys": len(self._keys.keys)}

    async def list(self, _request: web.Request) -> web.StreamResponse:
        return answer({"keys": [key.view() for key in self._keys.keys]})

    async def rotate(self, request: web.Request) -> web.StreamResponse:
        body = await parsed(request, _Rotation)
        return answer(self._keys.rotate(body.lead_s, body.overlap_s).view(), 201)

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        if not self._keys.revoke(request.match_info["kid"]):
            raise ControlError(409, "the key does not exist or is the last one")
        return answer({"revoked": 1})

    async def mint(self, request: web.Request) -> web.StreamResponse:
        body = await parsed(request, _Mint)
        claims = self._provider.mint(body.subject, body.scope, "control", body.lifetime_s)
        return answer({"access_token": self._keys.sign({**claims, **body.claims})})


def build(settings: OauthSettings) -> Partner:
    """Wire the provider; its keys are read from the state directory."""
    faults, keys = Faults(), KeyRing(settings.state_dir / "oauth-keys.json")
    provider = Provider(settings, keys)
    app = web.Application(middlewares=[faults.middleware], client_max_size=REQUEST_BYTES_MAX)
    app.router.add_get("/.well-known/openid-configuration", provider.discovery)
    app.router.add_get("/jwks", provider.jwks)
    app.router.add_post("/token", provider.token)
    control = _Control(provider, keys)
    controls = control_app("oauth", faults, control.counts)
    controls.router.add_get("/control/keys", control.list)
    controls.router.add_post("/control/keys/rotate", control.rotate)
    controls.router.add_delete("/control/keys/{kid}", control.revoke)
    controls.router.add_post("/control/tokens", control.mint)
    return Partner(app=app, control=controls)


if __name__ == "__main__":
    main("oauth", OauthSettings, build)
