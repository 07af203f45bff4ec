"""The audit event of a revision. Pure: the event is made from what the history keeps.

The id comes from the revision, so an event that is made or sent again is the same event. No event
contains the content of a file.
"""

import hashlib
import re
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from bp.event.v1.event_pb2 import EventMetadata
from bp.mesh.v1 import mesh_events_pb2 as pb

from mesh.controlplane.ingest.documents import is_configuration
from mesh.pilot.config_folder import Content
from mesh.pilot.history import Revision
from services.contracts.topics import topic_of

TOPIC = topic_of(pb.MeshEvent).name
AGGREGATE = "mesh-config"
"""Key of the messages, and subject of the audit records."""
OBJECTS_MAX = 50
TEXT_BYTES_MAX = 1024 * 1024
"""A larger change is not parsed: it would keep the control plane busy."""
KIND_CHARS_MAX, NAME_CHARS_MAX = 64, 253
WHO_CHARS_MAX, WHY_CHARS_MAX = 128, 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DOCUMENT_END = re.compile(rb"^---(?=\s|$)", re.MULTILINE)
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Objects = dict[tuple[str, str], list[Any]]
"""Kind and name -> the objects that have them; those of two namespaces may share them."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message for Kafka: CloudEvents 1.0 in binary mode, as all topics of the bank have it."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


def event_id_of(revision: Revision) -> str:
    """Return the id of a revision's event: a UUIDv7 of its time, number and digest.

    The time is in it because the numbers begin again if the history is removed.
    """
    told = f"{revision.number}/{revision.create_time}/{revision.digest}"
    rest = bytearray(hashlib.sha256(told.encode()).digest()[:10])
    rest[0] = 0x70 | (rest[0] & 0x0F)
    rest[2] = 0x80 | (rest[2] & 0x3F)
    milliseconds = (_time_of(revision) - _EPOCH) // timedelta(milliseconds=1)
    return str(uuid.UUID(bytes=milliseconds.to_bytes(6, "big") + bytes(rest)))


def event_of(revision: Revision, files: Content, before: Content | None) -> bytes:
    """Return the serialised event of a revision.

    `before` has the files of the revision that it replaced; None if they no longer exist.
    """
    origin = revision.origin.value.upper()
    changed = None if before is None else changed_objects(before, files)
    event_id = event_id_of(revision)
    event = pb.MeshEvent(
        metadata=EventMetadata(
            event_id=event_id,
            aggregate_id=AGGREGATE,
            aggregate_version=revision.number,
            correlation_id=event_id,
        ),
        mesh_config_revised=pb.MeshConfigRevised(
            revision=revision.number,
            parent=revision.number - 1,
            restored=revision.of or 0,
            who=revision.who[:WHO_CHARS_MAX],
            why=revision.why[:WHY_CHARS_MAX],
            origin=origin if origin in pb.RevisionOrigin.keys() else None,  # noqa: SIM118 not a dict
            digest=revision.digest,
            changed_objects=(changed or [])[:OBJECTS_MAX],
            changed_object_count=len(changed or []),
            changes_unknown=changed is None,
        ),
    )
    event.metadata.occur_time.FromDatetime(_time_of(revision))
    return event.SerializeToString(deterministic=True)


def id_in(event: bytes) -> str:
    """Return the id in a serialised event. Raises DecodeError."""
    return pb.MeshEvent.FromString(event).metadata.event_id


def message_of(event: bytes) -> Message:
    """Return the message that carries an event."""
    read = pb.MeshEvent.FromString(event)
    time = read.metadata.occur_time.ToDatetime(UTC).isoformat().replace("+00:00", "Z")
    headers = {
        "ce_specversion": "1.0",
        "ce_id": read.metadata.event_id,
        "ce_source": f"/bp/{TOPIC}",
        "ce_type": pb.MeshConfigRevised.DESCRIPTOR.full_name,
        "ce_subject": AGGREGATE,
        "ce_time": time,
        "content-type": "application/protobuf",
    }
    sent = tuple((name, text.encode()) for name, text in headers.items())
    return Message(TOPIC, AGGREGATE.encode(), event, sent)


def changed_objects(before: Content, after: Content) -> list[pb.ChangedObject] | None:
    """Return the objects that differ, by kind and name; None if they cannot be known.

    Only documents whose text differs are parsed.
    """
    old, new = _documents(before, after), _documents(after, before)
    gone, made = old - new, new - old
    if sum(len(each) for each in (*gone.elements(), *made.elements())) > TEXT_BYTES_MAX:
        return None
    try:
        was, now = _objects(gone), _objects(made)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return [
        pb.ChangedObject(
            kind=kind[:KIND_CHARS_MAX],
            name=name[:NAME_CHARS_MAX],
            change=_change(was.get((kind, name)), now.get((kind, name))),
        )
        for kind, name in sorted(was.keys() | now.keys())
        if was.get((kind, name)) != now.get((kind, name))
    ]


def _change(was: list[Any] | None, now: list[Any] | None) -> pb.ObjectChange:
    if was is None:
        return pb.ADDED
    return pb.REMOVED if now is None else pb.CHANGED


def _documents(content: Content, other: Content) -> Counter[bytes]:
    """Return the texts of the documents in files that the other configuration has not equally.

    Other files than the configuration's have no objects, and nobody has checked them: a parser that
    is written in C ends the whole process if one of them is nested deeply enough.
    """
    differing = (
        body
        for name, body in content.items()
        if is_configuration(Path(name)) and other.get(name) != body
    )
    return Counter(text for body in differing for text in _DOCUMENT_END.split(body))


def _objects(documents: Counter[bytes]) -> Objects:
    found: Objects = {}
    for text in documents.elements():
        for value in yaml.load_all(text, Loader=_LOADER):
            if isinstance(value, dict) and "kind" in value:
                named = value.get("metadata")
                name = named.get("name", "") if isinstance(named, dict) else ""
                found.setdefault((str(value["kind"]), str(name)), []).append(value)
    return found


def _time_of(revision: Revision) -> datetime:
    return datetime.fromisoformat(revision.create_time)
