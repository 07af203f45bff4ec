"""The requests of the load, and the meaning of each answer to the app. Pure.

An app retries a request under its key until the answer is definite: the request was accepted, or it
was refused for a reason that the customer can fix. Any other answer says nothing about the money.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

NO_ANSWER = 0
"""Status of a call that was interrupted or timed out."""
REPEATED_STATUS = frozenset({NO_ANSWER, 408, 425, 429, 499})
SERVER_FAULT = 500
IN_PROGRESS = "REQUEST_IN_PROGRESS"
KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"


class Op(StrEnum):
    """The kind of a request."""

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
"""The only valid reasons to refuse each kind. The load never causes another one."""

MUST_BE_REFUSED = frozenset({Op.OVER_BALANCE, Op.OTHER_PAYLOAD})


class Meaning(StrEnum):
    """The meaning of an answer."""

    TAKEN = "accepted"
    REFUSED = "refused"
    AGAIN = "not definite: retry under the same key"


def meaning(status: int, reason: str) -> Meaning:
    """Return the meaning of an answer."""
    if 200 <= status < 300:
        return Meaning.TAKEN
    if status in REPEATED_STATUS or status >= SERVER_FAULT or reason == IN_PROGRESS:
        return Meaning.AGAIN
    return Meaning.REFUSED


@dataclass(slots=True)
class Order:
    """One request with all its tries. Ids of accounts and customers are text."""

    op: Op
    key: str
    customer_id: str
    account_id: str
    amount: int
    destination_account_id: str = ""
    beneficiary: Mapping[str, str] = field(default_factory=dict[str, str])
    about: str = ""
    """The transfer to cancel or to replay."""
    tries: int = 0
    begun_s: float = 0.0
    ended_s: float | None = None
    taken_as: str = ""
    """Id of the transfer in the answer that accepted the request."""
    taken_state: str = ""
    refused_for: str = ""
    left_alone: bool = False
    """True if the load must not replay or cancel it."""
    defects: int = 0
    """Number of answers with status 500. A missing dependency must give 503 or 504 instead."""

    @property
    def definite(self) -> bool:
        """Return whether the app has a definite answer."""
        return bool(self.taken_as or self.refused_for)

    def hear(self, status: int, reason: str, transfer_id: str, state: str) -> Meaning:
        """Record an answer and return its meaning."""
        self.tries += 1
        self.defects += status == SERVER_FAULT
        found = meaning(status, reason)
        if found is Meaning.TAKEN:
            self.taken_as, self.taken_state = transfer_id, state
        elif found is Meaning.REFUSED:
            self.refused_for = reason
        return found
