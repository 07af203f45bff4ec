"""A message's state over time, and the numbers that decide how it ends: pure.

The end is planned at acceptance, so a restart or a changed setting does not alter it.
"""

from dataclasses import dataclass
from enum import StrEnum

from sandbox.partners.sms.endings import SWITCHED_OFF_ENDING, UNDELIVERED_ENDING


class State(StrEnum):
    """The states of a message; the last three are final."""

    QUEUED = "QUEUED"
    SENT = "SENT"
    DELIVERED = "DELIVERED"
    UNDELIVERED = "UNDELIVERED"
    EXPIRED = "EXPIRED"


UNKNOWN_SUBSCRIBER = "UNKNOWN_SUBSCRIBER"
TTL_EXPIRED = "TTL_EXPIRED"


@dataclass(frozen=True, slots=True)
class Text:
    """What the sender gave: the same key with the same text is the same message."""

    to: str
    sender: str
    body: str
    reference: str
    ttl_s: int


@dataclass(frozen=True, slots=True)
class Plan:
    """When the message is sent and ends, in seconds since the epoch, and how it ends."""

    sent_at: float
    ended_at: float
    end: State
    error_code: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """An accepted message. `accepted_at` is in seconds since the epoch."""

    id: str
    key: str
    text: Text
    accepted_at: float
    plan: Plan

    def state(self, now: float) -> State:
        """Return the state at a time."""
        if now >= self.plan.ended_at:
            return self.plan.end
        return State.SENT if now >= self.plan.sent_at else State.QUEUED


def planned(text: Text, at: float, send_s: float, deliver_s: float) -> Plan:
    """Return the plan of a message that is accepted at `at`. The delays count from then."""
    sent_at, delivered_at, expires_at = at + send_s, at + deliver_s, at + text.ttl_s
    if text.to.endswith(SWITCHED_OFF_ENDING) or delivered_at > expires_at:
        return Plan(min(sent_at, expires_at), expires_at, State.EXPIRED, TTL_EXPIRED)
    if text.to.endswith(UNDELIVERED_ENDING):
        return Plan(sent_at, delivered_at, State.UNDELIVERED, UNKNOWN_SUBSCRIBER)
    return Plan(sent_at, delivered_at, State.DELIVERED)
