"""A message to a customer and its delivery: states, ids and the effect of an attempt. Pure."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from services.kernel.money import Money
from services.kernel.state_table import StateTable, Transition


class State(Enum):
    """The state of a delivery."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    UNDELIVERABLE = "UNDELIVERABLE"


class Outcome(Enum):
    """How an attempt ended."""

    TAKEN = "accepted by the channel"
    DEVICE_GONE = "the channel does not know the device"
    REFUSED = "the channel will never accept it"
    POSTPONED = "the channel could not accept it yet"
    EXPIRED = "the channel could not accept it for so long that the message is old"


DELIVERY: StateTable[State, Outcome, Transition[State]] = StateTable(
    initial=State.PENDING,
    rows={
        (State.PENDING, Outcome.TAKEN): Transition(State.DELIVERED),
        (State.PENDING, Outcome.DEVICE_GONE): Transition(State.UNDELIVERABLE),
        (State.PENDING, Outcome.REFUSED): Transition(State.UNDELIVERABLE),
        (State.PENDING, Outcome.POSTPONED): Transition(State.PENDING),
        (State.PENDING, Outcome.EXPIRED): Transition(State.UNDELIVERABLE),
    },
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request to send a customer a message."""

    notification_id: uuid.UUID
    event_id: str
    customer_id: uuid.UUID
    template: str
    """Name in bp.notifications.v1.Template."""
    transfer_id: str
    """The transfer that the message is about; "" for a message about logins."""
    amount: Money | None
    """None for a message that names no amount."""
    reason: str
    device_name: str
    """The name that the customer's app gave the device; "" when there is none."""


@dataclass(frozen=True, slots=True)
class Notification:
    """A message as the customer's list shows it."""

    notification_id: uuid.UUID
    event_id: str
    template: str
    """Name in bp.notifications.v1.Template."""
    title: str
    body: str
    transfer_id: str
    create_time: datetime
    state: State
    """DELIVERED when at least one device has it, PENDING while a delivery is still due."""
    deliver_time: datetime | None
    """When the first device got it; None before."""


@dataclass(frozen=True, slots=True)
class Device:
    """A customer's device and its language."""

    customer_id: uuid.UUID
    token: str
    locale: str


@dataclass(frozen=True, slots=True)
class Push:
    """One delivery to send over the channel."""

    notification_id: uuid.UUID
    device: str
    event_id: str
    template: str
    title: str
    body: str
    transfer_id: str
    create_time: datetime
    """When the message was written."""
    attempts: int
    """Number of earlier attempts."""
    lease_end: datetime
    """Until when this process may send it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt ended."""

    push: Push
    outcome: Outcome
    detail: str = ""
    """A status, a code or an id: printable ASCII, never the text of an answer."""
    retry_after_s: float = 0.0
    """The wait that the channel asked for; 0 if it asked for none."""


@dataclass(frozen=True, slots=True)
class Retries:
    """When a postponed push is sent again."""

    first_s: float
    """Wait before the second attempt."""
    s_max: float
    """Longest wait between two attempts, unless the channel asks for a longer one."""
    expiry: timedelta
    """A message of this age is not sent again."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The effect of an attempt on its delivery."""

    push: Push
    state: State
    next_attempt_time: datetime
    deliver_time: datetime | None
    detail: str
    device_gone: bool


def notification_id(event_id: str) -> uuid.UUID:
    """Return the message's id: the event's id, or an id derived from an event id with a suffix.

    A derived id keeps the first eight bytes of the event's id, and so its time. Raises ValueError
    if the event id does not begin with a UUID.
    """
    front, _, suffix = event_id.partition("/")
    event = uuid.UUID(front)
    if not suffix:
        return event
    rest = bytearray(hashlib.sha256(event_id.encode()).digest()[:8])
    rest[0] = 0x80 | (rest[0] & 0x3F)
    return uuid.UUID(bytes=event.bytes[:8] + bytes(rest))


def settled(attempt: Attempt, now: datetime, retries: Retries) -> Settled:
    """Return the effect of an attempt; each postponement of a delivery doubles its wait."""
    doubled_s = min(retries.first_s * 2 ** min(attempt.push.attempts, 20), retries.s_max)
    next_time = now + timedelta(seconds=max(doubled_s, attempt.retry_after_s))
    outcome = attempt.outcome
    if outcome is Outcome.POSTPONED and next_time - attempt.push.create_time > retries.expiry:
        outcome = Outcome.EXPIRED
    state = DELIVERY.next(State.PENDING, outcome)
    return Settled(
        push=attempt.push,
        state=state,
        next_attempt_time=next_time,
        deliver_time=now if state is State.DELIVERED else None,
        detail=attempt.detail,
        device_gone=outcome is Outcome.DEVICE_GONE,
    )
