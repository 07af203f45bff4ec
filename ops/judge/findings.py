"""What the judge can find, and the bounded list of what it found. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

SAMPLES_MAX = 20
"""Differences of one kind that are named; the rest are counted."""


class Kind(StrEnum):
    """Every kind of difference. Those of ledger.check() are BOOKS, with its `problem`."""

    NOT_DRAINED = "events or sagas were still under way when the time was up"
    STORE_UNREADABLE = "a store could not be read, so nothing of it is judged"
    BOOKS = "the ledger contradicts itself"
    POSTINGS = "a transfer did not post what its state says"
    ENTRY_WITHOUT_CAUSE = "an entry of a kind that nothing in the bank posts"
    INTERNAL_BALANCE = "clearing or settlement does not hold what the transfers say"
    SAGA_OVERDUE = "a transfer waits in clearing and nobody works on it"
    CLEARING_OVERDUE = "a transfer is in clearing past its deadline"
    KEY = "an idempotency key without its transfer, or the reverse"
    TRACE_DOUBLED = "two transfers have one trace number"
    OUTBOX_WAITING = "an event was not published"
    OUTBOX_PARKED = "an event was given up by the relay"
    EVENT_COUNT = "a transfer told more or fewer events than it had steps"
    EVENT_LOST = "an event was published and is not in its topic"
    EVENT_UNKNOWN = "an event in a topic that the bank never published"
    EVENT_PLACE = "an event stands elsewhere in its topic than the outbox says"
    EVENT_UNREADABLE = "a message in a topic that no reader can open and no group has parked"
    EVENT_VERSIONS = "a transfer's events have a gap, a repetition or the wrong order"
    EVENT_STATES = "a transfer's events tell steps that cannot follow each other"
    EVENT_LAST_STATE = "a transfer's last event tells another state than its row"
    AUDIT_LOG_LOST = "an event did not reach the topic audit-logs"
    AUDIT_LOG_UNKNOWN = "an event in audit-logs without a source"
    AUDIT_LOST = "an event is not on record"
    AUDIT_DOUBLED = "an event is on record more than once"
    AUDIT_UNKNOWN = "a record of an event that never was"
    AUDIT_PAYLOAD = "a record's payload or source is not the event's"
    AUDIT_CHAIN = "the chain of records does not verify"
    NOTICE_LOST = "a message to a customer was asked for and is not in the topic notifications"
    NOTICE_UNKNOWN = "a message to a customer that no event asks for"
    DELIVERY_LOST = "a message to a customer was asked for and was not written"
    DELIVERY_DOUBLED = "a message to a customer was written more than once"
    DELIVERY_UNKNOWN = "a message was written that no event asks for, or for another customer"
    DELIVERY_OVERDUE = "a delivery waits and nobody sends it"
    PUSH_LOST = "a delivery is told delivered and the push service never took it"
    PUSH_DOUBLED = "the push service took a message to one device more often than it was sent"
    PUSH_UNKNOWN = "the push service took a message that the bank has no delivery of"
    ACH_LOST = "the clearing house does not know a transfer that was submitted"
    ACH_LIVE = "the clearing house goes on with a transfer that was refunded"
    ACH_UNKNOWN = "the clearing house has a transfer that the bank does not know"
    ACH_TRACE = "bank and clearing house have different trace numbers"
    ACH_AMOUNT = "bank and clearing house have different amounts"
    ACH_STATE = "bank and clearing house disagree on how it ended"
    PROJECTION_LOST = "an account has postings and no projected balance"
    PROJECTION_UNKNOWN = "a projected balance of an account without postings"
    PROJECTION = "an account's projected balance or position is not the posted one"
    ACCOUNT_NOT_OPEN = "a customer's account is not in the books"
    ACCOUNT_WITHOUT_CUSTOMER = "an account in the books belongs to nobody"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing on which two stores, or a store and a rule, disagree."""

    kind: Kind
    ids: Mapping[str, str]
    """What it is about: transfer_id, event_id, account_id …"""
    expected: Any
    actual: Any

    def to_json(self) -> dict[str, Any]:
        """Return it as the report has it."""
        return {
            "kind": self.kind.name,
            "what": self.kind.value,
            "ids": dict(self.ids),
            "expected": self.expected,
            "actual": self.actual,
        }


@dataclass(slots=True)
class Findings:
    """What was looked at, and the differences: all counted, some of each kind named."""

    checked: Counter[str] = field(default_factory=Counter[str])
    counts: Counter[Kind] = field(default_factory=Counter[Kind])
    named: list[Difference] = field(default_factory=list[Difference])

    @property
    def ok(self) -> bool:
        """True when there is no difference."""
        return not self.counts

    def add(self, kind: Kind, expected: Any, actual: Any, **ids: object) -> None:
        """Count a difference, and name it while there are not too many of its kind."""
        self.counts[kind] += 1
        if self.counts[kind] <= SAMPLES_MAX:
            known = {name: str(value) for name, value in ids.items() if value is not None}
            self.named.append(Difference(kind, known, _plain(expected), _plain(actual)))

    def add_rows(self, kind: Kind, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows with `expected`, `actual`, `total` (of which the rows are a part) and ids."""
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
    """Return a value that JSON can write without losing a digit."""
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
