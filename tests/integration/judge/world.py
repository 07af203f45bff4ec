"""A small bank with transfers in every state, created by the bank's own code on real stores.

Events about logins are written here, as the auth service leaves them after it has published them.
"""

import asyncio
import itertools
import json
import uuid
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
from bp.auth.v1.auth_events_pb2 import AuthEvent
from bp.mesh.v1.mesh_events_pb2 import MeshEvent

from ops.judge.stores import Stores
from services.chassis import postgres
from services.contracts.topics import topic_of
from services.kernel.clock import utc_now
from services.kernel.ids import new_id, shard_of
from services.kernel.money import Money
from services.notifications.state import Device
from services.payments import mapping
from services.payments.rows import Lease
from services.payments.state import DEBIT, Event
from services.payments.store import Store
from services.payments.transfer import (
    Beneficiary,
    Fact,
    InterbankTransferOrder,
    Transfer,
    after,
    debited,
)
from services.transfers import mapping as book_mapping
from services.transfers.state import BookTransfer, BookTransferOrder
from services.transfers.store import Store as BookStore
from tests.integration.judge.partners import ClearingHouse, PushService
from tests.integration.judge.sessions import Sessions
from tests.rigs import sample_events
from tests.rigs.ledger_bank import Holder, LedgerBank
from tests.rigs.push_service import register_device
from tests.rigs.stores import KafkaStore, PostgresStore

OPENING = 10_000_00
VICTIMS = 36
_amounts = itertools.count(1001)


@dataclass
class Victims:
    """Transfers without differences; a plant removes the transfer that it changes from its list."""

    submitted: list[Transfer] = field(default_factory=list[Transfer])
    failed: list[Transfer] = field(default_factory=list[Transfer])
    debited: list[Transfer] = field(default_factory=list[Transfer])
    book: list[BookTransfer] = field(default_factory=list[BookTransfer])


@dataclass
class World:
    """The stores, and methods that create transfers in them."""

    cluster: PostgresStore
    broker: KafkaStore
    ach: ClearingHouse
    push: PushService
    payments: asyncpg.Pool
    transfers: asyncpg.Pool
    sessions: Sessions
    mesh_history: Path
    bank: LedgerBank = field(init=False)
    victims: Victims = field(default_factory=Victims)

    def __post_init__(self) -> None:
        self.bank = LedgerBank(self.cluster)
        self._store = Store(self.payments)
        self._books = BookStore(self.transfers)

    @property
    def stores(self) -> Stores:
        """The stores as the judge reads them, with the judge's role."""

        async def connect(database: str) -> asyncpg.Connection:
            return await postgres.connect(
                self.cluster.database("bp_judge", database), "judge", 60_000
            )

        return Stores(
            connect,
            self.broker.bootstrap,
            self.ach.control,
            self.push.control,
            self.sessions.judges_client,
            self.mesh_history,
        )

    async def owner(self, database: str, *, lawless: bool = False) -> asyncpg.Connection:
        """Connect to a database as superuser; `lawless` disables all triggers."""
        connection = await self.bank.superuser(database)
        role = "replica" if lawless else "origin"
        await connection.execute(f"SET session_replication_role = {role}")
        return connection

    async def holder(self, cents: int = OPENING) -> Holder:
        """Open a customer with an account, a projected opening balance and a device."""
        holder = await self.bank.open_holder(cents)
        if cents:
            customers = await self.owner("bp_customers")
            await customers.execute(
                "INSERT INTO customers.balance VALUES ($1, 'USD', $2, 1)", holder.account_id, cents
            )
        notifications = await self.owner("bp_notifications")
        await register_device(notifications, _device(holder))
        return holder

    async def debit(self, holder: Holder | None = None, *, fraud_review: bool = False) -> Transfer:
        """Run the saga's first step: a transfer in DEBITED whose submission had no answer."""
        holder = holder or await self.holder()
        order = _order(holder, next(_amounts))
        transfer = debited(
            order, new_id(shard_of(order.account_id)), fraud_review=fraud_review, now=utc_now()
        )
        event = mapping.event_out(transfer, DEBIT.event_type, new_id())
        await self._store.debit(order, transfer, event, _lease())
        await self._asked_in_vain(transfer)
        return transfer

    async def reviewed(self) -> Transfer:
        """Make a transfer that a reviewer cleared, with the event of the decision."""
        transfer = await self.debit(fraud_review=True)
        reviewer = await self.cluster.session("bp_reviewer")
        try:
            decide = "SELECT payments.decide_review($1, 'CLEARED', 'eva', 'known payee')"
            await reviewer.execute(decide, transfer.transfer_id)
        finally:
            await reviewer.close()
        (review,) = [one async for one in self._store.unreported_reviews()]
        event = mapping.review_event(review, transfer, new_id(shard_of(transfer.transfer_id)))
        assert await self._store.report_review(review, event)
        return transfer

    async def unknown(self) -> Transfer:
        """Make a transfer whose outcome is unknown."""
        transfer = await self.step(await self.debit(), Event.TIMED_OUT)
        await self._asked_in_vain(transfer)
        return transfer

    async def _asked_in_vain(self, transfer: Transfer) -> None:
        """Record an attempt without answer, as a worker does: the saga waits for the partner."""
        write = await self.owner("bp_write")
        await write.execute(
            "UPDATE payments.interbank_transfer SET attempts = 1 WHERE transfer_id = $1",
            transfer.transfer_id,
        )

    async def step(self, transfer: Transfer, event: Event, **came_along: Any) -> Transfer:
        """One further step of the saga."""
        moved, transition = after(transfer, Fact(event, **came_along), utc_now())
        response = None if transition.frees_key else mapping.response_bytes(moved)
        saved, _ = await self._store.advance(
            moved,
            transition,
            mapping.event_out(moved, transition.event_type, new_id()),
            _lease(),
            response=response,
        )
        assert saved
        return replace(moved)

    async def submitted(self, account: str = "123456") -> Transfer:
        """Make a transfer that the clearing house accepted."""
        transfer = await self.debit()
        key, amount = str(transfer.transfer_id), transfer.amount.minor_units
        trace = self.ach.submit(key, amount, account)
        return await self.step(transfer, Event.ACCEPTED, trace_number=trace)

    async def failed(self) -> Transfer:
        """Make a transfer that the clearing house refused."""
        return await self.step(await self.debit(), Event.RECALLED, reason="ACH_REFUSED")

    async def cancelled(self) -> Transfer:
        """Make a transfer cancelled after a timeout; the clearing house keeps a tombstone."""
        transfer = await self.step(await self.unknown(), Event.CANCEL_ASKED)
        self.ach.network.cancel(str(transfer.transfer_id))
        return await self.step(transfer, Event.RECALLED)

    async def book(self, payer: Holder | None = None) -> BookTransfer:
        """Make a book transfer between two customers."""
        payer = payer or await self.holder()
        payee = await self.holder(0)
        transfer = BookTransfer(
            transfer_id=new_id(shard_of(payer.account_id)),
            customer_id=payer.customer_id,
            account_id=payer.account_id,
            destination_customer_id=payee.customer_id,
            destination_account_id=payee.account_id,
            amount=Money(next(_amounts), "USD"),
            memo="",
            create_time=utc_now(),
        )
        order = _book_order(transfer)
        event = book_mapping.event_out(transfer, order, new_id())
        await self._books.post(order, transfer, b"answer", event)
        return transfer

    async def login_stored(self, event: AuthEvent, *, waits: bool = False) -> str:
        """Write an event about logins to the outbox of auth only; return its id."""
        auth = await self.owner("bp_auth")
        fact = getattr(event, event.WhichOneof("event") or "")
        await auth.execute(
            "INSERT INTO auth.event (event_id, key, event_type, subject, payload, traceparent,"
            " publish_time) VALUES ($1, $2, $3, $4, $5, '', $6)",
            uuid.UUID(event.metadata.event_id),
            uuid.UUID(sample_events.key_of(event)),
            fact.DESCRIPTOR.full_name,
            uuid.UUID(event.metadata.aggregate_id),
            event.SerializeToString(),
            None if waits else utc_now(),
        )
        return event.metadata.event_id

    async def login_sent(self, event: AuthEvent) -> str:
        """Write an event about logins to its topic only; return its id."""
        topic = topic_of(AuthEvent).name
        await asyncio.to_thread(sample_events.write, self.broker.bootstrap, topic, [event])
        return event.metadata.event_id

    async def logins(self) -> None:
        """Make every event about logins of a customer, with two locks, and one of a stranger."""
        holder, at = await self.holder(), utc_now()
        facts = [*sample_events.LOGINS, "login_locked"]
        events = [sample_events.login(fact, str(holder.customer_id), at) for fact in facts]
        for event in (*events, sample_events.login("login_failed", "")):
            await self.login_stored(event)
            await self.login_sent(event)

    def revision_kept(self, number: int, *, published: bool = True) -> MeshEvent:
        """Write a revision of the mesh's configuration with its event; return the event."""
        events, event = self.mesh_history / "events", sample_events.revision(number)
        events.mkdir(exist_ok=True)
        (self.mesh_history / str(number)).mkdir()
        (events / f"{number}.pb").write_bytes(event.SerializeToString())
        if published:
            mark = {"number": number, "event_id": event.metadata.event_id}
            (events / "published.json").write_text(json.dumps(mark))
        return event

    async def revision_sent(self, event: MeshEvent) -> str:
        """Write an event of a revision to its topic; return its id."""
        topic = topic_of(MeshEvent).name
        await asyncio.to_thread(sample_events.write, self.broker.bootstrap, topic, [event])
        return event.metadata.event_id

    async def revisions(self) -> None:
        """Make revisions with their events; one is sent twice, as after a lost mark."""
        for number in (1, 2, 3):
            await self.revision_sent(self.revision_kept(number))
        await self.revision_sent(event := self.revision_kept(4))
        await self.revision_sent(event)

    async def fill(self) -> None:
        """Make transfers in every state, including settled and returned ones, and logins."""
        await self.logins()
        await self.revisions()
        await self.sessions.fill()
        settled = [await self.submitted() for _ in range(2)]
        returned = await self.submitted("0000009901")
        late = await self.submitted("0000008802")
        self.ach.pass_banking_days(8)
        for transfer in settled:
            await self.step(transfer, Event.COMPLETED)
        await self.step(returned, Event.RETURNED, return_code="R01")
        completed = await self.step(late, Event.COMPLETED)
        await self.step(completed, Event.RETURNED, return_code="R02")
        await self.cancelled()
        await self.unknown()
        await self.reviewed()
        victims = self.victims
        victims.submitted = [await self.submitted() for _ in range(VICTIMS)]
        victims.failed = [await self.failed() for _ in range(3)]
        victims.debited = [await self.debit() for _ in range(5)]
        victims.book = [await self.book() for _ in range(9)]

    async def close(self) -> None:
        """Close the connections of the bank."""
        await self.bank.close()


def _device(holder: Holder) -> Device:
    return Device(holder.customer_id, device_of(holder.customer_id), "es")


def device_of(customer_id: uuid.UUID) -> str:
    """Return the registration token of a customer's only device."""
    return f"device-{customer_id}"


def _lease() -> Lease:
    return Lease("payments/0", utc_now() + timedelta(minutes=10))


def _book_order(transfer: BookTransfer) -> BookTransferOrder:
    return BookTransferOrder(
        customer_id=transfer.customer_id,
        account_id=transfer.account_id,
        destination_account_id=transfer.destination_account_id,
        amount=transfer.amount,
        memo=transfer.memo,
        idempotency_key=str(uuid.uuid4()),
        fingerprint=bytes(32),
        correlation_id="request-1",
        traceparent="",
        admit_time=transfer.create_time,
    )


def _order(holder: Holder, cents: int) -> InterbankTransferOrder:
    return InterbankTransferOrder(
        customer_id=holder.customer_id,
        account_id=holder.account_id,
        amount=Money(cents, "USD"),
        beneficiary=Beneficiary("Bo Rivera", "021000021", "123456", "CHECKING"),
        memo="rent",
        idempotency_key=str(uuid.uuid4()),
        fingerprint=bytes(32),
        correlation_id=str(uuid.uuid4()),
        traceparent="",
    )
