"""One-time codes in Valkey: six digits, few tries, bound to a session and its purpose.

Valkey holds a MAC of the code, and counts a try before the code is compared. A new session has a
code of its own, so the tries of all sessions together are limited elsewhere. A right code has one
use: the session accepts it once, in LoginSessions.advance, which also deletes it.
"""

import hmac
import secrets
from enum import Enum

from redis.asyncio import Redis

from services.auth.errors import LoginSessionInvalid
from services.auth.login_sessions import code_key, session_digest, session_key
from services.auth.scripts import load_script
from services.auth.settings import AuthSettings
from services.auth.state import Purpose

DIGITS = 6


class Verdict(Enum):
    """What a try of a code gave."""

    RIGHT = "RIGHT"
    """The code is right."""
    WRONG = "WRONG"
    """The code is wrong, and can be tried again."""
    WRONG_LAST = "WRONG_LAST"
    """The code is wrong, and no try remains."""
    SPENT = "SPENT"
    """There is no code: a session accepted it, it has expired, or it was never sent."""


class Codes:
    """The codes of all login sessions."""

    def __init__(self, valkey: Redis, key: bytes, settings: AuthSettings) -> None:
        """Do not connect yet; `key` is the secret of the MAC, 32 bytes."""
        self._key = key
        self._tries_max = settings.otp_tries_max
        self._put = load_script(valkey, "put_code")
        self._put_back = load_script(valkey, "put_back_code")
        self._take_try = load_script(valkey, "take_try")
        self._give_back_try = load_script(valkey, "give_back_try")

    async def put(self, session_id: str, purpose: Purpose, code: str) -> None:
        """Store a code, with all its tries, in place of an earlier one, until the session ends.

        Raises LoginSessionInvalid when the session has ended.
        """
        session = session_digest(session_id)
        mac = digest(self._key, session, purpose, code)
        if not await self._put(keys=[session_key(session), code_key(session)], args=[mac]):
            raise LoginSessionInvalid

    async def put_back(
        self, session_id: str, purpose: Purpose, code: str, *, with_tries: bool = True
    ) -> None:
        """Store the code before `code` again, because the message with `code` was not sent.

        The tries of `code` count, and those of the earlier one if `with_tries`. Does nothing when
        there was no earlier code, and when `code` was used or replaced meanwhile.
        """
        session = session_digest(session_id)
        mac = digest(self._key, session, purpose, code)
        await self._put_back(keys=[code_key(session)], args=[mac, int(with_tries)])

    async def check(self, session_id: str, purpose: Purpose, code: str) -> Verdict:
        """Take one try and compare the code. A wrong code is WRONG_LAST at the last try.

        A right code gets its try back. LoginSessions.advance lets one of parallel calls use it.
        """
        session = session_digest(session_id)
        taken = await self._take_try(keys=[code_key(session)], args=[self._tries_max])
        if not taken:
            return Verdict.SPENT
        mac, tries = taken
        if hmac.compare_digest(mac, digest(self._key, session, purpose, code)):
            # The session may fail to accept it, and then the same code comes again.
            await self._give_back_try(keys=[code_key(session)], args=[mac])
            return Verdict.RIGHT
        return Verdict.WRONG if tries < self._tries_max else Verdict.WRONG_LAST


def new_code() -> str:
    """Return a random code of six digits."""
    return f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"


def digest(key: bytes, session: str, purpose: Purpose, code: str) -> bytes:
    """Return the HMAC-SHA-256 of a code, bound to the digest of its session and to its purpose."""
    return hmac.digest(key, f"{session}\n{purpose.name}\n{code}".encode(), "sha256")
