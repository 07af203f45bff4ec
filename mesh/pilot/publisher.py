"""Publishes the event of each revision: in order, at least once, and never in the way of an edit.

It runs concurrently with edits and only reads the history. While Kafka is down it retries with
growing, random pauses. A process that is killed before Kafka has an event sends it after its
restart; readers skip an event whose id they know.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from google.protobuf.message import DecodeError

from mesh.pilot.history import Revision
from mesh.pilot.outbox import Outbox
from mesh.pilot.revision_event import Message, message_of

POLL_S = 0.5
"""How often it looks for a new revision; without one this reads no file."""
PAUSE_S, PAUSE_S_MAX = 0.5, 5.0

log = logging.getLogger("control-plane")


class NotSent(Exception):
    """Kafka has not acknowledged the message; it may have it."""


_PASSING = (
    *(NotSent, OSError, DecodeError),
    *(ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError),
)
"""What an outage, or a defect of this program, raises. Neither may end the control plane."""


class Sender(Protocol):
    """Sends messages to Kafka."""

    async def send(self, message: Message) -> None:
        """Return when every in-sync replica has the message. Raises NotSent."""
        ...

    async def close(self) -> None:
        """Close the connections. A later message opens them again."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """What is published."""

    published: int
    """Number of the last revision whose event Kafka has; 0 for none."""
    waiting: int
    """How many events are made and not published."""
    error: str
    """Why the last attempt failed; empty if it did not."""


def pause_s(failures: int, chance: float) -> float:
    """Return the pause after so many failures in a row; `chance` is from 0 to 1."""
    longest = min(PAUSE_S_MAX, PAUSE_S * 2 ** min(failures - 1, 16))
    return longest * (0.5 + chance / 2)


class Publisher:
    """The publisher of one control plane. `newest` returns the durable revision in force."""

    def __init__(
        self, outbox: Outbox, sender: Sender, newest: Callable[[], Revision | None]
    ) -> None:
        self._outbox = outbox
        self._sender = sender
        self._newest = newest
        self._done: Revision | None = None
        self._error = ""

    async def run(self) -> None:
        """Publish until cancelled."""
        failures = 0
        while True:
            try:
                await self.publish()
                failures = 0
                await asyncio.sleep(POLL_S)
            except _PASSING as error:
                failures += 1
                self._note(error)
                await asyncio.sleep(pause_s(failures, random.random()))  # noqa: S311 - no secret

    async def publish(self) -> None:
        """Publish everything that is in force and not published yet. Raises NotSent or OSError."""
        newest = self._newest()
        if newest is None or newest == self._done:
            return
        try:
            while numbers := await asyncio.to_thread(self._outbox.prepare, newest.number):
                for number in numbers:
                    await self._send(number)
        finally:
            await self._sender.close()
        if self._error:
            log.info("the events of all revisions are published again")
        self._done, self._error = newest, ""

    async def _send(self, number: int) -> None:
        event = await asyncio.to_thread(self._outbox.event, number)
        if event is None:
            self._outbox.recheck()
            raise OSError(f"the event of revision {number} is damaged; it is made again")
        await self._sender.send(message_of(event))
        await asyncio.to_thread(self._outbox.note_published, number, event)

    def _note(self, error: Exception) -> None:
        """Log the first failure of a row."""
        if not self._error:
            log.warning("the event of a revision must wait: %s: %s", type(error).__name__, error)
        self._error = f"{type(error).__name__}: {error}"

    async def progress(self) -> dict[str, Any]:
        """Return what is published, as JSON."""
        mark = await asyncio.to_thread(self._outbox.mark)
        waiting = await asyncio.to_thread(self._outbox.waiting)
        return asdict(Progress(mark.number if mark else 0, waiting, self._error))
