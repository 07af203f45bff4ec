"""Google's token endpoint: exchanges a signed assertion of the service account for a token.

An access token holds its expiry, authenticated with a secret in the state directory. So valid
tokens stay valid after a restart, and invalid ones stay invalid.
"""

import hashlib
import hmac
import os
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.partners.jws import JwsError, b64url, verify_rs256
from sandbox.partners.settings import FcmSettings

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPES = frozenset(
    f"https://www.googleapis.com/auth/{name}" for name in ("firebase.messaging", "cloud-platform")
)
ASSERTION_TTL_S_MAX = 3600
SKEW_S = 300
PREFIX = "ya29.sandbox"


class GrantError(Exception):
    """The token endpoint refuses a request, with an error code of RFC 6749."""

    def __init__(self, code: str, description: str) -> None:
        """`code` is for machines, the description for people."""
        super().__init__(description)
        self.code = code


class TokenIssuer:
    """Checks assertions, issues and checks access tokens."""

    def __init__(self, settings: FcmSettings) -> None:
        """Read the account's public key; make the secret at the first start."""
        self._settings = settings
        self._key = _public_key(settings.service_account.public_key)
        self._secret = _secret(settings.state_dir / "fcm-token.secret")

    def exchange(self, form: dict[str, str]) -> dict[str, Any]:
        """Return the answer of POST /token."""
        if form.get("grant_type") != GRANT:
            raise GrantError("unsupported_grant_type", f"Invalid grant_type, {GRANT} is expected")
        try:
            header, claims = verify_rs256(self._key, form.get("assertion", ""))
        except JwsError as error:
            raise GrantError("invalid_grant", f"Invalid JWT: {error}") from error
        self._check(header, claims)
        ttl_s = self._settings.token_ttl_s
        token = self._token(int(time.time()) + ttl_s)
        return {"access_token": token, "expires_in": ttl_s, "token_type": "Bearer"}

    def is_valid(self, authorization: str) -> bool:
        """Return whether the Authorization header holds an access token that has not expired."""
        kind, _, token = authorization.partition(" ")
        expiry = token.removeprefix(f"{PREFIX}.").partition(".")[0]
        if kind.lower() != "bearer" or not (expiry.isascii() and expiry.isdigit()):
            return False
        if not hmac.compare_digest(self._token(int(expiry)).encode(), token.encode()):
            return False
        return int(expiry) > time.time()

    def _check(self, header: dict[str, Any], claims: dict[str, Any]) -> None:
        account, now = self._settings.service_account, time.time()
        issued, expiry = claims.get("iat"), claims.get("exp")
        if claims.get("iss") != account.client_email:
            raise GrantError("invalid_grant", "Invalid grant: account not found")
        if header.get("kid") not in (None, account.private_key_id):
            raise GrantError("invalid_grant", "Invalid JWT: unknown key id")
        if claims.get("aud") != self._settings.token_uri:
            raise GrantError("invalid_grant", "Invalid JWT: wrong audience")
        if not isinstance(issued, int) or not isinstance(expiry, int):
            raise GrantError("invalid_grant", "Invalid JWT: iat and exp are needed")
        is_short = 0 < expiry - issued <= ASSERTION_TTL_S_MAX
        if not is_short or expiry <= now or issued > now + SKEW_S:
            raise GrantError("invalid_grant", "Invalid JWT: token must be a short-lived token")
        if not SCOPES & set(str(claims.get("scope", "")).split()):
            raise GrantError("invalid_scope", "Invalid OAuth scope")

    def _token(self, expiry: int) -> str:
        seal = hmac.new(self._secret, str(expiry).encode(), hashlib.sha256).digest()
        return f"{PREFIX}.{expiry}.{b64url(seal)}"


def _public_key(path: Path) -> rsa.RSAPublicKey:
    key = serialization.load_pem_public_key(path.read_bytes())
    if not isinstance(key, rsa.RSAPublicKey):
        raise TypeError(f"{path} must hold an RSA public key")
    return key


def _secret(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        part = path.with_name(path.name + ".part")
        part.touch(mode=0o600)
        part.write_bytes(os.urandom(32))
        part.replace(path)
    return path.read_bytes()
