"""The schema `payments` in memory: a method for each statement of services/payments/sql.

Each returns what payments.debit, payments.advance and the plain statements return, with the same
order of checks. A test runs the real Store on both and compares the results.
"""

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import asyncpg
from bp.event.v1 import topics_pb2

from lab.simulator.stores.books import Books, Leg
from lab.simulator.stores.database import Database, Row, sqlstate_of
from lab.simulator.stores.known_table import KnownBeneficiaries
from lab.simulator.stores.leases import Leases
from lab.simulator.stores.notices_table import WorkWatch, notice_row
from lab.simulator.stores.outbox import Outbox
from lab.simulator.stores.reviews_table import ReviewsTable
from lab.simulator.stores.transfer_rows import TIMES, row_of_debit
from services.contracts.topics import topic
from services.kernel.ids import shard_of
from services.payments.rows import DebitOrder, PlainStep

PENDING = frozenset({"DEBITED", "OUTCOME_UNKNOWN", "CANCELLING"})
"""States of the index interbank_transfer_due."""

UNSETTLED = frozenset({"SUBMITTED"})
"""States of the index interbank_transfer_unsettled."""

NEVER = datetime.max.replace(tzinfo=UTC)
"""PostgreSQL's infinity, as asyncpg reads it."""

_TOPIC = topic(topics_pb2.PAYMENTS).name

Key = tuple[int, uuid.UUID, str]


class StepWatch(Protocol):
    """Receives each step of a transfer after its commit."""

    def stepped(self, before: Row | None, after: Row) -> None:
        """Handle a transfer's row before and after a step. At the debit, the row before is None."""
        ...


class PaymentsTables(ReviewsTable):
    """Transfers and keys. The base classes have reviews, declined orders, notices and checks."""

    def __init__(
        self,
        database: Database,
        books: Books,
        outbox: Outbox,
        steps: StepWatch,
        work: WorkWatch,
        now: Callable[[], datetime],
    ) -> None:
        super().__init__(database, outbox, work, now)
        self._steps = steps
        self._books = books
        self.keys: dict[Key, tuple[bytes, uuid.UUID]] = {}
        self.known = KnownBeneficiaries(database)
        self.pending = Leases(database, PENDING)
        self.unsettled = Leases(database, UNSETTLED)

    def debit(self, *values: Any) -> Sequence[Row]:
        """Make step 2 of the saga: write key, debit, transfer and event."""
        order = DebitOrder(*values)
        outcome, existing = self._debit(order)
        return [
            {"transfer_id": order.transfer_id, "outcome": outcome, "existing_transfer_id": existing}
        ]

    def debit_each(self, orders: Sequence[DebitOrder]) -> Sequence[Row]:
        """Make or refuse step 2 of each of several sagas independently."""
        first: dict[Key, uuid.UUID] = {}
        return [self._debit_or_refuse(order, first) for order in orders]

    def _debit_or_refuse(self, order: DebitOrder, first: dict[Key, uuid.UUID]) -> Row:
        """Return a row of payments.debit_each.

        The first order of the batch with a key owns that key. If it is refused, a later order with
        the same key must be sent again.
        """
        row: Row = {"transfer_id": order.transfer_id, "outcome": None}
        row |= {"existing_transfer_id": None, "refusal": None}
        key: Key = (shard_of(order.account_id), order.customer_id, order.idempotency_key)
        transfer_id = order.transfer_id
        if first.setdefault(key, transfer_id) != transfer_id and key not in self.keys:
            return row
        try:
            with self._database.savepoint():
                outcome, existing = self._debit(order)
        except asyncpg.PostgresError as refusal:
            return row | {"outcome": "REFUSED", "refusal": sqlstate_of(refusal)}
        return row | {"outcome": outcome, "existing_transfer_id": existing}

    def _debit(self, order: DebitOrder) -> tuple[str, uuid.UUID | None]:
        row = row_of_debit(order)
        key: Key = (shard_of(row["account_id"]), row["customer_id"], row["idempotency_key"])
        held = self.keys.get(key)
        if held is not None:
            return self.outcome_of_key(held, order.fingerprint)
        self._database.put(self.keys, key, (order.fingerprint, row["transfer_id"]))
        positions = self._books.debit_to_internal(
            order.transaction_id,
            "INTERBANK_DEBIT",
            row["transfer_id"],
            (row["account_id"], row["currency"], row["amount"]),
            "ACH_CLEARING",
        )
        event_type = "bp.payments.v1.TransferDebited"
        self._append(row, order.event_id, event_type, order.payload, positions)
        self._write(None, row)
        self.note_review(row)
        beneficiary = (order.customer_id, order.routing_number, order.account_number)
        self.known.note(beneficiary, order.transfer_id)
        return "DEBITED", None

    @staticmethod
    def outcome_of_key(held: tuple[bytes, uuid.UUID], fingerprint: bytes) -> tuple[str, uuid.UUID]:
        """Return the result of a request whose key is already used."""
        held_for, transfer_id = held
        return "EXISTING" if held_for == fingerprint else "REUSED", transfer_id

    def advance(self, *values: Any) -> Sequence[Row]:
        """Make a later step: write state, posting, event, key and notice."""
        transfer_id, version, state, _, _, _, update_time, lease_until = values[:8]
        posting, transaction_id, event_id, event_type, payload, frees = values[8:14]
        response, notice, requester, owner = values[14:]
        changes = (*values[2:8], response, requester or "CUSTOMER", owner)
        moved = self._move(transfer_id, version, changes)
        if moved is None:
            return [{"advanced": False, "accepted_response": None}]
        positions = self._post(posting, transaction_id, moved)
        self._append(moved, event_id, event_type, payload, positions)
        if frees and self.is_unanswered(moved):
            self._free_key(moved)
        if notice is not None and notice in self.notices:
            self._set_notice(notice, "APPLIED")
        self.note_state(transfer_id, state, update_time, lease_until)
        return [{"advanced": True, "accepted_response": moved["accepted_response"]}]

    def advance_group(self, steps: Sequence[PlainStep], owners: Sequence[str]) -> Sequence[Row]:
        """Make several later steps that post nothing."""
        taken: list[Row] = []
        for step, owner in zip(steps, owners, strict=True):
            changes = (
                step.next_state,
                step.trace_number,
                step.failure_reason,
                step.return_code,
                step.update_time,
                step.lease_until,
                step.response,
                "CUSTOMER",
                owner,
            )
            moved = self._move(step.transfer_id, step.expected_version, changes)
            if moved is not None:
                self._append(moved, step.event_id, step.event_type, step.payload, [])
                answer = moved["accepted_response"]
                taken.append({"event_id": step.event_id, "accepted_response": answer})
        return taken

    def is_unanswered(self, row: Row) -> bool:
        """Return whether no answer was given under a transfer's key."""
        return row["accepted_response"] is None

    def is_at(self, row: Row, version: int) -> bool:
        """Return whether a transfer still has the version at which a step began."""
        return row["version"] == version

    def _move(self, transfer_id: uuid.UUID, version: int, changes: Sequence[Any]) -> Row | None:
        row = self.transfers.get(transfer_id)
        if row is None or not self.is_at(row, version):
            return None
        state, trace, failure, return_code, update_time, lease_until = changes[:6]
        response, requester, owner = changes[6:]
        kept = row["accepted_response"]
        moved = {
            **row,
            "state": state,
            "version": row["version"] + 1,
            "trace_number": trace,
            "failure_reason": failure,
            "return_code": return_code,
            "update_time": update_time,
            "lease_owner": owner,
            "lease_until": lease_until,
            "attempts": 0,
            "accepted_response": response if kept is None else kept,
        }
        if state == "CANCELLING":
            moved["cancel_requester"] = requester
        if column := TIMES.get(state):
            moved[column] = row[column] or update_time
        self._write(row, moved)
        return moved

    def _post(self, posting: str | None, transaction_id: uuid.UUID, row: Row) -> list[Row]:
        held = (row["account_id"], row["currency"], row["amount"])
        books, transfer_id = self._books, row["transfer_id"]
        match posting:
            case "REFUND_FROM_CLEARING":
                return books.credit_from_internal(
                    transaction_id, "INTERBANK_REFUND", transfer_id, held, "ACH_CLEARING"
                )
            case "REFUND_FROM_SETTLEMENT":
                return books.credit_from_internal(
                    transaction_id, "INTERBANK_RETURN", transfer_id, held, "SETTLEMENT"
                )
            case "SETTLE":
                legs = (
                    Leg(None, "ACH_CLEARING", row["currency"], -row["amount"]),
                    Leg(None, "SETTLEMENT", row["currency"], row["amount"]),
                )
                return books.post(transaction_id, "INTERBANK_SETTLE", transfer_id, legs)
            case _:
                return []

    def _append(
        self, row: Row, event_id: uuid.UUID, event_type: str, payload: bytes, positions: list[Row]
    ) -> None:
        event = (event_id, event_type, row["transfer_id"], payload, row["traceparent"])
        self._outbox.append(_TOPIC, row["account_id"], event, positions, self._now())

    def _free_key(self, row: Row) -> None:
        key: Key = (shard_of(row["account_id"]), row["customer_id"], row["idempotency_key"])
        _, holder = self.keys.get(key, (b"", None))
        if holder == row["transfer_id"]:
            self._database.drop(self.keys, key)

    def _write(self, before: Row | None, after: Row) -> None:
        self._lease(after)
        if after["trace_number"] and (before is None or before["trace_number"] is None):
            self._database.put(self.traces, after["trace_number"], after["transfer_id"])
        if before is None or before["version"] != after["version"]:
            self._database.tell(self._steps.stepped, before, after)

    def _lease(self, after: Row) -> None:
        transfer_id = after["transfer_id"]
        self._database.put(self.transfers, transfer_id, after)
        self.unsettled.keep(transfer_id, after["state"], after["lease_until"])
        if self.pending.keep(transfer_id, after["state"], after["lease_until"]):
            self._database.tell(self._work.leased, after["lease_until"])

    def transfer(self, _shard: int, transfer_id: uuid.UUID) -> Sequence[Row]:
        """Return one transfer by its id."""
        row = self.transfers.get(transfer_id)
        return [row] if row is not None else []

    def transfers_by_trace(self, trace_number: str) -> Sequence[Row]:
        """Return the transfer to which the clearing house gave a trace number."""
        found = self.traces.get(trace_number)
        return [self.transfers[found]] if found is not None else []

    def transfers_of_account(
        self, _shard: int, account: uuid.UUID, customer: uuid.UUID, cursor: uuid.UUID, *more: Any
    ) -> Sequence[Row]:
        """Return a page of an account's transfers, newest first."""
        first_id, start, end, rows = more
        found = [
            row
            for row in self.transfers.values()
            if (row["account_id"], row["customer_id"]) == (account, customer)
            and first_id <= row["transfer_id"] < cursor
            and start <= row["create_time"] < end
        ]
        return sorted(found, key=lambda row: row["transfer_id"], reverse=True)[:rows]

    def transfers_of_account_in_state(
        self, shard: int, account: uuid.UUID, customer: uuid.UUID, cursor: uuid.UUID, *more: Any
    ) -> Sequence[Row]:
        """Return a page of an account's transfers that are in a state, newest first."""
        *bounds, state, rows = more
        page = (cursor, *bounds, len(self.transfers))
        found = self.transfers_of_account(shard, account, customer, *page)
        return [row for row in found if row["state"] == state][:rows]

    def find_keys(
        self, shards: Sequence[int], customer_ids: Sequence[uuid.UUID], keys: Sequence[str]
    ) -> Sequence[Row]:
        """Return the transfers and the fingerprints of the idempotency keys that are in use."""
        rows: list[Row] = []
        for number, key in enumerate(zip(shards, customer_ids, keys, strict=True), start=1):
            if key in self.keys:
                fingerprint, transfer_id = self.keys[key]
                rows.append(
                    {"number": number, "transfer_id": transfer_id, "fingerprint": fingerprint}
                )
        return rows

    def known_beneficiaries(self, *columns: Sequence[Any]) -> Sequence[Row]:
        """Return the numbers of the beneficiaries that the customers have paid before."""
        return self.known.numbers(zip(*columns, strict=True))

    def held_keys(self, _customer_ids: Sequence[uuid.UUID], _keys: Sequence[str]) -> Sequence[Row]:
        """Return no keys: each simulated statement ends before the next one begins."""
        return [{"held_keys": []}]

    def keep_response(self, _shard: int, transfer_id: uuid.UUID, response: bytes) -> Sequence[Row]:
        """Store an answer, unless there is one already or the transfer has failed."""
        row = self.transfers.get(transfer_id)
        if row is None or (row["state"] == "FAILED" and self.is_unanswered(row)):
            return []
        if self.is_unanswered(row):
            row = {**row, "accepted_response": response}
            self._database.put(self.transfers, transfer_id, row)
        return [{"accepted_response": row["accepted_response"]}]

    def claim_due(self, owner: str, until: datetime, now: datetime, rows_max: int) -> Sequence[Row]:
        """Claim pending transfers whose lease has ended."""
        return self._claim(self.pending, owner, until, now, rows_max)

    def claim_unsettled(
        self, owner: str, until: datetime, now: datetime, rows_max: int
    ) -> Sequence[Row]:
        """Claim submitted transfers for which no notice came in time."""
        return self._claim(self.unsettled, owner, until, now, rows_max)

    def _claim(
        self, leases: Leases, owner: str, until: datetime, now: datetime, rows_max: int
    ) -> Sequence[Row]:
        claimed: list[Row] = []
        for transfer_id in leases.over(now)[:rows_max]:
            row = self.transfers[transfer_id]
            leased = {
                **row,
                "lease_owner": owner,
                "lease_until": until,
                "attempts": row["attempts"] + 1,
            }
            self._lease(leased)
            claimed.append(leased)
        return claimed

    def put_aside(
        self,
        _shard: int,
        transfer_id: uuid.UUID,
        version: int,
        notice_id: str,
        kind: str,
        trace_number: str,
    ) -> Sequence[Row]:
        """Store a contradiction for manual review, unless the transfer has changed since."""
        row = self.transfers.get(transfer_id)
        if row is None or row["version"] != version:
            return []
        self._lease({**row, "lease_until": NEVER})
        if notice_id not in self.notices:
            notice = (notice_id, kind, trace_number, transfer_id, "", "CONFLICT")
            self._database.put(self.notices, notice_id, notice_row(*notice))
        return [{"notice_id": notice_id}]

    def release_leases(self, owner: str, now: datetime, *kept: Any) -> Sequence[Any]:
        """End the leases of a slot, except those of a range of time and of running transfers."""
        for row in [self.transfers[one] for one in self.pending.until if one not in kept[2]]:
            is_kept = kept[1] and kept[0] < row["lease_until"] <= kept[1]
            if row["lease_owner"] == owner and not is_kept:
                self._lease({**row, "lease_until": now})
        return [{"held": 0}]

    def renew_lease(
        self, _shard: int, transfer_id: uuid.UUID, version: int, owner: str, until: datetime
    ) -> Sequence[Any]:
        """Extend a worker's lease, unless another worker has claimed or changed the transfer."""
        row = self.transfers.get(transfer_id)
        if row is None or row["version"] != version or row["lease_owner"] not in {owner, ""}:
            return []
        self._lease({**row, "lease_owner": owner, "lease_until": until})
        return [{"renewed": True}]

    def postpone(
        self, shard: int, transfer_id: uuid.UUID, version: int, until: datetime, owner: str
    ) -> Sequence[Any]:
        """Set the time of the next retry of a transfer that no other worker has claimed."""
        if self.renew_lease(shard, transfer_id, version, owner, until):
            self._lease({**self.transfers[transfer_id], "lease_owner": ""})
        return []

    def ensure_partitions(self) -> Sequence[Any]:
        """Do nothing: only PostgreSQL has partitions."""
        return []
