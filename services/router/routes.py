"""The table from a domain's events to the messages for customers. Pure.

An event without a row sends no message. The payee of a book transfer gets a separate message, whose
id is the event's id with the suffix "/received".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bp.notifications.v1.notification_pb2 import Template
from bp.notifications.v1.notifications_events_pb2 import NotificationEvent
from google.protobuf.message import Message

from services.chassis.kafka import BadMessage

RECEIVED_SUFFIX = "/received"


def _payer(event: Any, _: Any) -> str:
    return event.metadata.customer_id


def _payee(event: Any, fact: Any) -> str:
    """Return the payee, or "" if both accounts are the payer's: one message is enough."""
    same = fact.destination_customer_id == event.metadata.customer_id
    return "" if same else fact.destination_customer_id


def _no_reason(_: Any) -> str:
    return ""


def _failure(transfer: Any) -> str:
    return transfer.failure_reason


def _return_code(transfer: Any) -> str:
    return transfer.return_code


@dataclass(frozen=True, slots=True)
class Route:
    """One message that a fact sends."""

    template: Template
    recipient: Callable[[Any, Any], str] = _payer
    """(event, fact) -> customer id; "" for nobody."""
    reason: Callable[[Any], str] = _no_reason
    id_suffix: str = ""
    recipient_required: bool = True


ROUTES: Mapping[str, tuple[Route, ...]] = {
    "bp.payments.v1.TransferDebited": (),
    "bp.payments.v1.TransferSubmitted": (Route(Template.TRANSFER_SUBMITTED),),
    "bp.payments.v1.TransferCompleted": (Route(Template.TRANSFER_COMPLETED),),
    "bp.payments.v1.TransferFailed": (Route(Template.TRANSFER_FAILED, reason=_failure),),
    "bp.payments.v1.TransferReturned": (Route(Template.TRANSFER_RETURNED, reason=_return_code),),
    "bp.payments.v1.TransferCancelled": (Route(Template.TRANSFER_CANCELLED),),
    "bp.payments.v1.TransferOutcomeUnknown": (),
    "bp.payments.v1.TransferCancelRequested": (),
    "bp.payments.v1.TransferCancelRefused": (),
    # A message about a declined order could warn a fraudster.
    "bp.payments.v1.TransferDeclined": (),
    "bp.payments.v1.FurtherOrdersDeclined": (),
    # The customer must not learn of a review.
    "bp.payments.v1.TransferReviewed": (),
    "bp.transfers.v1.BookTransferDeclined": (),
    "bp.transfers.v1.BookTransferPosted": (
        Route(Template.TRANSFER_SENT),
        Route(
            Template.TRANSFER_RECEIVED,
            recipient=_payee,
            id_suffix=RECEIVED_SUFFIX,
            recipient_required=False,
        ),
    ),
}
"""Full name of the fact's type -> the messages that it sends."""


def fact_of(event: Any) -> Message | None:
    """Return the fact in the envelope's oneof; None for a fact newer than this program."""
    name = event.WhichOneof("event")
    return None if name is None else getattr(event, name)


def notifications_of(event: Any) -> list[NotificationEvent]:
    """Return the messages that an event sends; raise BadMessage if one has no recipient."""
    fact: Any = fact_of(event)
    if fact is None:
        return []
    routes = ROUTES.get(fact.DESCRIPTOR.full_name, ())
    asked = (_notification(route, event, fact) for route in routes)
    return [notification for notification in asked if notification is not None]


def _notification(route: Route, event: Any, fact: Any) -> NotificationEvent | None:
    customer_id = route.recipient(event, fact)
    if not customer_id:
        if route.recipient_required:
            raise BadMessage("CUSTOMER_MISSING", fact.DESCRIPTOR.full_name)
        return None
    notification = NotificationEvent()
    metadata = notification.metadata
    metadata.CopyFrom(event.metadata)
    metadata.event_id += route.id_suffix
    metadata.causation_id = event.metadata.event_id
    metadata.customer_id = customer_id
    requested = notification.notification_requested
    requested.customer_id = customer_id
    requested.template = route.template
    requested.transfer_id = fact.transfer.transfer_id
    requested.amount.CopyFrom(fact.transfer.amount)
    requested.reason = route.reason(fact.transfer)
    return notification
