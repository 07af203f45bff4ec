"""The issuer of customers' tokens: its keys, and tokens good and bad."""

import time
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

ISSUER = "https://oauth.example"
AUDIENCE = "https://api.bp.example"
SUBJECT = "0190a8a0-0000-7000-8000-0000000000c1"
_LIVES_S = 300
_ALGORITHM = "ES256"


class Issuer:
    """Signs with one key and publishes it."""

    def __init__(self) -> None:
        """Make a key, and a stranger's with the same id."""
        self._key, self._strangers = _key(), _key()

    def keys(self) -> dict[str, Any]:
        """Return the published keys."""
        return dict(KeySet([self._key]).as_dict(private=False))

    def token(self, *, lives_s: int = _LIVES_S, forged: bool = False, **claims: Any) -> str:
        """Return a token; the claims replace the usual ones."""
        now = int(time.time())
        usual = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": SUBJECT,
            "scope": "accounts:read transfers:write",
            "sid": "0190a8a0-0000-7000-8000-00000000005e",
            "device": "0190a8a0-0000-7000-8000-0000000000de",
            "auth_time": now,
            "iat": now,
            "exp": now + lives_s,
        }
        header = {"alg": _ALGORITHM, "kid": "one"}
        return jwt.encode(header, usual | claims, self._strangers if forged else self._key)


def _key() -> ECKey:
    return ECKey.generate_key("P-256", {"use": "sig", "alg": _ALGORITHM, "kid": "one"})
