"""Kept events: each JSON file has the bytes and headers of one event and its expected content.

A file is never rewritten with other bytes. When the current code writes an event differently,
`make golden` adds a file with the new bytes under the next number.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bp.audit.v1.audit_events_pb2 import AuditEvent
from bp.auth.v1.auth_events_pb2 import AuthEvent
from bp.mesh.v1.mesh_events_pb2 import MeshEvent
from bp.notifications.v1.notifications_events_pb2 import NotificationEvent
from bp.payments.v1.payments_events_pb2 import PaymentEvent
from bp.transfers.v1.transfers_events_pb2 import TransferEvent
from google.protobuf.json_format import MessageToDict

from services.chassis.kafka import Record

FOLDER = Path(__file__).with_name("events")
ENVELOPES: dict[str, Any] = {
    "payments": PaymentEvent,
    "transfers": TransferEvent,
    "auth-events": AuthEvent,
    "mesh-events": MeshEvent,
    "notifications": NotificationEvent,
    "audit-logs": AuditEvent,
}
WRITE = os.environ.get("BP_GOLDEN_WRITE") == "1"


@dataclass(frozen=True, slots=True)
class Golden:
    """One event as it was sent, or as the current code sends it."""

    topic: str
    name: str
    key: str
    headers: dict[str, str]
    value_hex: str
    reads_as: dict[str, Any]

    @classmethod
    def of(cls, name: str, record: Record) -> "Golden":
        """Return the description of a record."""
        headers = {key: value.decode() for key, value in record.headers}
        read = reading(record.topic, record.value)
        return cls(record.topic, name, record.key.decode(), headers, record.value.hex(), read)

    def record(self) -> Record:
        """Return the record as a consumer gets it."""
        headers = tuple((key, value.encode()) for key, value in self.headers.items())
        value = bytes.fromhex(self.value_hex)
        return Record(self.topic, 0, 0, self.key.encode(), value, headers)


def reading(topic: str, value: bytes) -> dict[str, Any]:
    """Return the content of the bytes according to the current contracts."""
    return MessageToDict(ENVELOPES[topic].FromString(value))


def kept() -> dict[Path, Golden]:
    """Return every kept event, by its file."""
    return {p: Golden(**json.loads(p.read_text())) for p in sorted(FOLDER.rglob("*.json"))}


def versions(golden: Golden) -> list[Path]:
    """Return the files of an event's type, oldest first."""
    files = (FOLDER / golden.topic).glob(f"{golden.name}.*.json")
    return sorted(files, key=lambda path: int(path.name.split(".")[1]))


def keep(golden: Golden) -> None:
    """Write an event under its type's next number, unless the newest file already has it."""
    files = versions(golden)
    if files and Golden(**json.loads(files[-1].read_text())) == golden:
        return
    path = FOLDER / golden.topic / f"{golden.name}.{len(files) + 1}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(golden), indent=2, ensure_ascii=False) + "\n")
