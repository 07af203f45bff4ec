"""A token issuer over TLS: it serves its keys as JWKS and signs any token that a test needs."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

from aiohttp import web
from joserfc import jws, jwt
from joserfc.jwk import ECKey, KeySet

from tests.rigs.mesh.tls import server_context

ISSUER = "https://oauth.example"
AUDIENCE = "https://api.bp.example"
SESSION = "0190a8a0-0000-7000-8000-00000000005e"
DEVICE = "0190a8a0-0000-7000-8000-0000000000de"
ALL_SCOPES = "accounts:read transfers:read transfers:write"


class Issuer:
    """Signs with ES256 and publishes its keys at /jwks; `fetches` counts the answers."""

    def __init__(self) -> None:
        self.key = _key("k1")
        self.published = [self.key]
        self.fetches = 0
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
        self.fetches += 1
        return web.json_response(KeySet(list(self.published)).as_dict(private=False))

    def publish(self, kid: str) -> ECKey:
        """Add a key to the published ones and return it; the first key still signs."""
        key = _key(kid)
        self.published.append(key)
        return key

    def withdraw(self, key: ECKey) -> None:
        """Stop publishing a key, which revokes all tokens that it has signed."""
        self.published.remove(key)

    def token(
        self,
        subject: str,
        scope: str = ALL_SCOPES,
        *,
        lives_s: int = 300,
        key: ECKey | None = None,
        **claims: Any,
    ) -> str:
        """Return a token, signed by `key` or the first key; the claims replace the default ones."""
        signer = key or self.key
        header = {"alg": "ES256", "kid": str(signer.kid)}
        return jwt.encode(header, self.claims(subject, scope, lives_s, claims), signer)

    def signed(self, payload: str) -> str:
        """Return a token with any text, JSON or not, as its payload, signed by the first key."""
        header = {"alg": "ES256", "kid": str(self.key.kid)}
        return jws.serialize_compact(header, payload.encode(), self.key)

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
            "sid": SESSION,
            "device": DEVICE,
            "auth_time": now - 60,
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


def _key(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256", "kid": kid})


def _encoded(part: dict[str, Any]) -> str:
    return _base64(json.dumps(part).encode())


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
