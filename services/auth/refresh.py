"""Refresh tokens: what the bank does with a token that an app presents. Pure.

The tokens of a session are a family, and one of them is current. A refresh replaces it. A phone
that lost the answer presents the replaced token again: for 30 seconds it gets the same new tokens.
Later, two parties hold the family's tokens, and the family ends.

A token counts only with the device token of the session's device. Without it, any token is invalid
and changes nothing: a stolen refresh token alone is worthless, and its thief cannot end the owner's
session.
"""

import hashlib
import uuid
from dataclasses import dataclass, field
from enum import Enum

import orjson

from services.auth import app_sealing
from services.auth.state import TokenPair

_SEAL_INFO = b"bp.auth: the tokens that replaced a refresh token"


@dataclass(frozen=True, slots=True)
class Family:
    """The session to which a refresh token belongs."""

    session_id: uuid.UUID
    customer_id: uuid.UUID
    device_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Rotate:
    """The token is current: the caller fetches new tokens, then calls `finish` or `abandon`."""

    family: Family
    refresh_token: str = field(repr=False)
    owner: str
    """The caller's name on the lease."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The token was replaced a moment ago: the caller returns the same new tokens again."""

    family: Family
    pair: TokenPair


@dataclass(frozen=True, slots=True)
class Reused:
    """The token was replaced long ago, and the family has ended.

    Each token of the family gives this until `Families.end`, so a caller that crashes before it
    ended the session elsewhere gets another chance.
    """

    family: Family


@dataclass(frozen=True, slots=True)
class Invalid:
    """The token is unknown, expired, of an ended session, or of another device."""

    wrong_device: Family | None = None
    """The token's family when only the device token is wrong: a sign of a stolen token."""


Begun = Rotate | Replay | Reused | Invalid
"""What follows from a presented token."""


class Decision(Enum):
    """What the facts of a token lead to; see the class of the same name."""

    ROTATE = "ROTATE"
    REPLAY = "REPLAY"
    REUSED = "REUSED"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True)
class Facts:
    """What Valkey holds about a presented token, read at one moment."""

    exists: bool
    """Whether the token's family exists: not ended, not expired."""
    device_matches: bool = False
    """Whether the device token belongs to the family's device."""
    is_ended: bool = False
    """Whether a reuse has ended the family."""
    is_current: bool = False
    """Whether the token is the family's current one."""
    has_successor: bool = False
    """Whether the token was replaced so recently that its new tokens are still stored."""


def decide(facts: Facts) -> Decision:
    """Return what a token's facts lead to. The first rule that applies wins."""
    if not facts.exists or not facts.device_matches:
        return Decision.INVALID
    if facts.is_ended:
        return Decision.REUSED
    if facts.is_current:
        return Decision.ROTATE
    return Decision.REPLAY if facts.has_successor else Decision.REUSED


def is_power_of_ten(count: int) -> bool:
    """Return whether a count is 1, 10, 100 and so on; False below 1."""
    return count > 0 and str(count).strip("0") == "1"


def token_digest(token: str) -> str:
    """Return the SHA-256 of a token, 64 hexadecimal digits. Valkey holds no token itself."""
    return hashlib.sha256(token.encode()).hexdigest()


def seal(refresh_token: str, session_id: uuid.UUID, pair: TokenPair) -> bytes:
    """Encrypt the tokens that replaced a refresh token; only the replaced token decrypts them."""
    tokens = orjson.dumps([pair.access_token, pair.refresh_token, pair.expires_in_s])
    return app_sealing.seal(refresh_token.encode(), _SEAL_INFO, tokens, session_id.bytes)


def unseal(refresh_token: str, session_id: uuid.UUID, sealed: bytes) -> TokenPair:
    """Return what `seal` encrypted; InvalidTag for another token or session."""
    tokens = app_sealing.unseal(refresh_token.encode(), _SEAL_INFO, sealed, session_id.bytes)
    return TokenPair(*orjson.loads(tokens))
