"""The events of revisions that are to be published, as files: `history/events/<number>.pb`.

An event is made from its revision once, when the revision is durable. `published.json` names the
last event that Kafka has. Files are replaced by one rename. A file that is lost or damaged is no
loss: the event is made from the revision again, with the same id, and sent again.
"""

import contextlib
import json
import logging
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from mesh.pilot.config_folder import Content, FolderRefused
from mesh.pilot.history import History, Revision, UnknownRevision
from mesh.pilot.revision_event import event_id_of, event_of, id_in

BATCH_MAX = 20
"""How many events are made at once."""
WAITING_MAX = 10_000
"""Of events that Kafka has not acknowledged. Then no further ones are made; the history still has
the last revisions."""
_EVENT = re.compile(r"([1-9][0-9]{0,8})\.pb")
_MARK = "published.json"
_MODE = 0o600

log = logging.getLogger("control-plane")


@dataclass(frozen=True, slots=True)
class Mark:
    """The last published event."""

    number: int
    event_id: str


def to_send(numbers: Iterable[int], mark: Mark | None, marked_id: str | None) -> list[int]:
    """Return which of these events Kafka may not have, the oldest first.

    `marked_id` is the id of the event with the mark's number, None if there is none. If it is not
    the mark's, the mark is of another history: then all events are sent, and readers skip those
    that they know.
    """
    if mark is None or mark.event_id != marked_id:
        return sorted(numbers)
    return sorted(number for number in numbers if number > mark.number)


class Outbox:
    """The files of the events below the folder of the history."""

    def __init__(self, history: History, folder: Path) -> None:
        self._history = history
        self._events = folder / "events"
        self._checked = 0
        """The revisions up to this one have their events."""

    def prepare(self, newest: int) -> list[int]:
        """Make missing events of revisions up to `newest`; return some that are to be sent.

        At most BATCH_MAX, the oldest first: call again until there are none. Raises OSError.
        """
        self._events.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._history.settle()
        self._remove_later(newest)
        if len(self._waiting()) < WAITING_MAX:
            self._make_missing(newest)
        else:
            log.error("%s events of revisions wait for Kafka; no more are kept", WAITING_MAX)
        waiting = self._waiting()
        if not waiting:
            self._forget_oldest()
        return waiting[:BATCH_MAX]

    def recheck(self) -> None:
        """Have the next call of `prepare` look at every event: one was lost or damaged."""
        self._checked = 0

    def waiting(self) -> int:
        """Return how many events are made and not published."""
        return len(self._waiting())

    def mark(self) -> Mark | None:
        """Return the last published event; None if the file is absent or damaged."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            found: dict[str, Any] = json.loads((self._events / _MARK).read_bytes())
            return Mark(int(found["number"]), str(found["event_id"])) if _whole(found) else None
        return None

    def event(self, number: int) -> bytes | None:
        """Return a whole event of this revision; None if there is none."""
        with contextlib.suppress(OSError, DecodeError):
            found = (self._events / f"{number}.pb").read_bytes()
            return found if id_in(found) == self._id_of(number, found) else None
        return None

    def note_published(self, number: int, event: bytes) -> None:
        """Remember that Kafka has this event and all before it."""
        mark = asdict(Mark(number, id_in(event)))
        self._write(_MARK, json.dumps(mark, indent=1).encode() + b"\n")

    def _make_missing(self, newest: int) -> None:
        """Make up to BATCH_MAX events, the oldest first."""
        made = 0
        for number in self._history.numbers():
            if not (self._checked < number <= newest or number == newest):
                continue
            if self.event(number) is None and (revision := self._revision(number)) is not None:
                self._write(f"{number}.pb", self._made(revision))
                made += 1
            self._checked = number
            if made == BATCH_MAX:
                return

    def _made(self, revision: Revision) -> bytes:
        files, before = self._content(revision.number), self._content(revision.number - 1)
        return event_of(revision, files or {}, None if files is None else before)

    def _content(self, number: int) -> Content | None:
        """Return the files of a revision, none for the one before the first; None if unknown."""
        if number == 0:
            return {}
        with contextlib.suppress(UnknownRevision, FolderRefused, OSError):
            return self._history.content(number)
        return None

    def _revision(self, number: int) -> Revision | None:
        """Return a revision; None if the history has forgotten it, or if its file is damaged."""
        try:
            return self._history.get(number)
        except UnknownRevision:
            return None
        except (ValueError, LookupError, TypeError) as error:
            log.error("revision %s has no audit event, its file is damaged: %s", number, error)
            return None

    def _waiting(self) -> list[int]:
        mark, found = self.mark(), None
        if mark is not None and (event := self.event(mark.number)) is not None:
            found = id_in(event)
        return to_send(self._numbers(), mark, found)

    def _id_of(self, number: int, event: bytes) -> str:
        """Return the id that the event must have; its own if the history forgot the revision."""
        revision = self._revision(number)
        return id_in(event) if revision is None else event_id_of(revision)

    def _numbers(self) -> list[int]:
        if not self._events.is_dir():
            return []
        found = (_EVENT.fullmatch(each.name) for each in self._events.iterdir())
        return sorted(int(each[1]) for each in found if each)

    def _remove_later(self, newest: int) -> None:
        """Remove events that are newer than the history: an older history was put back."""
        for number in self._numbers():
            if number > newest:
                (self._events / f"{number}.pb").unlink(missing_ok=True)

    def _forget_oldest(self) -> None:
        """Remove published events whose revisions the history has forgotten."""
        mark, kept = self.mark(), self._history.numbers()
        for number in self._numbers():
            if mark and kept and number < min(mark.number, kept[0]):
                (self._events / f"{number}.pb").unlink(missing_ok=True)

    def _write(self, name: str, body: bytes) -> None:
        draft = self._events / f".{name}.draft"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(os.open(draft, flags, _MODE), "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._events / name)


def _whole(found: Any) -> bool:
    return isinstance(found, dict) and {"number", "event_id"} <= found.keys()
