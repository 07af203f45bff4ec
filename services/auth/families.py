"""The families of refresh tokens in Valkey.

Keys: `refresh:<digest of a token>` holds the session's id; `refresh:<digest>:lease` the caller that
fetches new tokens; `refresh:<digest>:successor` the sealed tokens that replaced it, for the grace;
`family:<session id>` the digest of the current token, to whom it belongs, and its grant; and
`family:<session id>:tokens` the digests that the family remembers. Only the
expiries of keys matter, and Valkey's clock decides them; the clocks of processes do not count.

A crash of Valkey loses the last second. If it loses a refresh, the old token is current again, and
the new one is invalid: that customer logs in again. If it loses the end of a session, the family is
back: so a refresh must also find the session open in the database, and `Revocations.reconcile`
returns the sessions to end again.
"""

import secrets
import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import structlog
from redis.asyncio import Redis
from redis.typing import EncodableT, FieldT

from services.auth.errors import RefreshTokenInvalid
from services.auth.grants import ENDED, ENDED_MAX, ENDED_MS, GrantCipher
from services.auth.polling import polled
from services.auth.refresh import (
    Begun,
    Decision,
    Facts,
    Family,
    Invalid,
    Replay,
    Reused,
    Rotate,
    decide,
    seal,
    token_digest,
    unseal,
)
from services.auth.scripts import load_script
from services.auth.settings import AuthSettings
from services.auth.state import Session, TokenPair
from services.chassis.unreachable import UNREACHABLE
from services.kernel.errors import DependencyUnavailable

LEASE_MS = 35_000
"""Longer than the parts of a refresh, which continue after its deadline, so that the lease outlives
its owner's call to the provider."""

WAIT_S_MAX = 8.0
"""How long a refresh waits for a parallel one with the same token. If that one fails, its deadline
leaves time for its own call to the provider."""

TOKENS_REMEMBERED_MAX = 100
"""How many tokens of a family are remembered. An older one is invalid instead of reused, which is
as useless to a thief. The limit keeps a family below 25 kB."""

WRONG_DEVICE_S = 24 * 3600
"""How long calls with a wrong device token are counted."""

UNCONFIRMED = "refresh:unconfirmed"
"""The sorted set of new sessions that were not compared with their rows yet, by Valkey's time."""

UNCONFIRMED_MS = 24 * 3600 * 1000
"""How long that set lives without a further login, so that it ends when no process reads it."""

LOGIN_ENDS_MS = 60_000
"""Longer than the deadline of the biometric step, so no row is stored later than this."""

FAMILIES_BATCH_MAX = 100
"""How many families end in one round trip."""

log = structlog.get_logger()


class Families:
    """The families of all sessions."""

    def __init__(self, valkey: Redis, settings: AuthSettings, grants: GrantCipher) -> None:
        """Do not connect yet. `grants` encrypts each current token for its revocation."""
        self._valkey = valkey
        self._grants = grants
        self._grace_ms = settings.refresh_grace_s * 1000
        self._take_lease = load_script(valkey, "take_lease")
        self._give_back = load_script(valkey, "give_back_lease")
        self._replace = load_script(valkey, "replace_token")
        self._end_family = load_script(valkey, "end_family")
        self._end_reused = load_script(valkey, "end_reused")
        self._note_unconfirmed = load_script(valkey, "note_unconfirmed")
        self._unconfirmed = load_script(valkey, "unconfirmed")

    async def create(self, session: Session, device_digest: bytes, refresh_token: str) -> None:
        """Store a new session's first refresh token, until the session's expire_time.

        `device_digest` is the SHA-256 of the device's token.
        """
        digest = token_digest(refresh_token)
        family, tokens = _family_keys(session.session_id)
        fields: dict[FieldT, EncodableT] = {
            "current": digest,
            "grant": self._grants.seal(session.session_id, refresh_token),
            "device_token": device_digest.hex(),
            "customer_id": str(session.customer_id),
            "device_id": str(session.device_id),
        }
        expire_ms = int(session.expire_time.timestamp() * 1000)
        noted = [str(session.session_id), UNCONFIRMED_MS]
        await self._note_unconfirmed(keys=[UNCONFIRMED], args=noted)
        async with self._valkey.pipeline(transaction=True) as pipe:
            pipe.delete(family, tokens)
            pipe.hset(family, mapping=fields)
            pipe.pexpireat(family, expire_ms)
            pipe.rpush(tokens, digest)
            pipe.pexpireat(tokens, expire_ms)
            pipe.set(_token_key(digest), str(session.session_id), pxat=expire_ms)
            await pipe.execute()

    async def unconfirmed(self) -> list[uuid.UUID]:
        """Return sessions whose login has ended by now, for a comparison with their rows.

        A crash may have come between the family and the row. Call `confirm` after the comparison.
        """
        found = await self._unconfirmed(
            keys=[UNCONFIRMED], args=[LOGIN_ENDS_MS, FAMILIES_BATCH_MAX]
        )
        return [uuid.UUID(session_id.decode()) for session_id in found]

    async def confirm(self, session_ids: Sequence[uuid.UUID]) -> None:
        """Note that these sessions were compared with their rows."""
        if session_ids:
            await self._valkey.zrem(UNCONFIRMED, *(str(session_id) for session_id in session_ids))

    async def begin(self, refresh_token: str, device_digest: bytes) -> Begun:
        """Return what follows from a presented token.

        Of parallel calls with a current token, one gets Rotate and the others wait for its result,
        which they get as Replay. Raises DependencyUnavailable when it does not come in time.
        """
        digest = token_digest(refresh_token)
        stored = await self._valkey.get(_token_key(digest))
        if stored is None:
            return Invalid()
        session_id = uuid.UUID(cast(bytes, stored).decode())
        look = partial(self._look, session_id, refresh_token, device_digest.hex())
        if (begun := await polled(look, WAIT_S_MAX)) is None:
            raise DependencyUnavailable
        return begun

    async def finish(self, begun: Rotate, pair: TokenPair) -> TokenPair:
        """Make the new refresh token current, and return the tokens that the app gets.

        They are those of another call, if it replaced the same token first. Raises
        RefreshTokenInvalid when the session ended meanwhile.
        """
        old, new = token_digest(begun.refresh_token), token_digest(pair.refresh_token)
        session_id = begun.family.session_id
        sealed = seal(begun.refresh_token, session_id, pair)
        replaced, *forgotten = await self._replace(
            keys=[
                *_family_keys(session_id),
                *(_token_key(new), _successor_key(old), _lease_key(old)),
            ],
            args=[
                *(old, new, str(session_id), sealed, self._grace_ms),
                *(begun.owner, TOKENS_REMEMBERED_MAX),
                self._grants.seal(session_id, pair.refresh_token),
            ],
        )
        if not replaced:
            return await self._winner(begun, old)
        if forgotten:
            await self._valkey.unlink(*(_token_key(digest.decode()) for digest in forgotten))
        return pair

    async def abandon(self, begun: Rotate) -> None:
        """Give the lease back: the token stays current, and the next call may fetch new tokens."""
        lease = _lease_key(token_digest(begun.refresh_token))
        await self._give_back(keys=[lease], args=[begun.owner])

    async def count_wrong_device(self, session_id: uuid.UUID) -> int:
        """Count a refresh or step-up with a wrong device token; return how many a day had."""
        key = f"{_family_keys(session_id)[0]}:wrong_device"
        async with self._valkey.pipeline(transaction=True) as pipe:
            pipe.incr(key)
            pipe.expire(key, WRONG_DEVICE_S, nx=True)
            count, _ = await pipe.execute()
        return count

    async def end(self, session_ids: Sequence[uuid.UUID]) -> None:
        """Delete families with their tokens; their tokens are invalid from now on.

        Their grants wait for the provider to end them; see grants.py.
        """
        for first in range(0, len(session_ids), FAMILIES_BATCH_MAX):
            await self._end_batch(session_ids[first : first + FAMILIES_BATCH_MAX])

    async def _end_batch(self, session_ids: Sequence[uuid.UUID]) -> None:
        """Delete the families first: without its family, a token is invalid."""
        async with self._valkey.pipeline(transaction=True) as pipe:
            for session_id in session_ids:
                family, tokens = _family_keys(session_id)
                ended = [str(session_id), ENDED_MS, ENDED_MAX]
                await self._end_family(keys=[family, ENDED], args=ended, client=pipe)
                pipe.lrange(tokens, 0, -1)
                pipe.delete(tokens)
            answers: list[Any] = await pipe.execute()
        if dropped := sum(answers[::3]):
            log.error("grants.full", dropped=dropped, ended_max=ENDED_MAX)
        digests = [digest.decode() for listed in answers[1::3] for digest in listed]
        if digests:
            await self._valkey.unlink(*(_token_key(digest) for digest in digests))

    async def _look(self, session_id: uuid.UUID, token: str, device: str) -> Begun | None:
        """Act on the token's facts; None while another call has the lease."""
        digest = token_digest(token)
        fields, sealed = await self._read(session_id, digest)
        decision = decide(_facts(fields, digest, device, sealed))
        if decision is Decision.INVALID:
            return Invalid(wrong_device=_family(session_id, fields) if fields else None)
        family = _family(session_id, fields)
        if decision is Decision.REPLAY:
            return Replay(family, unseal(token, session_id, sealed))
        key, _ = _family_keys(session_id)
        if decision is Decision.REUSED:
            # The token was replaced and its grace has ended: no later fact can change that.
            return Reused(family) if await self._end_reused(keys=[key]) else Invalid()
        owner = secrets.token_hex(16)
        rotate = Rotate(family, token, owner)
        try:
            leased = await self._take_lease(
                keys=[key, _lease_key(digest)], args=[digest, owner, LEASE_MS]
            )
        except UNREACHABLE:
            await self.abandon(rotate)  # Valkey may have given the lease, and its answer is lost
            raise
        return rotate if leased else None

    async def _read(self, session_id: uuid.UUID, digest: str) -> tuple[dict[bytes, bytes], bytes]:
        """Return the family's fields, {} without one, and the sealed successor, b"" without one."""
        family, _ = _family_keys(session_id)
        async with self._valkey.pipeline(transaction=True) as pipe:
            pipe.hgetall(family)
            pipe.get(_successor_key(digest))
            fields, sealed = await pipe.execute()
        return fields, sealed or b""

    async def _winner(self, begun: Rotate, digest: str) -> TokenPair:
        """Return the tokens of the call that replaced the token first.

        This call was slow; its app did not reuse a token. So nothing ends here.
        """
        fields, sealed = await self._read(begun.family.session_id, digest)
        if not fields or not fields[b"current"] or not sealed:
            raise RefreshTokenInvalid
        return unseal(begun.refresh_token, begun.family.session_id, sealed)


def _facts(fields: dict[bytes, bytes], digest: str, device: str, sealed: bytes) -> Facts:
    if not fields:
        return Facts(exists=False)
    current = fields[b"current"].decode()
    return Facts(
        exists=True,
        device_matches=secrets.compare_digest(fields[b"device_token"].decode(), device),
        is_ended=not current,
        is_current=current == digest,
        has_successor=bool(sealed),
    )


def _family(session_id: uuid.UUID, fields: dict[bytes, bytes]) -> Family:
    return Family(
        session_id=session_id,
        customer_id=uuid.UUID(fields[b"customer_id"].decode()),
        device_id=uuid.UUID(fields[b"device_id"].decode()),
    )


def _token_key(digest: str) -> str:
    return f"refresh:{digest}"


def _lease_key(digest: str) -> str:
    return f"refresh:{digest}:lease"


def _successor_key(digest: str) -> str:
    return f"refresh:{digest}:successor"


def _family_keys(session_id: uuid.UUID) -> tuple[str, str]:
    return f"family:{session_id}", f"family:{session_id}:tokens"
