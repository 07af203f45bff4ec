"""Maps a row of the outbox to a message; only this file knows both.

CloudEvents 1.0 in binary mode for Kafka: attributes in headers, the envelope as the value.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from bp.event.v1 import event_pb2
from bp.type.v1 import money_pb2

from services.chassis.kafka import OutgoingMessage


def to_message(row: Any) -> OutgoingMessage:
    """Return the message of one row of outbox.event."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(row["event_id"]).encode()),
        ("ce_source", f"/bp/{row['topic']}".encode()),
        ("ce_type", row["event_type"].encode()),
        ("ce_subject", str(row["subject"]).encode()),
        ("ce_time", _rfc3339(row["create_time"]).encode()),
        ("content-type", b"application/protobuf"),
    ]
    if row["traceparent"]:
        headers.append(("traceparent", row["traceparent"].encode()))
    return OutgoingMessage(
        topic=row["topic"],
        key=str(row["key"]).encode(),
        value=bytes(row["payload"]) + _positions(row["positions"]),
        headers=tuple(headers),
    )


def _positions(positions: Iterable[Any]) -> bytes:
    """Serialise the postings' positions; appended to the payload, protobuf merges them into it."""
    return event_pb2.AccountPositions(
        account_positions=[
            event_pb2.AccountPosition(
                account_id=str(posted["account_id"]),
                balance=money_pb2.Money(
                    currency_code=posted["currency"], minor_units=posted["balance"]
                ),
                position=posted["position"],
            )
            for posted in positions
        ]
    ).SerializeToString(deterministic=True)


def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
