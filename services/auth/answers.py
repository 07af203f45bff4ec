"""The answers of completed logins in Valkey, for apps that lost them: 60 seconds, encrypted.

A phone often loses its connection while the bank checks a face. It repeats the same call and gets
the same tokens. Only the id of the login session decrypts an answer, and only for the same request.
"""

import hashlib
import uuid
from base64 import b64decode, b64encode
from dataclasses import astuple, fields
from datetime import datetime
from typing import Any, cast

import orjson
from cryptography.exceptions import InvalidTag
from redis.asyncio import Redis

from services.auth.app_sealing import seal, unseal
from services.auth.device_keys import Assertion
from services.auth.login_sessions import session_digest
from services.auth.results import LoggedIn
from services.auth.state import Device, TokenPair

KEPT_S = 60
_PURPOSE = b"bp.auth: the answer of a completed login"


class Answers:
    """The answers of the last minute, of all processes."""

    def __init__(self, valkey: Redis) -> None:
        """Do not connect yet."""
        self._valkey = valkey

    async def keep(self, login_session_id: str, request: bytes, answer: LoggedIn) -> None:
        """Keep the answer of a request; `request` is the result of `request_digest`."""
        sealed = seal(login_session_id, _PURPOSE, encode(answer), request)
        await self._valkey.set(answer_key(login_session_id), sealed, ex=KEPT_S)

    async def read(self, login_session_id: str, request: bytes) -> LoggedIn | None:
        """Return the answer of the same request; None for another request, or after 60 seconds."""
        sealed = await self._valkey.get(answer_key(login_session_id))
        if sealed is None:
            return None
        try:
            return decode(unseal(login_session_id, _PURPOSE, cast(bytes, sealed), request))
        except InvalidTag:
            return None


def answer_key(login_session_id: str) -> str:
    """Return the key of an answer in Valkey."""
    return f"session:{session_digest(login_session_id)}:answer"


def request_digest(proof: Assertion | bytes, device_name: str) -> bytes:
    """Return the SHA-256 of all fields of a request but the login session's id, 32 bytes."""
    parts = [proof] if isinstance(proof, bytes) else [part.encode() for part in astuple(proof)]
    digests = [hashlib.sha256(part).digest() for part in (device_name.encode(), *parts)]
    return hashlib.sha256(b"".join(digests)).digest()


def encode(answer: LoggedIn) -> bytes:
    """Return the answer as JSON."""
    document = {
        "pair": astuple(answer.pair),
        "device": {one.name: getattr(answer.device, one.name) for one in fields(Device)},
        "device_token": answer.device_token,
    }
    return orjson.dumps(document, default=_text)


def decode(value: bytes) -> LoggedIn:
    """Return the answer of its JSON."""
    document = orjson.loads(value)
    device = document["device"]
    made = Device(
        device_id=uuid.UUID(device["device_id"]),
        customer_id=uuid.UUID(device["customer_id"]),
        device_name=device["device_name"],
        token_hash=b64decode(device["token_hash"]),
        credential_id=b64decode(device["credential_id"]),
        public_key=b64decode(device["public_key"]),
        sign_count=device["sign_count"],
        create_time=datetime.fromisoformat(device["create_time"]),
        last_login_time=datetime.fromisoformat(device["last_login_time"]),
    )
    return LoggedIn(TokenPair(*document["pair"]), made, document["device_token"])


def _text(value: Any) -> str:
    """Return bytes as base64. orjson also refuses the subclass of UUID of PostgreSQL's driver."""
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)
