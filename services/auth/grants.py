"""Grants that must end at the OAuth provider (RFC 7009), because their sessions have ended.

When a session ends here, its tokens are useless at once. The provider learns of it later, so an
outage of the provider delays no logout. To name the grant, auth needs the session's refresh token:
the family holds it encrypted with a key that only auth has. The end of a family moves it into one
hash, where it stays until the provider has answered.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, cast

import structlog
from cryptography.exceptions import InvalidTag
from redis.asyncio import Redis
from redis.typing import EncodableT, FieldT

from services.auth.app_sealing import seal, unseal

Revoke = Callable[[str], Awaitable[bool]]
"""Ends the grant of a refresh token at the provider; returns whether it did."""
ENDED = "refresh:ended-grants"
"""The hash of grants to end: session id -> encrypted refresh token."""
ENDED_MS = 30 * 24 * 3600 * 1000
"""How long that hash lives without a further end; a grant lasts no longer."""
ENDED_MAX = 100_000
"""The largest number of grants that wait. Further ones are logged and end at the provider by their
age."""
BATCH_MAX = 20
"""How many grants a process ends at the same time."""

_PURPOSE = b"bp.auth: the refresh token of a grant"

log = structlog.get_logger()


class GrantCipher:
    """Encrypts the refresh token of a session, for auth alone."""

    def __init__(self, key: bytes) -> None:
        """`key` is a secret of auth, 32 bytes."""
        self._key = key

    def seal(self, session_id: uuid.UUID, refresh_token: str) -> bytes:
        """Encrypt a token, bound to its session."""
        return seal(self._key, _PURPOSE, refresh_token.encode(), session_id.bytes)

    def unseal(self, session_id: uuid.UUID, sealed: bytes) -> str:
        """Return the token; InvalidTag for another key or session."""
        return unseal(self._key, _PURPOSE, sealed, session_id.bytes).decode()


class EndedGrants:
    """The grants that the provider must end."""

    def __init__(self, valkey: Redis, cipher: GrantCipher, revoke: Revoke) -> None:
        """Do not connect yet."""
        self._valkey = valkey
        self._cipher = cipher
        self._revoke = revoke

    async def end(self, session_id: uuid.UUID, refresh_token: str) -> None:
        """End the grant of a session that was never stored; keep it for `revoke` in an outage."""
        if await self._revoke(refresh_token):
            return
        if await self._valkey.hlen(ENDED) >= ENDED_MAX:
            log.error("grants.full", dropped=1, ended_max=ENDED_MAX)
            return
        grant = {str(session_id): self._cipher.seal(session_id, refresh_token)}
        async with self._valkey.pipeline(transaction=True) as pipe:
            pipe.hset(ENDED, mapping=cast("dict[FieldT, EncodableT]", grant))
            pipe.pexpire(ENDED, ENDED_MS)
            await pipe.execute()

    async def revoke(self) -> int:
        """End the waiting grants at the provider; return how many it ended.

        The provider gets batches of random grants until a batch ends none: then it is down, or it
        refuses them all. So a refused grant stops no other one, and waits for the next call. Two
        processes may end the same grant, which changes nothing.
        """
        ended = 0
        while True:
            found: Any = await self._valkey.hrandfield(ENDED, BATCH_MAX, withvalues=True)
            pairs = list(zip(found[::2], found[1::2], strict=True))
            done = await asyncio.gather(*(self._is_ended(*pair) for pair in pairs))
            names = [name for (name, _), is_ended in zip(pairs, done, strict=True) if is_ended]
            if names:
                await self._valkey.hdel(ENDED, *names)
            ended += len(names)
            if not names or len(pairs) < BATCH_MAX:
                return ended

    async def _is_ended(self, name: bytes, sealed: bytes) -> bool:
        """End a grant at the provider; return whether it needs no further call."""
        token = self._token(uuid.UUID(name.decode()), sealed)
        return not token or await self._revoke(token)

    def _token(self, session_id: uuid.UUID, sealed: bytes) -> str:
        """Return the refresh token; "" if auth's key was replaced since."""
        try:
            return self._cipher.unseal(session_id, sealed)
        except InvalidTag:
            log.warning("grant.unreadable", session_id=str(session_id))
            return ""
