"""The book of the clearing house: transfers and tombstones by idempotency key, and their states.

It does no I/O and reads no clock: every method takes the time as an argument. Replaying the same
calls in the same order gives the same book with the same trace numbers. A restart restores the book
in this way.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from sandbox.partners.ach.clock import Schedule
from sandbox.partners.ach.triggers import Ending

SEQUENCE_MAX = 9_999_999


class State(StrEnum):
    """A transfer's state. CANCELLED without a trace number is a tombstone. REJECTED never has a
    trace number, and its key may still be used for an acceptable transfer."""

    ACCEPTED = "ACCEPTED"
    BATCHED = "BATCHED"
    SETTLING = "SETTLING"
    SETTLED = "SETTLED"
    RETURNED = "RETURNED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"


class Stage(StrEnum):
    """A scheduled step for all transfers of one processing day."""

    BATCH = "BATCH"
    OPEN = "OPEN"
    SETTLE = "SETTLE"
    LATE_RETURN = "LATE_RETURN"


# (stage, state before, return code applies) → state after. Absent combinations change nothing.
TRANSITIONS: dict[tuple[Stage, State, bool], State] = {
    (Stage.BATCH, State.ACCEPTED, False): State.BATCHED,
    (Stage.BATCH, State.ACCEPTED, True): State.BATCHED,
    (Stage.OPEN, State.BATCHED, False): State.SETTLING,
    (Stage.OPEN, State.BATCHED, True): State.SETTLING,
    (Stage.SETTLE, State.SETTLING, False): State.SETTLED,
    (Stage.SETTLE, State.SETTLING, True): State.RETURNED,
    (Stage.LATE_RETURN, State.SETTLED, True): State.RETURNED,
}


class BookError(Exception):
    """A refusal of the book; `code` is the error code that the API returns."""

    code = "REFUSED"


class KeyReusedError(BookError):
    """The idempotency key was used with another payload; use a new key for a new transfer."""

    code = "IDEMPOTENCY_KEY_REUSED"


class CancelledError(BookError):
    """This idempotency key was cancelled before; the transfer will never be sent."""

    code = "CANCELLED"


class TooLateError(BookError):
    """The transfer is already in a batch and can no longer be cancelled."""

    code = "TOO_LATE"


class Order(NamedTuple):
    """The originating bank's request. The amount is in minor units of USD."""

    minor_units: int
    currency: str
    routing: str
    account: str
    account_type: str
    name: str
    description: str
    addenda: str
    callback_reference: str


@dataclass(slots=True)
class Transfer:
    """One accepted transfer, or a tombstone or a rejection (order None)."""

    key: str
    order: Order | None
    sequence: int
    state: State
    accepted_at: float
    processing_day: date | None
    ending: Ending
    refusal: str = ""
    """The error code, if the transfer is REJECTED."""


@dataclass(frozen=True, slots=True)
class Change:
    """A transfer entered a state at an instant."""

    transfer: Transfer
    state: State
    at: float


class Book:
    """All transfers since the first start."""

    def __init__(self, schedule: Schedule, first_sequence: int = 1) -> None:
        """Make an empty book; trace numbers count up from `first_sequence`."""
        self.schedule = schedule
        self._next = first_sequence
        self._by_key: dict[str, Transfer] = {}
        self._by_sequence: dict[int, Transfer] = {}
        self._accepted: list[Transfer] = []
        self._days: dict[date, list[Transfer]] = {}
        self._agenda: list[tuple[float, Stage, date]] = []

    def known(self, key: str, order: Order) -> Transfer | None:
        """Return the transfer accepted with this key; raise if cancelled or with other data."""
        transfer = self._by_key.get(key)
        if transfer is None or transfer.state is State.REJECTED:
            return None
        if transfer.state is State.CANCELLED:
            raise CancelledError("this idempotency key was cancelled")
        if transfer.order != order:
            raise KeyReusedError("this idempotency key belongs to another payload")
        return transfer

    def accept(self, key: str, order: Order, at: float, day: date, ending: Ending) -> Transfer:
        """Accept a new transfer; `day` is its processing day. The key must be unused."""
        sequence = self._free_sequence()
        transfer = Transfer(key, order, sequence, State.ACCEPTED, at, day, ending)
        self._by_key[key] = self._by_sequence[sequence] = transfer
        self._accepted.append(transfer)
        if day not in self._days:
            self._days[day] = []
            self._plan(day)
        self._days[day].append(transfer)
        return transfer

    def reject(self, key: str, at: float, refusal: str) -> None:
        """Record why a request was refused, unless the key is already in use."""
        rejected = Transfer(key, None, 0, State.REJECTED, at, None, Ending(), refusal)
        self._by_key.setdefault(key, rejected)

    def cancel(self, key: str, at: float) -> Transfer:
        """Cancel a transfer that is not batched yet; keep a tombstone for an unknown key."""
        transfer = self._by_key.get(key)
        if transfer is None:
            transfer = Transfer(key, None, 0, State.CANCELLED, at, None, Ending())
            self._by_key[key] = transfer
        elif transfer.state in {State.ACCEPTED, State.REJECTED}:
            transfer.state = State.CANCELLED
        elif transfer.state is not State.CANCELLED:
            raise TooLateError(f"the transfer is {transfer.state}")
        return transfer

    def find(self, key: str) -> Transfer | None:
        """Return the transfer or tombstone with an idempotency key."""
        return self._by_key.get(key)

    def find_sequence(self, sequence: int) -> Transfer | None:
        """Return the transfer with the last seven digits of a trace number."""
        return self._by_sequence.get(sequence)

    def page(self, start: int, count: int) -> list[Transfer]:
        """Return accepted transfers in the order of acceptance, from position `start`."""
        return self._accepted[start : start + count]

    def all(self) -> Iterator[Transfer]:
        """Return every transfer, tombstone and rejection."""
        return iter(self._by_key.values())

    def next_due(self) -> float | None:
        """Return the instant of the next scheduled step; None when there is none."""
        return self._agenda[0][0] if self._agenda else None

    def run_until(self, instant: float) -> list[Change]:
        """Run every step that is due, in order of time, and return the changes."""
        changes: list[Change] = []
        while self._agenda and self._agenda[0][0] <= instant:
            at, stage, day = heapq.heappop(self._agenda)
            for transfer in self._days[day]:
                if _step(transfer, stage):
                    changes.append(Change(transfer, transfer.state, at))
            if stage is Stage.LATE_RETURN:
                del self._days[day]
        return changes

    def _plan(self, day: date) -> None:
        plan = self.schedule
        for at, stage in (
            (plan.batched_at(day), Stage.BATCH),
            (plan.settling_at(day), Stage.OPEN),
            (plan.settled_at(day), Stage.SETTLE),
            (plan.late_return_at(day), Stage.LATE_RETURN),
        ):
            heapq.heappush(self._agenda, (at, stage, day))

    def _free_sequence(self) -> int:
        """Return the next number. After 9999999 comes 0000001; numbers in the book are skipped.

        So a trace number identifies one transfer while the network knows it.
        """
        if len(self._by_sequence) >= SEQUENCE_MAX:
            raise OverflowError("all trace numbers are in use; start with an empty state_dir")
        while self._next in self._by_sequence:
            self._next = self._next % SEQUENCE_MAX + 1
        sequence = self._next
        self._next = sequence % SEQUENCE_MAX + 1
        return sequence


def _step(transfer: Transfer, stage: Stage) -> bool:
    """Move one transfer by the table; return False when its state does not change."""
    plan = transfer.ending
    applies = plan.return_code is not None and plan.is_late == (stage is Stage.LATE_RETURN)
    after = TRANSITIONS.get((stage, transfer.state, applies))
    if after is None:
        return False
    transfer.state = after
    return True
