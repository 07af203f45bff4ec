"""The event of a revision: who, when, what, with an id that only the revision decides."""

import uuid
from dataclasses import replace

import pytest
from bp.audit.v1.audit_events_pb2 import AuditEvent
from bp.mesh.v1 import mesh_events_pb2 as pb

from mesh import ctl
from mesh.pilot import config_folder
from mesh.pilot.history import Origin, Revision
from mesh.pilot.revision_event import (
    NAME_CHARS_MAX,
    OBJECTS_MAX,
    TEXT_BYTES_MAX,
    TOPIC,
    changed_objects,
    event_id_of,
    event_of,
    message_of,
)
from services.chassis.kafka import Record
from services.router.mapping import fan_out

REVISION = Revision(
    number=7,
    digest="ab" * 32,
    create_time="2026-11-30T19:00:00.123+00:00",
    who="eva",
    why="the fraud API is slow",
    origin=Origin.ROLLBACK,
    of=4,
)
OWN = config_folder.read(ctl.CONFIG)


def _object(kind: str, name: str, timeout: str = "1s") -> str:
    return (
        f"kind: {kind}\nmetadata: {{name: {name}, namespace: bp}}\nspec: {{timeout: {timeout}}}\n"
    )


def _files(*objects: str, name: str = "a.yaml") -> dict[str, bytes]:
    return {name: "---\n".join(objects).encode()}


def _changed(before: dict[str, bytes], after: dict[str, bytes]) -> list[tuple[str, str, str]]:
    found = changed_objects(before, after)
    assert found is not None
    return [(each.kind, each.name, pb.ObjectChange.Name(each.change)) for each in found]


def test_the_event_says_who_when_what_and_why() -> None:
    files = _files(_object("VirtualService", "fraud", "2s"))
    event = pb.MeshEvent.FromString(
        event_of(REVISION, files, _files(_object("VirtualService", "fraud")))
    )
    assert event.metadata.occur_time.ToJsonString() == "2026-11-30T19:00:00.123Z"
    assert (event.metadata.aggregate_id, event.metadata.aggregate_version) == ("mesh-config", 7)
    fact = event.mesh_config_revised
    assert (fact.revision, fact.parent, fact.restored) == (7, 6, 4)
    assert (fact.who, fact.why, fact.digest) == ("eva", "the fraud API is slow", "ab" * 32)
    assert fact.origin == pb.ROLLBACK
    assert [each.name for each in fact.changed_objects] == ["fraud"]
    assert (fact.changed_object_count, fact.changes_unknown) == (1, False)


@pytest.mark.parametrize("origin", Origin)
def test_the_contract_has_every_origin(origin: Origin) -> None:
    event = pb.MeshEvent.FromString(event_of(replace(REVISION, origin=origin), {}, {}))
    assert pb.RevisionOrigin.Name(event.mesh_config_revised.origin) == origin.name


def test_the_id_is_a_uuid_of_version_7_that_only_the_revision_decides() -> None:
    made = uuid.UUID(event_id_of(REVISION))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert event_id_of(replace(REVISION, why="other")) == str(made)
    others = [
        replace(REVISION, number=8),
        replace(REVISION, digest="cd" * 32),
        replace(REVISION, create_time="2026-11-30T19:00:00.124+00:00"),
    ]
    assert len({event_id_of(each) for each in others} | {str(made)}) == 4


def test_an_event_that_is_made_again_has_the_same_bytes() -> None:
    assert event_of(REVISION, OWN, {}) == event_of(REVISION, dict(reversed(OWN.items())), {})


ONE, OTHER = _object("VirtualService", "ach"), _object("Sidecar", "auth")


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ({}, _files(ONE), [("VirtualService", "ach", "ADDED")]),
        (_files(ONE, OTHER), _files(OTHER), [("VirtualService", "ach", "REMOVED")]),
        (
            _files(ONE, OTHER),
            _files(_object("VirtualService", "ach", "9s"), OTHER),
            [("VirtualService", "ach", "CHANGED")],
        ),
        (_files(ONE), _files("# slower\n" + ONE), []),
        (_files(ONE, OTHER), _files(OTHER, ONE), []),
        (_files(ONE), _files(ONE, name="b.yaml"), []),
        (
            _files(ONE),
            _files(_object("VirtualService", "sms")),
            [("VirtualService", "ach", "REMOVED"), ("VirtualService", "sms", "ADDED")],
        ),
        ({}, _files("- no object\n", "kind: Nameless\n"), [("Nameless", "", "ADDED")]),
    ],
    ids=["added", "removed", "changed", "comment", "order", "moved", "renamed", "odd"],
)
def test_objects_are_compared_by_their_values(
    before: dict[str, bytes], after: dict[str, bytes], changed: list[tuple[str, str, str]]
) -> None:
    assert _changed(before, after) == changed


def test_only_files_of_the_configuration_are_parsed() -> None:
    """Nothing checks another file, such as notes: a deep one ended the control plane each time that
    it made the event."""
    assert _changed({}, {**_files(ONE), "notes.txt": b"kind: Note\n"}) == [
        ("VirtualService", "ach", "ADDED")
    ]
    assert _changed({}, {**_files(ONE), "notes.txt": b"[" * 400_000}) == [
        ("VirtualService", "ach", "ADDED")
    ]


@pytest.mark.parametrize(
    "after",
    [
        _files("a: [\n"),
        _files("? [a]\n: b\n"),
        _files("[" * 3000),
        _files("# " + "x" * TEXT_BYTES_MAX),
        {"a.yaml": b"\xff\xfe\xfa"},
    ],
    ids=["syntax", "key", "depth", "size", "bytes"],
)
def test_changes_that_cannot_be_known_are_said_to_be_unknown(after: dict[str, bytes]) -> None:
    fact = pb.MeshEvent.FromString(event_of(REVISION, after, {})).mesh_config_revised
    assert fact.changes_unknown
    assert (list(fact.changed_objects), fact.changed_object_count) == ([], 0)


def test_without_the_parents_files_the_changes_are_unknown() -> None:
    assert pb.MeshEvent.FromString(
        event_of(REVISION, OWN, None)
    ).mesh_config_revised.changes_unknown


def test_the_size_of_an_event_has_a_limit() -> None:
    """The outbox of the services accepts 262,144 bytes; the router 900,000."""
    names = [f"{number:05}{'é' * 500}" for number in range(OBJECTS_MAX * 4)]
    files = _files(*(_object("K" * 900, each) for each in names))
    long = replace(REVISION, who="é" * 10_000, why="é" * 10_000)
    event = event_of(long, files, {})
    fact = pb.MeshEvent.FromString(event).mesh_config_revised
    assert (len(fact.changed_objects), fact.changed_object_count) == (OBJECTS_MAX, 4 * OBJECTS_MAX)
    assert {len(each.name) for each in fact.changed_objects} == {NAME_CHARS_MAX}
    assert len(event) < 50_000


def test_no_content_of_a_file_is_in_the_event() -> None:
    """Only kinds and names of objects are."""
    event = event_of(replace(REVISION, why=""), OWN, {})
    for part in (b"timeout", b".example", b"credentialName", b"bp-client", b"spiffe", b"cluster"):
        assert part not in event


def test_the_router_archives_the_message_and_tells_no_customer() -> None:
    message = message_of(event_of(REVISION, OWN, {}))
    record = Record(message.topic, 0, 3, message.key, message.value, message.headers)
    (made,) = fan_out(record)
    audit = AuditEvent.FromString(made.value)
    assert (made.topic, made.key, message.topic) == ("audit-logs", b"mesh-config", TOPIC)
    assert audit.event_id == event_id_of(REVISION) == record.header("ce_id")
    assert audit.event_type == record.header("ce_type") == "bp.mesh.v1.MeshConfigRevised"
    assert (audit.subject, audit.payload) == ("mesh-config", message.value)
    assert record.header("ce_time") == "2026-11-30T19:00:00.123000Z"
