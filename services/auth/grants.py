"""Grants that must end at the OAuth provider (RFC 7009), because their sessions have ended.

When a session ends here, its tokens are useless at once. The provider learns of it later, so an
outage of the provider delays no logout. To name the grant, auth needs the session's refresh token:
the family holds it encrypted with a key that only auth has. The end of a family moves it into one
hash, where it stays until the provider has answered.
"""

import secrets
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from redis.asyncio import Redis

Revoke = Callable[[str], Awaitable[bool]]
"""Ends the grant of a refresh token at the provider; returns whether it did."""
ENDED = "refresh:ended-grants"
"""The hash of grants to end: session id -> encrypted refresh token."""
ENDED_MS = 30 * 24 * 3600 * 1000
"""How long that hash lives without a further end; a grant lasts no longer."""
ENDED_MAX = 100_000
"""The largest number of grants that wait. Further ones end at the provider by their age."""
BATCH_MAX = 20

_NONCE_BYTES = 12
_INFO = b"bp.auth: the refresh token of a grant"

log = structlog.get_logger()


class GrantCipher:
    """Encrypts the refresh token of a session, for auth alone."""

    def __init__(self, key: bytes) -> None:
        """`key` is a secret of auth, 32 bytes; the cipher derives its own from it."""
        self._cipher = AESGCM(HKDF(SHA256(), 32, salt=None, info=_INFO).derive(key))

    def seal(self, session_id: uuid.UUID, refresh_token: str) -> bytes:
        """Encrypt a token, bound to its session."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, refresh_token.encode(), session_id.bytes)

    def unseal(self, session_id: uuid.UUID, sealed: bytes) -> str:
        """Return the token; InvalidTag for another key or session."""
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        return self._cipher.decrypt(nonce, ciphertext, session_id.bytes).decode()


class EndedGrants:
    """The grants that the provider must end."""

    def __init__(self, valkey: Redis, cipher: GrantCipher, revoke: Revoke) -> None:
        """Do not connect yet."""
        self._valkey = valkey
        self._cipher = cipher
        self._revoke = revoke

    async def revoke(self) -> int:
        """End some of the waiting grants at the provider; return how many it ended.

        Two processes may end the same grant, which changes nothing. Stop at the first one that the
        provider does not end; the next call tries again.
        """
        found: Any = await self._valkey.hrandfield(ENDED, BATCH_MAX, withvalues=True)
        pairs = list(zip(found[::2], found[1::2], strict=True))
        for number, (name, sealed) in enumerate(pairs):
            token = self._token(uuid.UUID(name.decode()), sealed)
            if token and not await self._revoke(token):
                return number
            await self._valkey.hdel(ENDED, name)
        return len(pairs)

    def _token(self, session_id: uuid.UUID, sealed: bytes) -> str:
        """Return the refresh token; "" if auth's key was replaced since."""
        try:
            return self._cipher.unseal(session_id, sealed)
        except InvalidTag:
            log.warning("grant.unreadable", session_id=str(session_id))
            return ""
