"""One world: the bank, its partners, its customers and its faults, all from one seed.

Only `World` builds parts, and gives each the other parts that it needs. `run` runs the operations,
then stops all faults, waits until no work remains, and compares all stores.
"""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime

from lab.simulator.checker import Checker, Watched
from lab.simulator.clients import Clients
from lab.simulator.clock import DAY_S, Clock, Ids
from lab.simulator.context import Context
from lab.simulator.history import History
from lab.simulator.loop import Stalled, VirtualLoop
from lab.simulator.machine import Machine, Service
from lab.simulator.ports.broker import Broker
from lab.simulator.ports.clearing_house import ClearingHouse
from lab.simulator.ports.notices import Notices
from lab.simulator.ports.partner_network import PartnerNetwork
from lab.simulator.ports.relay_leader import RelayLeader
from lab.simulator.processes import Process
from lab.simulator.randomness import Fault, Randomness
from lab.simulator.reviewers import Reviewers
from lab.simulator.services.consumers import Balances, Router, Sinks
from lab.simulator.services.payments import Payments
from lab.simulator.services.relay import Relays
from lab.simulator.services.transfers import Transfers
from lab.simulator.stand_ins import stand_ins
from lab.simulator.stores.books import Books
from lab.simulator.stores.customers_tables import CustomersTables
from lab.simulator.stores.database import Database
from lab.simulator.stores.outbox import Outbox
from lab.simulator.stores.payments_tables import PaymentsTables
from lab.simulator.stores.people import People
from lab.simulator.stores.schema import Schema
from lab.simulator.stores.transfers_tables import TransfersTables
from lab.simulator.traffic import Traffic
from lab.simulator.wakeups import Wakeups

QUIET_DAYS_MAX = 60

STARTS = (
    datetime(2026, 3, 5, 14, 0, tzinfo=UTC),
    datetime(2026, 10, 30, 13, 0, tzinfo=UTC),
    datetime(2026, 12, 23, 16, 0, tzinfo=UTC),
    datetime(2026, 6, 17, 1, 0, tzinfo=UTC),
    datetime(2026, 9, 14, 12, 0, tzinfo=UTC),
)
"""Before changes of daylight saving time in New York, before holidays, and a plain Monday."""

_START = 90


class World:
    """One world with all its parts."""

    def __init__(
        self,
        seed: int,
        operations: Collection[int],
        *,
        allowed: Collection[Fault] | None = None,
        tracing: bool = False,
    ) -> None:
        self.seed = seed
        self.loop = VirtualLoop(self._defect)
        self.randomness = Randomness(seed, allowed)
        self.history = History(self.loop, tracing=tracing)
        self.machine = Machine(self.loop, self.randomness, self.history.note)
        self.context = self._build_context()
        self.checker = Checker(self.context)
        self.wakeups = Wakeups(self.context)
        self.relay_leader = RelayLeader(self.context, self.checker.committed)
        self.machine.death_listeners.append(self.relay_leader.killed)
        self._build_stores()
        self._build_ports()
        self._build_services()
        self.traffic = Traffic(self.context, operations)
        self.checker.watched = Watched(
            self.house, self.books, self.payments, self.book_transfers, self.customers
        )

    def _build_context(self) -> Context:
        clock = Clock(self.loop, STARTS[self.randomness.pick(len(STARTS), _START, 0)])
        return Context(
            loop=self.loop,
            randomness=self.randomness,
            clock=clock,
            new_id=Ids(clock).new_id,
            note=self.history.note,
            fail=self.history.fail,
            crash=self.machine.crash,
        )

    def _build_stores(self) -> None:
        database, now = Database(), self.context.clock.now
        self.books = Books(database, self.checker)
        self.outbox = Outbox(database, self.relay_leader)
        self.payments = PaymentsTables(
            database, self.books, self.outbox, self.checker, self.wakeups, now
        )
        self.book_transfers = TransfersTables(
            database,
            self.books,
            self.outbox,
            self.payments.keys,
            self.payments.declines_of_hour,
            now,
        )
        self.customers = CustomersTables(database)
        self.reviewers = Reviewers(self.context, database, self.payments)
        self.people = People(self.books, self.context.new_id)
        self._schemas = {
            "payments": Schema.of(database, "payments", self.payments),
            "transfers": Schema.of(database, "transfers", self.book_transfers),
            "relay": Schema.of(database, "relay", self.outbox),
            "customers": Schema.of(
                database, "customers", self.customers, only=("apply_positions",)
            ),
        }

    def _build_ports(self) -> None:
        context = self.context
        self.outside = Process(self.loop, "outside", 0, 0.0)
        self.payments_service = Service("payments")
        self.broker = Broker()
        self.notices = Notices(context, self.outside, self.payments_service)
        self.house = ClearingHouse(context, self.notices.deliver, self.checker.house_accepted)
        self.network = PartnerNetwork(context, self.outside, self.house, self.payments.transfers)

    def _build_services(self) -> None:
        context, schemas, checker = self.context, self._schemas, self.checker
        self.transfers_service = Service("transfers")
        self.relays = Service("relay")
        payments = Payments(
            context, schemas["payments"], self.payments, self.people, self.network, self.wakeups
        )
        transfers = Transfers(context, schemas["transfers"], self.people)
        relays = Relays(
            context, schemas["relay"], self.relay_leader, self.broker, checker.published
        )
        balances = Balances(context, self.broker, schemas["customers"])
        self._starts = (
            (self.payments_service, 2, payments.start),
            (self.transfers_service, 1, transfers.start),
            (self.relays, 2, relays.start),
            (Service("router"), 1, Router(context, self.broker).start),
            (Service("sinks"), 1, Sinks(context, self.broker, checker).start),
            (Service("projection"), 1, balances.start),
        )
        self.clients = Clients(
            context, self.people, checker, self.payments_service, self.transfers_service
        )

    @property
    def trace(self) -> list[str]:
        """The lines of the trace. Empty if tracing is off."""
        return self.history.lines

    def _defect(self, error: BaseException) -> None:
        """Report an exception that a callback raised and no code caught."""
        self.history.fail("a callback never fails", repr(error))

    def run(self) -> None:
        """Run the world to its end. `history.broken` then has the broken invariant, or None."""
        clock = self.context.clock
        times = (clock.process_wall_s, self.loop.time, clock.process_now)
        with stand_ins(*times, self.context.new_id, self.seed):
            try:
                self.loop.run(self._live())
            except Stalled:
                self.history.fail("something can always happen", "nothing is due any more")
            finally:
                self.house.close()

    async def _live(self) -> None:
        for service, count, start in self._starts:
            self.machine.start(service, count, start)
        self.context.watch(self.outside, self.house.live())
        self.context.watch(self.outside, self.reviewers.work())
        victims = (*self.payments_service.slots, *self.relays.slots)
        misfortunes = self.loop.create_task(self.traffic.misfortunes(self.machine, victims))
        await self.traffic.operate(self.clients, self.outside)
        await misfortunes
        self.randomness.is_calm = True
        await self._come_to_rest()

    async def _come_to_rest(self) -> None:
        for _ in range(QUIET_DAYS_MAX * 4):
            await asyncio.sleep(DAY_S / 4)
            self.house.settle_everything()
            if self._is_at_rest():
                await asyncio.sleep(DAY_S)
                self.checker.finish()
                return
        self.history.fail("everything comes to rest", f"not in {QUIET_DAYS_MAX} days")
        self.checker.finish()

    def _is_at_rest(self) -> bool:
        tables = self.payments
        return (
            self.house.is_idle()
            and not self.notices.in_flight
            and not tables.pending
            and not tables.kept
            and not tables.in_review
            and not tables.unreported
            and not tables.return_checks
            and not self.outbox.waiting
        )
