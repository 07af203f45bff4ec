"""What the load asks for, and what an answer means to the app that asked. Pure.

An app repeats a request under its key until it has a definite answer: it was taken, or it was
refused for a reason that is the customer's. Everything else says nothing about the money.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

NO_ANSWER = 0
"""Status of a call that was cut off or took too long."""
REPEATED_STATUS = frozenset({NO_ANSWER, 408, 425, 429, 499})
SERVER_FAULT = 500
IN_PROGRESS = "REQUEST_IN_PROGRESS"
KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"


class Op(StrEnum):
    """What is asked."""

    INTERBANK = "interbank"
    BOOK = "book"
    OVER_BALANCE = "over balance"
    REPLAY = "replay"
    OTHER_PAYLOAD = "key with other payload"
    CANCEL = "cancel"


REFUSALS: Mapping[Op, frozenset[str]] = {
    Op.INTERBANK: frozenset({"INSUFFICIENT_FUNDS"}),
    Op.BOOK: frozenset({"INSUFFICIENT_FUNDS"}),
    Op.OVER_BALANCE: frozenset({"INSUFFICIENT_FUNDS"}),
    Op.REPLAY: frozenset(),
    Op.OTHER_PAYLOAD: frozenset({KEY_REUSED}),
    Op.CANCEL: frozenset({"NOT_CANCELLABLE"}),
}
"""The only reasons for which each may be refused; the load sees to it that no other is true."""

MUST_BE_REFUSED = frozenset({Op.OVER_BALANCE, Op.OTHER_PAYLOAD})


class Meaning(StrEnum):
    """What an answer tells."""

    TAKEN = "taken"
    REFUSED = "refused"
    AGAIN = "nothing definite: repeat it under the same key"


def meaning(status: int, reason: str) -> Meaning:
    """Return what an answer means."""
    if 200 <= status < 300:
        return Meaning.TAKEN
    if status in REPEATED_STATUS or status >= SERVER_FAULT or reason == IN_PROGRESS:
        return Meaning.AGAIN
    return Meaning.REFUSED


@dataclass(slots=True)
class Order:
    """One request with all its repetitions. Accounts and customers are ids in their text."""

    op: Op
    key: str
    customer_id: str
    account_id: str
    amount: int
    destination_account_id: str = ""
    beneficiary: Mapping[str, str] = field(default_factory=dict[str, str])
    about: str = ""
    """Transfer that a cancellation or a replay is about."""
    tries: int = 0
    begun_s: float = 0.0
    ended_s: float | None = None
    taken_as: str = ""
    """Id of the transfer in the answer that took it."""
    taken_state: str = ""
    refused_for: str = ""
    left_alone: bool = False
    """Whether no replay and no cancellation may be about it."""
    defects: int = 0
    """How often the bank said that it failed, where it can say what is away."""

    @property
    def definite(self) -> bool:
        """Whether the app knows what became of it."""
        return bool(self.taken_as or self.refused_for)

    def hear(self, status: int, reason: str, transfer_id: str, state: str) -> Meaning:
        """Take an answer."""
        self.tries += 1
        self.defects += status == SERVER_FAULT
        found = meaning(status, reason)
        if found is Meaning.TAKEN:
            self.taken_as, self.taken_state = transfer_id, state
        elif found is Meaning.REFUSED:
            self.refused_for = reason
        return found
