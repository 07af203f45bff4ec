"""Compares the revisions of the mesh's configuration with their events in Kafka.

The history of the control plane is their outbox: `events/<number>.pb` is the event of a revision
as it is sent, `events/published.json` names the last one that Kafka has acknowledged.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from bp.mesh.v1.mesh_events_pb2 import MeshEvent
from google.protobuf.message import DecodeError

from ops.judge.events import MESH_TOPIC, Tale
from ops.judge.findings import Findings, Kind
from ops.judge.stores import pages, queries
from ops.judge.topics import Part, Span, is_whole

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(slots=True)
class Revisions:
    """The revisions that the history has, and the ids of their events, as text."""

    published: dict[str, int] = field(default_factory=dict[str, int])
    """Event -> number of its revision."""
    others: dict[str, int] = field(default_factory=dict[str, int])
    """Events that wait."""
    without: list[int] = field(default_factory=list[int])
    """Numbers of revisions that have no event yet."""
    first: int = 0
    """The lowest number. The control plane forgets older revisions."""
    last: int = 0
    """The highest number."""

    @property
    def waiting(self) -> int:
        """How many revisions are not published yet."""
        return len(self.others) + len(self.without)


def read(history: Path | None) -> Revisions:
    """Return the revisions of a history; none if there is no control plane. Raises OSError."""
    found = Revisions()
    numbers = _numbers(history) if history is not None else []
    if history is None or not numbers:
        return found
    events = history / "events"
    found.first, found.last, mark = numbers[0], numbers[-1], _mark(events)
    for number in numbers:
        event_id = _event_id(events / f"{number}.pb")
        if event_id is None:
            found.without.append(number)
        else:
            (found.published if number <= mark else found.others)[event_id] = number
    return found


async def read_revisions(history: Path | None, findings: Findings) -> Revisions:
    """Check that the event of every revision is published, and return the revisions."""
    found = await asyncio.to_thread(read, history)
    waiting = [*((number, None) for number in found.without)]
    waiting += [(number, event_id) for event_id, number in found.others.items()]
    for number, event_id in waiting:
        ids = {"revision": str(number)} | ({"event_id": event_id} if event_id else {})
        findings.add(Kind.OUTBOX_WAITING, "published", "waits", topic=MESH_TOPIC, **ids)
    return found


def compare_with_revisions(
    tale: Tale, revisions: Revisions, spans: Mapping[Part, Span], findings: Findings
) -> None:
    """Check that the topic holds the event of each published revision, and no other event.

    After a crash an event may be in the topic before it is marked as published. The topic may keep
    events longer than the history keeps revisions, so events of older ones are skipped.
    Numbers begin at 1.
    """
    findings.checked["published"] += len(revisions.published)
    if is_whole(spans):
        for event_id in revisions.published.keys() - tale.events.keys():
            findings.add(Kind.EVENT_LOST, MESH_TOPIC, None, event_id=event_id)
    known = revisions.published.keys() | revisions.others.keys()
    for event_id, number in tale.revisions.items():
        if not 0 < number < revisions.first and event_id not in known:
            place = tale.events[event_id].place
            at = f"{MESH_TOPIC}/{place.partition}@{place.offset}"
            findings.add(Kind.EVENT_UNKNOWN, None, at, event_id=event_id, revision=str(number))


async def audited(connection: asyncpg.Connection) -> dict[tuple[int, str], dict[str, Any]]:
    """Return the audit record of each revision, by its number and digest."""
    found: dict[tuple[int, str], dict[str, Any]] = {}
    async with connection.transaction(readonly=True):
        async for page in pages(connection, queries("trail").audited_revisions):
            for row in page:
                fact = MeshEvent.FromString(row["payload"]).mesh_config_revised
                shown = {name: value for name, value in row.items() if name != "payload"}
                found[fact.revision, fact.digest] = shown
    return found


def _numbers(history: Path) -> list[int]:
    if not history.is_dir():
        return []
    return sorted(int(one.name) for one in history.iterdir() if _NUMBER.fullmatch(one.name))


def _mark(events: Path) -> int:
    """Return the last published number; 0 if the file is absent, damaged or of another history."""
    try:
        found: Any = json.loads((events / "published.json").read_bytes())
        number = int(found["number"])
        return number if _event_id(events / f"{number}.pb") == found["event_id"] else 0
    except (OSError, ValueError, LookupError, TypeError):
        return 0


def _event_id(file: Path) -> str | None:
    try:
        return MeshEvent.FromString(file.read_bytes()).metadata.event_id
    except (OSError, DecodeError):
        return None
