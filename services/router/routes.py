"""The table from a domain's events to the messages for customers. Pure.

An event without a row sends no message. The payee of a book transfer gets a separate message, whose
id is the event's id with the suffix "/received". All messages about locks that a customer gets on
one day share an id, so an attacker cannot flood the customer with messages.
"""

import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bp.auth.v1.auth_events_pb2 import Factor
from bp.notifications.v1.notification_pb2 import Template
from bp.notifications.v1.notifications_events_pb2 import NotificationEvent
from google.protobuf.message import Message

from services.chassis.kafka import BadMessage

RECEIVED_SUFFIX = "/received"
LOCKS_TOLD = frozenset({"DEVICE", "SESSION", "STRANGERS"})
"""Scopes of a lock that belong to a customer. The scope ADDRESS belongs to an attacker's address,
and a scope that is newer than this program sends no message."""
DAY_MS = 86_400_000


def _customer(event: Any, _: Any) -> str:
    return event.metadata.customer_id


def _payee(event: Any, fact: Any) -> str:
    """Return the payee, or "" if both accounts are the payer's: one message is enough."""
    same = fact.destination_customer_id == event.metadata.customer_id
    return "" if same else fact.destination_customer_id


def _locked_customer(event: Any, fact: Any) -> str:
    """Return the customer whose logins are locked; "" for an address or an unknown account."""
    return event.metadata.customer_id if fact.scope in LOCKS_TOLD else ""


def _no_text(_: Any) -> str:
    return ""


def _failure(fact: Any) -> str:
    return fact.transfer.failure_reason


def _return_code(fact: Any) -> str:
    return fact.transfer.return_code


def _scope(fact: Any) -> str:
    return fact.scope


def _factor(fact: Any) -> str:
    """Return the factor's name; "" for a factor that is newer than this program."""
    return Factor.Name(fact.factor) if fact.factor in Factor.values() else ""


def _device(fact: Any) -> str:
    return fact.device_name


def _event_id(event: Any, _: Any) -> str:
    return event.metadata.event_id


def _received_id(event: Any, _: Any) -> str:
    return event.metadata.event_id + RECEIVED_SUFFIX


def _lock_of_day_id(event: Any, fact: Any) -> str:
    """Return the id that all locks of a customer in one scope share on one day (UTC).

    It is a UUIDv7 of the day's first millisecond. Raises BadMessage for a time outside its range.
    """
    try:
        day_ms = event.metadata.occur_time.ToMilliseconds() // DAY_MS * DAY_MS
        time = day_ms.to_bytes(6, "big")
    except (ValueError, OverflowError) as error:
        raise BadMessage("EVENT_TIME_INVALID", str(error)) from error
    told = f"{event.metadata.customer_id}/{fact.scope}/{day_ms}"
    rest = bytearray(hashlib.sha256(told.encode()).digest()[:10])
    rest[0] = 0x70 | (rest[0] & 0x0F)
    rest[2] = 0x80 | (rest[2] & 0x3F)
    return str(uuid.UUID(bytes=time + bytes(rest)))


@dataclass(frozen=True, slots=True)
class Route:
    """One message that a fact sends."""

    template: Template
    recipient: Callable[[Any, Any], str] = _customer
    """(event, fact) -> customer id; "" sends no message."""
    reason: Callable[[Any], str] = _no_text
    """fact -> a code for which the text may have words."""
    device_name: Callable[[Any], str] = _no_text
    message_id: Callable[[Any, Any], str] = _event_id
    """(event, fact) -> id of the message. Requests with the same id are one message."""
    recipient_required: bool = True
    """True when an event without a recipient is a mistake of its writer."""


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
            message_id=_received_id,
            recipient_required=False,
        ),
    ),
    # The customer knows of each login, or learns of it by NEW_DEVICE.
    "bp.auth.v1.LoginSucceeded": (),
    # A message for each wrong password would let strangers disturb the customer.
    "bp.auth.v1.LoginFailed": (),
    "bp.auth.v1.LoginLocked": (
        Route(
            Template.LOGIN_LOCKED,
            recipient=_locked_customer,
            reason=_scope,
            message_id=_lock_of_day_id,
            recipient_required=False,
        ),
    ),
    "bp.auth.v1.LoginUnlocked": (),
    "bp.auth.v1.DeviceAdded": (Route(Template.NEW_DEVICE, device_name=_device),),
    "bp.auth.v1.DeviceRemoved": (),
    "bp.auth.v1.TokenReused": (Route(Template.TOKEN_REUSED, device_name=_device),),
    "bp.auth.v1.PasswordChanged": (Route(Template.PASSWORD_CHANGED),),
    "bp.auth.v1.FactorAdded": (Route(Template.FACTOR_ADDED, reason=_factor),),
    "bp.auth.v1.FactorRemoved": (Route(Template.FACTOR_REMOVED, reason=_factor),),
    "bp.auth.v1.SessionRevoked": (),
    # The configuration of the mesh concerns no customer.
    "bp.mesh.v1.MeshConfigRevised": (),
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
    metadata.event_id = route.message_id(event, fact)
    metadata.causation_id = event.metadata.event_id
    metadata.customer_id = customer_id
    requested = notification.notification_requested
    requested.customer_id = customer_id
    requested.template = route.template
    requested.reason = route.reason(fact)
    requested.device_name = route.device_name(fact)
    if "transfer" in fact.DESCRIPTOR.fields_by_name:
        requested.transfer_id = fact.transfer.transfer_id
        requested.amount.CopyFrom(fact.transfer.amount)
    return notification
