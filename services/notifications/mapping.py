"""Between protobuf and the domain; the only file that knows both."""

import uuid

from bp.notifications.v1 import notification_pb2
from bp.notifications.v1.notification_pb2 import Template
from bp.notifications.v1.notifications_events_pb2 import NotificationEvent
from google.protobuf.message import DecodeError

from services.chassis.kafka import BadMessage, Record
from services.chassis.timestamps import to_timestamp
from services.kernel.money import Money
from services.notifications.state import Notification, Request, notification_id
from services.notifications.templates import TEXTS, names_amount


def to_request(record: Record) -> Request:
    """Return a message of the topic as a request; raise BadMessage if it is not a valid one."""
    try:
        event = NotificationEvent.FromString(record.value)
    except DecodeError as error:
        raise BadMessage("UNDECODABLE", str(error)) from error
    if not event.HasField("notification_requested"):
        raise BadMessage("EVENT_TYPE_UNKNOWN", record.header("ce_type"))
    requested = event.notification_requested
    template = Template.Name(requested.template) if requested.template in Template.values() else ""
    if template not in TEXTS:
        raise BadMessage("TEMPLATE_UNKNOWN", str(requested.template))
    amount = requested.amount if requested.HasField("amount") else None
    if amount is None and names_amount(template):
        raise BadMessage("AMOUNT_MISSING", template)
    try:
        return Request(
            notification_id=notification_id(event.metadata.event_id),
            event_id=event.metadata.event_id,
            customer_id=uuid.UUID(requested.customer_id),
            template=template,
            transfer_id=requested.transfer_id,
            amount=Money(amount.minor_units, amount.currency_code) if amount else None,
            reason=requested.reason,
            device_name=requested.device_name,
        )
    except ValueError as error:
        raise BadMessage("ID_INVALID", str(error)) from error


def notification_message(notification: Notification) -> notification_pb2.Notification:
    """Return a listed message as a message of the contract."""
    deliver_time = notification.deliver_time
    return notification_pb2.Notification(
        event_id=notification.event_id,
        template=notification.template,
        title=notification.title,
        body=notification.body,
        transfer_id=notification.transfer_id,
        state=notification.state.value,
        create_time=to_timestamp(notification.create_time),
        deliver_time=to_timestamp(deliver_time) if deliver_time else None,
    )
