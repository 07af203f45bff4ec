"""A token issuer over TLS: it serves its keys as JWKS and signs any token that a test needs."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from tests.rigs.mesh.tls import server_context

ISSUER = "https://oauth.example"
AUDIENCE = "https://api.bp.example"
ALL_SCOPES = "accounts:read transfers:read transfers:write"


class Issuer:
    """Signs with ES256 and publishes the key at /jwks."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256", "kid": "k1"})
        self._runner: web.AppRunner | None = None

    async def start(self, port: int, folder: Path) -> None:
        """Serve the keys."""
        app = web.Application()
        app.router.add_get("/jwks", self._jwks)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(
            self._runner, "127.0.0.1", port, ssl_context=server_context(folder)
        ).start()

    async def close(self) -> None:
        """Stop serving."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _jwks(self, _request: web.Request) -> web.Response:
        return web.json_response(KeySet([self.key]).as_dict(private=False))

    def token(
        self, subject: str, scope: str = ALL_SCOPES, *, lives_s: int = 300, **claims: Any
    ) -> str:
        """Return a token; the given claims replace the default ones."""
        return jwt.encode(
            {"alg": "ES256", "kid": "k1"}, self.claims(subject, scope, lives_s, claims), self.key
        )

    def claims(
        self, subject: str, scope: str, lives_s: int, replaced: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the claims of a token."""
        now = int(time.time())
        usual = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "scope": scope,
            "iat": now,
            "exp": now + lives_s,
        }
        return {name: value for name, value in (usual | replaced).items() if value is not None}

    def confused_token(self, subject: str) -> str:
        """Return a token signed by HMAC with the public key as the secret."""
        head = _encoded({"alg": "HS256", "kid": "k1", "typ": "JWT"})
        signed = f"{head}.{_encoded(self.claims(subject, ALL_SCOPES, 300, {}))}"
        secret = self.key.as_pem(private=False)
        return f"{signed}.{_base64(hmac.digest(secret, signed.encode(), 'sha256'))}"

    def unsigned_token(self, subject: str) -> str:
        """Return a token of algorithm "none"."""
        claims = self.claims(subject, ALL_SCOPES, 300, {})
        return f"{_encoded({'alg': 'none'})}.{_encoded(claims)}."


def _encoded(part: dict[str, Any]) -> str:
    return _base64(json.dumps(part).encode())


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
