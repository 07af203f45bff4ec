"""The answers of completed logins and resets in Valkey, for apps that lost them: 60 seconds,
encrypted.

A phone often loses its connection while the bank checks a face. It repeats the same call and gets
the same tokens. Only the id of the login session decrypts an answer, and only for the same request.
"""

import hashlib
import uuid
from dataclasses import astuple
from datetime import datetime
from typing import cast

import orjson
from cryptography.exceptions import InvalidTag
from redis.asyncio import Redis

from services.auth.app_sealing import seal, unseal
from services.auth.device_keys import Assertion
from services.auth.login_sessions import session_digest
from services.auth.results import LoggedIn
from services.auth.state import ShownDevice, TokenPair

KEPT_S = 60
_PURPOSE = b"bp.auth: the answer of a completed login, form 2"
"""Its number grows with each change of the JSON, so that no process reads another form."""
_RESET = b"bp.auth: a completed reset"


class Answers:
    """The answers of the last minute, of all processes."""

    def __init__(self, valkey: Redis) -> None:
        """Do not connect yet."""
        self._valkey = valkey

    async def keep(self, login_session_id: str, request: bytes, answer: LoggedIn) -> None:
        """Keep the answer of a request; `request` is the result of `request_digest`."""
        sealed = seal(login_session_id.encode(), _PURPOSE, encode(answer), request)
        await self._valkey.set(answer_key(login_session_id), sealed, ex=KEPT_S)

    async def read(self, login_session_id: str, request: bytes) -> LoggedIn | None:
        """Return the answer of the same request; None for another request, or after 60 seconds."""
        sealed = await self._valkey.get(answer_key(login_session_id))
        if sealed is None:
            return None
        secret = login_session_id.encode()
        try:
            return decode(unseal(secret, _PURPOSE, cast(bytes, sealed), request))
        except InvalidTag:
            return None

    async def keep_reset(self, login_session_id: str, request: bytes) -> None:
        """Note that a reset is complete; `request` is the result of `digest_of_all`."""
        sealed = seal(login_session_id.encode(), _RESET, b"", request)
        await self._valkey.set(answer_key(login_session_id), sealed, ex=KEPT_S)

    async def is_reset(self, login_session_id: str, request: bytes) -> bool:
        """Return whether the same request has completed its reset in the last 60 seconds."""
        sealed = await self._valkey.get(answer_key(login_session_id))
        if sealed is None:
            return False
        try:
            unseal(login_session_id.encode(), _RESET, cast(bytes, sealed), request)
        except InvalidTag:
            return False
        return True


def answer_key(login_session_id: str) -> str:
    """Return the key of an answer in Valkey."""
    return f"session:{session_digest(login_session_id)}:answer"


def request_digest(proof: Assertion | bytes, device_name: str) -> bytes:
    """Return the SHA-256 of all fields of a request but the login session's id, 32 bytes."""
    parts = [proof] if isinstance(proof, bytes) else [part.encode() for part in astuple(proof)]
    return digest_of_all(device_name.encode(), *parts)


def digest_of_all(*parts: bytes) -> bytes:
    """Return one SHA-256 of all parts in their order, 32 bytes."""
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()


def encode(answer: LoggedIn) -> bytes:
    """Return the answer as JSON."""
    # `str`, because orjson refuses the subclass of UUID of PostgreSQL's driver.
    return orjson.dumps(answer, default=str)


def decode(value: bytes) -> LoggedIn:
    """Return the answer of its JSON."""
    answer = orjson.loads(value)
    device = answer["device"]
    shown = ShownDevice(
        device_id=uuid.UUID(device["device_id"]),
        device_name=device["device_name"],
        has_key=device["has_key"],
        create_time=datetime.fromisoformat(device["create_time"]),
        last_login_time=datetime.fromisoformat(device["last_login_time"]),
    )
    return LoggedIn(TokenPair(**answer["pair"]), shown, answer["device_token"])
