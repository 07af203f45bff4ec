"""The kinds of difference that the judge can find, and the bounded list of findings. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

SAMPLES_MAX = 20
"""How many differences of one kind are listed; the others are only counted."""


class Kind(StrEnum):
    """Every kind of difference. Findings of ledger.check() are BOOKS, with its `problem`."""

    NOT_DRAINED = "events were still in flight when the time to wait ended"
    STORE_UNREADABLE = "a store could not be read, so it was not compared"
    BOOKS = "the ledger contradicts itself"
    POSTINGS = "a transfer's ledger entries do not match its state"
    ENTRY_WITHOUT_CAUSE = "a ledger entry has a kind that the bank never posts"
    INTERNAL_BALANCE = "clearing or settlement does not hold the sum of its transfers"
    SAGA_OVERDUE = "a transfer waits in clearing and no worker processes it"
    CLEARING_OVERDUE = "a transfer is in clearing past its deadline"
    KEY = "a transfer and its idempotency key do not match"
    TRACE_DOUBLED = "two transfers have the same trace number"
    OUTBOX_WAITING = "an event was not published"
    OUTBOX_PARKED = "the relay parked an event that it could not publish"
    EVENT_COUNT = "a transfer wrote more or fewer events than it had steps"
    EVENT_LOST = "a published event is missing from its topic"
    EVENT_UNKNOWN = "a topic holds an event that the bank never published"
    EVENT_PLACE = "an event is not at the partition and offset that the outbox recorded"
    EVENT_UNREADABLE = "a message in a topic cannot be decoded and no consumer group parked it"
    EVENT_VERSIONS = "a transfer's events have a gap, a duplicate or the wrong order"
    EVENT_STATES = "a transfer's events show steps that cannot follow each other"
    EVENT_LAST_STATE = "a transfer's last event has another state than its row"
    AUDIT_LOG_LOST = "an event is missing from the topic audit-logs"
    AUDIT_LOG_UNKNOWN = "the topic audit-logs holds an event that no source topic has"
    AUDIT_LOST = "an event has no audit record"
    AUDIT_DOUBLED = "an event has more than one audit record"
    AUDIT_UNKNOWN = "an audit record has no event"
    AUDIT_PAYLOAD = "an audit record's content or source differs from its event"
    AUDIT_CHAIN = "a chain of audit records does not verify"
    NOTICE_LOST = "a requested customer message is missing from the topic notifications"
    NOTICE_UNKNOWN = "the topic notifications holds a message that no event requested"
    DELIVERY_LOST = "a requested customer message was not written"
    DELIVERY_DOUBLED = "a customer message was written more than once"
    DELIVERY_UNKNOWN = "a message was written that no event requested, or for the wrong customer"
    DELIVERY_OVERDUE = "a delivery is overdue and no worker sends it"
    PUSH_LOST = "a delivery is marked DELIVERED but the push service never accepted it"
    PUSH_DOUBLED = "the push service accepted a message for a device more often than it was sent"
    PUSH_UNKNOWN = "the push service accepted a message for which the bank has no delivery"
    ACH_LOST = "the clearing house does not know a submitted transfer"
    ACH_LIVE = "the clearing house still processes a transfer that was refunded"
    ACH_UNKNOWN = "the clearing house has a transfer that the bank does not know"
    ACH_TRACE = "bank and clearing house have different trace numbers"
    ACH_AMOUNT = "bank and clearing house have different amounts"
    ACH_STATE = "bank and clearing house have contradicting states of a transfer"
    FAMILY_UNKNOWN = "Valkey has refresh tokens of a session that the database does not have"
    FAMILY_ENDED = "Valkey has refresh tokens of a session that ended"
    FAMILY_OWNER = "refresh tokens belong to another customer or device than their session"
    REVOCATION_LOST = "a session that ended recently is not revoked for long enough"
    REVOKED_OPEN = "an open session is revoked"
    PROJECTION_LOST = "an account has postings but no projected balance"
    PROJECTION_UNKNOWN = "an account has a projected balance but no postings"
    PROJECTION = "an account's projected balance or position differs from the posted one"
    ACCOUNT_NOT_OPEN = "a customer's account is missing from the ledger"
    ACCOUNT_WITHOUT_CUSTOMER = "a ledger account belongs to no customer"


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference between two stores, or between a store and a rule."""

    kind: Kind
    ids: Mapping[str, str]
    """The ids of the rows that differ: transfer_id, event_id, account_id …"""
    expected: Any
    actual: Any

    def to_json(self) -> dict[str, Any]:
        """Return the difference as the JSON report shows it."""
        return {
            "kind": self.kind.name,
            "what": self.kind.value,
            "ids": dict(self.ids),
            "expected": self.expected,
            "actual": self.actual,
        }


@dataclass(slots=True)
class Findings:
    """The compared items and the differences: all are counted, some of each kind are listed."""

    checked: Counter[str] = field(default_factory=Counter[str])
    counts: Counter[Kind] = field(default_factory=Counter[Kind])
    named: list[Difference] = field(default_factory=list[Difference])

    @property
    def ok(self) -> bool:
        """True when there is no difference."""
        return not self.counts

    def add(self, kind: Kind, expected: Any, actual: Any, **ids: object) -> None:
        """Count a difference, and list it if fewer than SAMPLES_MAX of its kind are listed."""
        self.counts[kind] += 1
        if self.counts[kind] <= SAMPLES_MAX:
            known = {name: str(value) for name, value in ids.items() if value is not None}
            self.named.append(Difference(kind, known, _plain(expected), _plain(actual)))

    def merge(self, others: "Findings") -> None:
        """Add what another comparison found."""
        self.checked.update(others.checked)
        for one in others.named:
            if sum(known.kind is one.kind for known in self.named) < SAMPLES_MAX:
                self.named.append(one)
        self.counts.update(others.counts)

    def add_rows(self, kind: Kind, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows with `expected`, `actual`, ids and `total`, the count before a LIMIT."""
        listed = [dict(row) for row in rows]
        for row in listed:
            expected, actual = row.pop("expected"), row.pop("actual")
            row.pop("total", None)
            self.add(kind, expected, actual, **row)
        if listed:
            self.counts[kind] += max(0, _total(rows) - len(listed))


def _total(rows: Iterable[Mapping[str, Any]]) -> int:
    return next((int(row.get("total") or 0) for row in rows), 0)


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold without losing a digit."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_plain(item) for item in items]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return str(value)
