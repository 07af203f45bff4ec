"""Maps a row of the outbox to a message; only this file knows both."""

from collections.abc import Iterable
from typing import Any

from bp.event.v1 import event_pb2
from bp.type.v1 import money_pb2

from services.chassis.kafka import OutgoingMessage, cloud_events


def to_message(row: Any) -> OutgoingMessage:
    """Return the message of one row of outbox.event."""
    return cloud_events.to_message(
        cloud_events.CloudEvent(
            topic=row["topic"],
            key=row["key"],
            event_id=row["event_id"],
            event_type=row["event_type"],
            subject=row["subject"],
            create_time=row["create_time"],
            traceparent=row["traceparent"],
            payload=bytes(row["payload"]) + _positions(row["positions"]),
        )
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
