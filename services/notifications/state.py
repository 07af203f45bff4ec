"""A message to a customer and its delivery: states, ids and what an attempt leads to. Pure."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from services.kernel.money import Money
from services.kernel.state_table import StateTable, Transition


class State(Enum):
    """What became of a delivery."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    UNDELIVERABLE = "UNDELIVERABLE"


class Outcome(Enum):
    """How an attempt ended."""

    TAKEN = "taken by the channel"
    DEVICE_GONE = "the channel does not know the device any more"
    REFUSED = "the channel will never take it"
    POSTPONED = "the channel could not take it now"


DELIVERY: StateTable[State, Outcome, Transition[State]] = StateTable(
    initial=State.PENDING,
    rows={
        (State.PENDING, Outcome.TAKEN): Transition(State.DELIVERED),
        (State.PENDING, Outcome.DEVICE_GONE): Transition(State.UNDELIVERABLE),
        (State.PENDING, Outcome.REFUSED): Transition(State.UNDELIVERABLE),
        (State.PENDING, Outcome.POSTPONED): Transition(State.PENDING),
    },
)


@dataclass(frozen=True, slots=True)
class Request:
    """A customer is to be told something."""

    notification_id: uuid.UUID
    event_id: str
    customer_id: uuid.UUID
    template: str
    """Name in bp.notifications.v1.Template."""
    transfer_id: str
    amount: Money
    reason: str


@dataclass(frozen=True, slots=True)
class Device:
    """Where a customer can be reached."""

    customer_id: uuid.UUID
    token: str
    locale: str


@dataclass(frozen=True, slots=True)
class Push:
    """One delivery as it is handed to the channel."""

    notification_id: uuid.UUID
    device: str
    event_id: str
    template: str
    title: str
    body: str
    transfer_id: str
    attempts: int
    """Attempts that were made before this one."""
    lease_end: datetime
    """Until when it may be sent by this process."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt ended."""

    push: Push
    outcome: Outcome
    detail: str = ""
    retry_after_s: float = 0.0
    """What the channel asked for; 0 if nothing."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What an attempt makes of its delivery."""

    push: Push
    state: State
    next_attempt_time: datetime
    deliver_time: datetime | None
    detail: str
    device_gone: bool


def notification_id(event_id: str) -> uuid.UUID:
    """Return the message's id: the event's own, or with a suffix one derived from the whole.

    A derived id keeps the event's first eight bytes, so its time. Raises ValueError if no UUID
    stands in front.
    """
    front, _, suffix = event_id.partition("/")
    event = uuid.UUID(front)
    if not suffix:
        return event
    rest = bytearray(hashlib.sha256(event_id.encode()).digest()[:8])
    rest[0] = 0x80 | (rest[0] & 0x3F)
    return uuid.UUID(bytes=event.bytes[:8] + bytes(rest))


def settled(attempt: Attempt, now: datetime, first_s: float, max_s: float) -> Settled:
    """Return what an attempt makes of its delivery; a postponed one waits ever longer."""
    doubled_s = min(first_s * 2 ** min(attempt.push.attempts, 20), max_s)
    wait_s = max(doubled_s, attempt.retry_after_s)
    state = DELIVERY.next(State.PENDING, attempt.outcome)
    return Settled(
        push=attempt.push,
        state=state,
        next_attempt_time=now + timedelta(seconds=wait_s),
        deliver_time=now if state is State.DELIVERED else None,
        # The channel's own words, which no column would hold with a NUL.
        detail=attempt.detail.replace("\0", ""),
        device_gone=attempt.outcome is Outcome.DEVICE_GONE,
    )
