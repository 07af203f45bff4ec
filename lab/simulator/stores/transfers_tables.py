"""The schema `transfers` in memory: a method for each statement of services/transfers/sql."""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import asyncpg
from bp.event.v1 import topics_pb2

from lab.simulator.stores.books import Books, Leg
from lab.simulator.stores.database import Database, Row, sqlstate_of
from lab.simulator.stores.declines_table import DeclineCounts, Hours
from lab.simulator.stores.known_table import KnownBeneficiaries
from lab.simulator.stores.outbox import Outbox
from services.contracts.topics import topic
from services.kernel.ids import shard_of
from services.transfers.store import DeclineRow, Request

_TOPIC = topic(topics_pb2.TRANSFERS).name

Key = tuple[int, uuid.UUID, str]
_COLUMNS = (
    "transfer_id",
    "account_id",
    "destination_customer_id",
    "destination_account_id",
    "currency",
    "amount",
    "memo",
    "create_time",
    "response",
)
"""The columns of a book transfer that a request has under the same name."""


def _key(request: Request) -> Key:
    return (shard_of(request.customer_id), request.customer_id, request.idempotency_key)


class TransfersTables:
    """Book transfers. `keys` has the fingerprint and the transfer of each key of both services, and
    `hours` counts the declined orders of both."""

    def __init__(
        self,
        database: Database,
        books: Books,
        outbox: Outbox,
        keys: dict[Key, tuple[bytes, uuid.UUID]],
        hours: Hours,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._books = books
        self._outbox = outbox
        self._now = now
        self.made: dict[uuid.UUID, Row] = {}
        self.keys = keys
        self.known = KnownBeneficiaries(database)
        self._counts = DeclineCounts(database, hours)

    def post_book_transfer(self, *values: Any) -> Sequence[Row]:
        """Write key, transfer, postings and event in one transaction."""
        request = Request(*values)
        row: Row = {name: getattr(request, name) for name in _COLUMNS}
        key = _key(request)
        if key in self.keys:
            return self.replay(request.customer_id, request.idempotency_key, request.fingerprint)
        transfer_id = request.transfer_id
        self._database.put(self.keys, key, (request.fingerprint, transfer_id))
        self._database.put(self.made, transfer_id, row | {"customer_id": request.customer_id})
        legs = (
            Leg(row["account_id"], None, row["currency"], -row["amount"]),
            Leg(row["destination_account_id"], None, row["currency"], row["amount"]),
        )
        positions = self._books.post(transfer_id, "BOOK_TRANSFER", transfer_id, legs)
        event = (
            request.event_id,
            "bp.transfers.v1.BookTransferPosted",
            transfer_id,
            request.event_payload,
            request.traceparent,
        )
        self._outbox.append(_TOPIC, row["account_id"], event, positions, self._now())
        if request.customer_id != request.destination_customer_id:
            self.known.note((request.customer_id, request.destination_account_id), transfer_id)
        return [{"verdict": "POSTED", "response": row["response"]}]

    def post_book_transfers(self, requests: Sequence[Request]) -> Sequence[Row]:
        """Post, replay or refuse each of several transfers independently."""
        first: dict[Key, uuid.UUID] = {}
        return [self._post_or_refuse(request, first) for request in requests]

    def _post_or_refuse(self, request: Request, first: dict[Key, uuid.UUID]) -> Row:
        key, transfer_id = _key(request), request.transfer_id
        row: Row = {"transfer_id": transfer_id, "verdict": None, "response": None, "refusal": None}
        if first.setdefault(key, transfer_id) != transfer_id and key not in self.keys:
            return row
        try:
            with self._database.savepoint():
                made = row | self.post_book_transfer(*request)[0]
        except asyncpg.PostgresError as refusal:
            return row | {"verdict": "REFUSED", "refusal": sqlstate_of(refusal)}
        # The caller already has the answer of a new transfer. Only a replay returns one.
        return made | {"response": None} if made["verdict"] == "POSTED" else made

    def known_beneficiaries(self, *columns: Sequence[Any]) -> Sequence[Row]:
        """Return the numbers of the accounts that the customers have paid before."""
        return self.known.numbers(zip(*columns, strict=True))

    def held_keys(self, _customer_ids: Sequence[uuid.UUID], _keys: Sequence[str]) -> Sequence[Row]:
        """Return no keys: each simulated statement ends before the next one begins."""
        return [{"held_keys": []}]

    def replay(
        self, customer_id: uuid.UUID, idempotency_key: str, fingerprint: bytes
    ) -> Sequence[Row]:
        """Return the result of an idempotency key. The verdict is NULL if the key is unused."""
        held = self.keys.get((shard_of(customer_id), customer_id, idempotency_key))
        if held is None:
            return [{"verdict": None, "response": None}]
        held_for, transfer_id = held
        if held_for != fingerprint:
            return [{"verdict": "REUSED", "response": None}]
        return [{"verdict": "REPLAYED", "response": self.made[transfer_id]["response"]}]

    def decline_group(self, orders: Sequence[DeclineRow], recorded_max: int) -> Sequence[Row]:
        """Record declined orders and write their events."""
        return [
            {"decline_id": order.decline_id, "outcome": self._decline(order, recorded_max)}
            for order in orders
        ]

    def _decline(self, order: DeclineRow, recorded_max: int) -> str:
        known = (order.customer_id, order.order_id, order.reason)
        outcome = self._counts.outcome(known, order.decline_time, recorded_max)
        if outcome == "RECORDED":
            event_type = "bp.transfers.v1.BookTransferDeclined"
            event = (order.event_id, event_type, order.decline_id, order.payload, order.traceparent)
            self._outbox.append(_TOPIC, order.account_id, event, [], self._now())
        return outcome

    def drop_old_declines(self) -> Sequence[Any]:
        """Do nothing: no simulated world lasts for five years."""
        return []

    def transfer(self, _shard: int, transfer_id: uuid.UUID) -> Sequence[Row]:
        """Return one transfer by its id."""
        row = self.made.get(transfer_id)
        return [row] if row is not None else []

    def transfers_of_account(
        self, _shard: int, account_id: uuid.UUID, cursor: uuid.UUID, rows: int, *bounds: Any
    ) -> Sequence[Row]:
        """Return a page of the transfers that an account paid, newest first."""
        first_id, start, end = bounds
        found = [
            row
            for row in self.made.values()
            if row["account_id"] == account_id
            and first_id <= row["transfer_id"] < cursor
            and start <= row["create_time"] < end
        ]
        return sorted(found, key=lambda row: row["transfer_id"], reverse=True)[:rows]

    def forget_keys(self, _rows_max: int) -> Sequence[Any]:
        """Forget nothing: no simulated world lasts for 400 days."""
        return [{"forget_keys": 0}]

    def ensure_partitions(self) -> Sequence[Any]:
        """Do nothing: only PostgreSQL has partitions."""
        return []
