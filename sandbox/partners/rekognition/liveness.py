"""Liveness sessions: created by the bank, used once by a phone, read by the bank.

They live in memory, because they expire after 3 minutes. Their number and the bytes of their
pictures are limited; an expired session keeps no picture.
"""

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sandbox.partners.rekognition import pictures
from sandbox.partners.rekognition.errors import AwsError, throttled

SESSIONS_MAX = 10_000
REFERENCE_BYTES_MAX = 64 * 1024 * 1024
"""The largest number of bytes of all pictures that sessions keep."""
LIVE, PRINTED = 99.6, 11.3
"""The confidence, in percent, for a live face and for a photograph of a photograph."""


class Status(StrEnum):
    """The states of a session, as the API names them."""

    CREATED = "CREATED"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"


@dataclass(slots=True)
class Session:
    """One session. `confidence`, `reference` and `box` exist once it has SUCCEEDED."""

    id: str
    expire_time: float
    client_token: str
    audit_images: int
    status: Status = Status.CREATED
    confidence: float = 0.0
    reference: bytes = b""
    box: pictures.Box | None = None


class SessionUsed(Exception):
    """A phone streams to a session a second time."""


class Sessions:
    """All sessions, the oldest first. `clock` returns seconds that only grow."""

    def __init__(self, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without sessions."""
        self._ttl_s = ttl_s
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._by_token: dict[str, str] = {}
        self._reference_bytes = 0

    def __len__(self) -> int:
        """The number of sessions, expired ones included."""
        return len(self._sessions)

    def create(self, client_token: str, audit_images: int) -> Session:
        """Return a new session, or the one that the same client token created before."""
        self._expire()
        known = self._sessions.get(self._by_token.get(client_token, ""))
        if known is not None and known.status is not Status.EXPIRED:
            return known
        if len(self._sessions) >= SESSIONS_MAX and not self._forget_expired():
            raise throttled()
        made = Session(str(uuid.uuid4()), self._clock() + self._ttl_s, client_token, audit_images)
        self._sessions[made.id] = made
        if client_token:
            self._by_token[client_token] = made.id
        return made

    def find(self, session_id: str) -> Session:
        """Return a session; raise AwsError when it does not exist."""
        self._expire()
        session = self._sessions.get(session_id)
        if session is None:
            raise AwsError("SessionNotFoundException", "Session not found")
        return session

    async def stream(self, session_id: str, picture: bytes) -> Session:
        """Judge the picture of a phone. Raise SessionUsed for a session that is not new."""
        session = self.find(session_id)
        if session.status is not Status.CREATED:
            raise SessionUsed
        session.status = Status.IN_PROGRESS
        try:
            found = await asyncio.to_thread(pictures.faces, picture)
            reference = await asyncio.to_thread(pictures.shrunk, picture)
        except AwsError:
            session.status = Status.FAILED
            raise
        if session.status is Status.IN_PROGRESS:
            self._finish(session, found, reference)
        return session

    def _finish(self, session: Session, found: list[pictures.Face], reference: bytes) -> None:
        fits = self._reference_bytes + len(reference) <= REFERENCE_BYTES_MAX
        if len(found) != 1 or not fits:
            session.status = Status.FAILED
            return
        self._reference_bytes += len(reference)
        session.reference, session.box = reference, found[0].box
        session.confidence = PRINTED if found[0].printed else LIVE
        session.status = Status.SUCCEEDED

    def _expire(self) -> None:
        """Expire the sessions that are too old. The dictionary has the oldest sessions first."""
        now = self._clock()
        for session in self._sessions.values():
            if session.expire_time > now:
                break
            self._reference_bytes -= len(session.reference)
            session.status, session.reference, session.box = Status.EXPIRED, b"", None

    def _forget_expired(self) -> bool:
        """Forget the oldest session if it has expired, and return whether it has."""
        oldest = next(iter(self._sessions.values()))
        if oldest.status is not Status.EXPIRED:
            return False
        del self._sessions[oldest.id]
        if self._by_token.get(oldest.client_token) == oldest.id:
            del self._by_token[oldest.client_token]
        return True


def results(session: Session, encoded: Callable[[bytes], str]) -> dict[str, Any]:
    """Return the body of GetFaceLivenessSessionResults; `encoded` encodes a picture."""
    body: dict[str, Any] = {"SessionId": session.id, "Status": session.status}
    if session.status is Status.SUCCEEDED and session.box is not None:
        image = {"Bytes": encoded(session.reference), "BoundingBox": session.box.view()}
        body["Confidence"] = session.confidence
        body["ReferenceImage"] = image
        body["AuditImages"] = [image] * min(session.audit_images, 1)
    return body
