"""Builds the events of auth, ready to be written with the change that caused them. Pure.

No event contains a secret, an address or a telephone number.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bp.auth.v1 import auth_events_pb2 as pb
from bp.event.v1.event_pb2 import EventMetadata

from services.auth.state import EndCause, Factor, Session
from services.chassis.timestamps import to_timestamp
from services.kernel.ids import new_id

TOPIC = "auth-events"


@dataclass(frozen=True, slots=True)
class Origin:
    """The call that causes an event."""

    request_id: str
    """The gateway's request id; the events' correlation id."""
    traceparent: str
    """W3C trace context; empty when there is none."""
    time: datetime
    """When it happens, by the bank's clock."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Who causes an event with bpctl, and why."""

    os_user: str
    """The operating-system user, such as "eva (uid 1000)"."""
    note: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """One event, as a row of auth.event."""

    event_id: uuid.UUID
    """UUIDv7."""
    key: uuid.UUID
    """The customer, or the attempt when the customer is unknown."""
    event_type: str
    """Full name of the event's message."""
    subject: uuid.UUID
    """The same as `key`."""
    payload: bytes = field(repr=False)
    """The serialised AuthEvent."""
    traceparent: str


def login_succeeded(
    origin: Origin,
    customer_id: uuid.UUID,
    session_id: uuid.UUID,
    device_id: uuid.UUID,
    factors: Sequence[Factor],
) -> Prepared:
    """Return the event of a completed login; the factors are in their order."""
    fact = pb.LoginSucceeded(
        session_id=str(session_id),
        device_id=str(device_id),
        factors=[factor.value for factor in factors],
    )
    return _prepared(origin, customer_id, login_succeeded=fact)


def login_failed(
    origin: Origin,
    customer_id: uuid.UUID | None,
    factor: Factor,
    reason: str,
    *,
    known_device: bool = False,
    refused_before: int = 0,
) -> Prepared:
    """Return the event of a wrong factor; customer_id is None for an unknown address."""
    fact = pb.LoginFailed(
        factor=factor.value,
        reason=reason,
        known_device=known_device,
        refused_before=refused_before,
    )
    return _prepared(origin, customer_id, login_failed=fact)


def login_locked(
    origin: Origin, customer_id: uuid.UUID | None, factor: Factor, scope: str, lock_s: int
) -> Prepared:
    """Return the event of a lock; customer_id is None for an unknown e-mail address."""
    fact = pb.LoginLocked(factor=factor.value, scope=scope, lock_s=lock_s)
    return _prepared(origin, customer_id, login_locked=fact)


def login_unlocked(
    origin: Origin, customer_id: uuid.UUID, operator: Operator | None = None
) -> Prepared:
    """Return the event of an early end of a lock, by a reset of the password or by an operator."""
    by, fields = ("RESET", {}) if operator is None else ("OPERATOR", _of_operator(operator))
    return _prepared(origin, customer_id, login_unlocked=pb.LoginUnlocked(by=by, **fields))


def device_added(
    origin: Origin, customer_id: uuid.UUID, device_id: uuid.UUID, device_name: str
) -> Prepared:
    """Return the event of the first login with a device."""
    fact = pb.DeviceAdded(device_id=str(device_id), device_name=device_name)
    return _prepared(origin, customer_id, device_added=fact)


def device_removed(origin: Origin, customer_id: uuid.UUID, device_id: uuid.UUID) -> Prepared:
    """Return the event of a removed device."""
    fact = pb.DeviceRemoved(device_id=str(device_id))
    return _prepared(origin, customer_id, device_removed=fact)


def token_reused(origin: Origin, session: Session) -> Prepared:
    """Return the event of a refresh token that was used again, so its session ended."""
    fact = pb.TokenReused(
        session_id=str(session.session_id),
        device_id=str(session.device_id),
        device_name=session.device_name,
    )
    return _prepared(origin, session.customer_id, token_reused=fact)


def password_changed(origin: Origin, customer_id: uuid.UUID, *, reset: bool) -> Prepared:
    """Return the event of a new password; `reset`: without the old one."""
    fact = pb.PasswordChanged(reset=reset)
    return _prepared(origin, customer_id, password_changed=fact)


def factor_added(origin: Origin, customer_id: uuid.UUID, factor: Factor) -> Prepared:
    """Return the event of a new factor."""
    fact = pb.FactorAdded(factor=factor.value)
    return _prepared(origin, customer_id, factor_added=fact)


def factor_removed(origin: Origin, customer_id: uuid.UUID, factor: Factor) -> Prepared:
    """Return the event of a removed factor."""
    fact = pb.FactorRemoved(factor=factor.value)
    return _prepared(origin, customer_id, factor_removed=fact)


def session_revoked(
    origin: Origin, session: Session, cause: EndCause, operator: Operator | None = None
) -> Prepared:
    """Return the event of a session that ended before its time."""
    fact = pb.SessionRevoked(
        session_id=str(session.session_id),
        device_id=str(session.device_id),
        cause=cause.value,
        **(_of_operator(operator) if operator else {}),
    )
    return _prepared(origin, session.customer_id, session_revoked=fact)


def _of_operator(operator: Operator) -> dict[str, str]:
    return {"os_user": operator.os_user, "note": operator.note}


def _prepared(origin: Origin, customer_id: uuid.UUID | None, **fact: Any) -> Prepared:
    """Return the event with its envelope. Without a customer, key and subject are a new id.

    The aggregate is the customer, so the audit log lists all events of a customer by one subject.
    """
    event_id = new_id()
    about = customer_id or new_id()
    envelope = pb.AuthEvent(
        metadata=EventMetadata(
            event_id=str(event_id),
            occur_time=to_timestamp(origin.time),
            aggregate_id=str(about),
            aggregate_version=0,
            correlation_id=origin.request_id,
            causation_id=origin.request_id,
            customer_id=str(customer_id or ""),
        ),
        **fact,
    )
    (event_type,) = (message.DESCRIPTOR.full_name for message in fact.values())
    return Prepared(
        event_id=event_id,
        key=about,
        event_type=event_type,
        subject=about,
        payload=envelope.SerializeToString(),
        traceparent=origin.traceparent,
    )
