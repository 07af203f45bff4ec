"""The challenges of device keys that are being registered, in Valkey. Each is answered once."""

import uuid
from typing import Any

from redis.asyncio import Redis

CHALLENGE_S = 300
"""How long a registration may take."""


class Challenges:
    """One challenge for each session of a customer."""

    def __init__(self, valkey: Redis) -> None:
        self._valkey = valkey

    async def put(self, session_id: uuid.UUID, challenge: bytes) -> None:
        """Keep a challenge for five minutes, in place of an earlier one."""
        await self._valkey.set(_key(session_id), challenge, ex=CHALLENGE_S)

    async def read(self, session_id: uuid.UUID) -> bytes:
        """Return the challenge; b"" if there is none."""
        found: Any = await self._valkey.get(_key(session_id))
        return found or b""

    async def forget(self, session_id: uuid.UUID) -> None:
        """Use the challenge up, after its key was stored or refused."""
        await self._valkey.delete(_key(session_id))


def _key(session_id: uuid.UUID) -> str:
    return f"session:key:{session_id}"
