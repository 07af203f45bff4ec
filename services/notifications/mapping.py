"""Between protobuf and the domain; the only file that knows both."""

import uuid
from collections.abc import Mapping
from typing import Any

from bp.notifications.v1.notification_pb2 import Notification, Template
from bp.notifications.v1.notifications_events_pb2 import NotificationEvent
from google.protobuf.message import DecodeError

from services.chassis.kafka import BadMessage, Record
from services.kernel.money import Money
from services.notifications.state import Request, notification_id
from services.notifications.templates import TEXTS


def to_request(record: Record) -> Request:
    """Return a message of the topic as a request; raise BadMessage if it is none."""
    try:
        event = NotificationEvent.FromString(record.value)
    except DecodeError as error:
        raise BadMessage("UNDECODABLE", str(error)) from error
    if not event.HasField("notification_requested"):
        raise BadMessage("EVENT_TYPE_UNKNOWN", record.header("ce_type"))
    asked = event.notification_requested
    template = Template.Name(asked.template) if asked.template in Template.values() else ""
    if template not in TEXTS:
        raise BadMessage("TEMPLATE_UNKNOWN", str(asked.template))
    try:
        return Request(
            notification_id=notification_id(event.metadata.event_id),
            event_id=event.metadata.event_id,
            customer_id=uuid.UUID(asked.customer_id),
            template=template,
            transfer_id=asked.transfer_id,
            amount=Money(asked.amount.minor_units, asked.amount.currency_code),
            reason=asked.reason,
        )
    except ValueError as error:
        raise BadMessage("ID_INVALID", str(error)) from error


def to_proto(row: Mapping[str, Any]) -> Notification:
    """Return a row of the customer's list as the API shows it."""
    shown = Notification(
        event_id=row["event_id"],
        template=row["template"],
        title=row["title"],
        body=row["body"],
        transfer_id=row["transfer_id"],
        state=row["state"],
    )
    shown.create_time.FromDatetime(row["create_time"])
    if row["deliver_time"] is not None:
        shown.deliver_time.FromDatetime(row["deliver_time"])
    return shown
