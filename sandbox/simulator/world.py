"""One world: the bank, its partners, its customers and its bad luck, all out of one seed.

`run` lets the operations happen, then lets the weather clear and everything come to rest, and then
compares everything with everything.
"""

import asyncio
import uuid
from collections.abc import Collection, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from asyncpg.pgproto.pgproto import UUID as StoredUUID

from sandbox.partners.ach.routing_numbers import known_banks
from sandbox.simulator import bank, pumps
from sandbox.simulator.bank import Method, Service, Slot
from sandbox.simulator.books import Books
from sandbox.simulator.broker import Broker
from sandbox.simulator.chance import Chance, Fault, Point
from sandbox.simulator.checker import Checker
from sandbox.simulator.clearing_house import ClearingHouse
from sandbox.simulator.clients import Clients, Person
from sandbox.simulator.database import Database, Handler, taught
from sandbox.simulator.lead import Lead
from sandbox.simulator.loop import Stalled, VirtualLoop
from sandbox.simulator.notices import deliver
from sandbox.simulator.outbox import Outbox
from sandbox.simulator.partner_lines import OUTAGE_S
from sandbox.simulator.payments_tables import PaymentsTables
from sandbox.simulator.processes import SKEW_S, Process
from sandbox.simulator.stand_ins import stand_ins
from sandbox.simulator.transfers_tables import CustomersTables, TransfersTables
from sandbox.simulator.waits import DAY_S, SKEW_S_MAX, Waits
from services.chassis.postgres import Queries, load_queries

TRAFFIC_DAYS = 3
BURST = 40
"""Operations that come within a few seconds."""

BURST_S = 4.0
QUIET_DAYS_MAX = 40
PEOPLE = 24
OUTAGES = 4_000_000
"""Entities of outages begin here."""

SERVICES = Path(bank.__file__).parents[2] / "services"

STARTS = (
    datetime(2026, 3, 5, 14, 0, tzinfo=UTC),
    datetime(2026, 10, 30, 13, 0, tzinfo=UTC),
    datetime(2026, 12, 23, 16, 0, tzinfo=UTC),
    datetime(2026, 6, 17, 1, 0, tzinfo=UTC),
    datetime(2026, 9, 14, 12, 0, tzinfo=UTC),
)
"""Before New York's changes of clock, before holidays, and on a plain Monday."""

_START, _BURST_AT, _AT, _SKEW, _BACK, _CRASH_AT, _FROZEN = range(90, 97)


@dataclass(frozen=True, slots=True)
class Statements:
    """What each pool understands."""

    payments: dict[str, Handler]
    transfers: dict[str, Handler]
    outbox: dict[str, Handler]
    customers: dict[str, Handler]


@dataclass(frozen=True, slots=True)
class Sqls:
    """Production's statements."""

    payments: Queries
    transfers: Queries
    relay: Queries
    customers: Queries

    @classmethod
    def load(cls) -> "Sqls":
        """Read production's files."""
        files = (SERVICES / name / "sql" / "queries.sql" for name in cls.__slots__)
        return cls(*map(load_queries, files))


@cache
def _sqls() -> Sqls:
    """Read production's files once a process."""
    return Sqls.load()


class World:
    """Everything that there is."""

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
        self.chance = Chance(seed, allowed)
        self.start = STARTS[self.chance.pick(len(STARTS), _START, 0)]
        self._start_s = self.start.timestamp()
        self._operations = operations
        self._tracing = tracing
        self.trace: list[str] = []
        self._drawn = 0
        self.outside = Process(self.loop, "outside", 0, 0.0)
        self.checker = Checker(self)
        self.numbers: dict[str, int] = {}
        """Transfer -> the operation that wanted it."""
        self.waits = Waits(self)
        self.lead = Lead(self)
        self._build_stores()
        self.house = ClearingHouse(self)
        self._open_accounts()
        self.clients = Clients(self)
        self.processes = 0
        self.notices_under_way = 0
        self._outages: dict[int, bool] = {}

    def _build_stores(self) -> None:
        self.queries = _sqls()
        self.database = Database()
        self.books = Books(self.database, self.checker)
        self.outbox = Outbox(self.database, self.lead)
        self.payments = PaymentsTables(self.database, self.books, self.outbox, self, self.now)
        self.book_transfers = TransfersTables(self.database, self.books, self.outbox, self.now)
        self.customers = CustomersTables(self.database)
        self.broker = Broker()
        sqls = self.queries
        self.statements = Statements(
            payments=dict(taught(sqls.payments, self.payments)),
            transfers=dict(taught(sqls.transfers, self.book_transfers)),
            outbox=dict(taught(sqls.relay, self.outbox)),
            customers={sqls.customers.apply_positions: self.customers.apply_positions},
        )

    def _open_accounts(self) -> None:
        self.banks = sorted(known_banks())[:3]
        self.people: list[Person] = []
        self.owner: dict[uuid.UUID, uuid.UUID] = {}
        self.frozen: set[uuid.UUID] = set()
        for number in range(PEOPLE):
            shard = number * 7 % 64
            person = Person(self.new_id(shard), (self.new_id(shard), self.new_id(shard)))
            self.people.append(person)
            for place, account_id in enumerate(person.accounts):
                # The first few are poor: their customers often ask for more than there is.
                cents = (2_000, 100_000)[place] if number < 6 else 5_000_000
                self.owner[account_id] = person.customer_id
                self.books.seed(account_id, "USD", cents)
                self.checker.opened(cents)
        self.frozen.add(self.people[-1].accounts[1])

    def _defect(self, error: BaseException) -> None:
        """Take what nobody caught in a callback."""
        self.checker.fail("a callback never fails", repr(error))

    # Time and ids.

    def wall_s(self) -> float:
        """Return the true time, in seconds since the epoch."""
        return self._start_s + self.loop.now_s

    def now(self) -> datetime:
        """Return the true time."""
        return self.start + timedelta(seconds=self.loop.now_s)

    def process_now(self) -> datetime:
        """Return the time as the running process's clock has it."""
        return self.start + timedelta(seconds=self.loop.now_s + SKEW_S.get())

    def _process_wall_s(self) -> float:
        return self.wall_s() + SKEW_S.get()

    def new_id(self, shard: int | None = None) -> uuid.UUID:
        """Return a UUIDv7 of this moment, different from all before.

        It is of the class in which asyncpg hands ids to production: a UUID that costs less.
        """
        self._drawn += 1
        milliseconds = int(self.wall_s() * 1000)
        low = self._drawn << 6 | (self._drawn * 37 % 64 if shard is None else shard)
        number = milliseconds << 80 | 7 << 76 | 2 << 62 | low
        return StoredUUID(number.to_bytes(16, "big"))

    def note(self, text: str, *facts: object) -> None:
        """Write a line of the trace, if one is wanted."""
        if self._tracing:
            day, second = divmod(self.loop.now_s, DAY_S)
            at = timedelta(seconds=round(second, 3))
            self.trace.append(f"day {int(day)} {str(at)[:11]:>11}  " + text % facts)

    # Processes.

    def watch(self, process: Process, work: Coroutine[Any, Any, Any]) -> None:
        """Run what must never end while its process lives."""

        def ended(task: "asyncio.Task[Any]") -> None:
            if process.alive and not task.cancelled():
                self.checker.fail("background work never ends", process.name, task.exception())

        process.spawn(work).add_done_callback(ended)

    def _service(self, name: str, count: int) -> Service:
        return Service([self._slot(name, number) for number in range(count)])

    def _slot(self, name: str, number: int) -> Slot:
        self.processes += 1
        entity = 1_000_000 + self.processes * 1000
        skew_s = self.chance.between(-SKEW_S_MAX, SKEW_S_MAX, _SKEW, number)
        slot = Slot(Process(self.loop, f"{name}/{number}", entity, skew_s))
        slot.methods = self._started(name, slot.process, number)
        slot.process.slot = (slot, name, number)
        return slot

    def _started(self, name: str, process: Process, number: int) -> dict[str, Method]:
        start = {
            "payments": bank.start_payments,
            "transfers": bank.start_transfers,
            "relay": bank.start_relay,
            "router": pumps.start_router,
            "sinks": pumps.start_sinks,
            "projection": pumps.start_projection,
        }[name]
        return start(self, process, number)

    async def crash(self, process: Process, when: str) -> None:
        """Kill a process; another takes its place, and what it was doing never goes on."""
        self.kill(process, when)
        await process.gone()

    def kill(self, process: Process, when: str) -> None:
        """Kill a process and let another take its place a little later."""
        if not process.alive:
            return
        self.note("%s is killed %s", process.name, when)
        process.crash()
        self.lead.killed(process)
        delay_s = self.chance.between(0.3, 8, _BACK, process.entity)
        self.loop.call_later(delay_s, self._replace, process)

    def _replace(self, process: Process) -> None:
        slot, name, number = process.slot
        following = Process(self.loop, process.name, process.entity + 1, process.skew_s)
        following.slot = process.slot
        slot.process = following
        slot.methods = self._started(name, following, number)
        self.note("%s is back", following.name)

    def leased(self, until: datetime) -> None:
        """Take that a lease ends at an instant."""
        self.waits.leased(until)

    def kept(self) -> None:
        """Take that a notice is kept."""
        self.waits.kept()

    def stepped(self, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        """Take a step of a transfer."""
        if before is None:
            self.numbers[str(after["transfer_id"])] = int(after["idempotency_key"][1:])
        self.checker.stepped(before, after)

    # Partners.

    def outage(self) -> bool:
        """Say whether the clearing house cannot be reached in these ten minutes."""
        window = OUTAGES + int(self.loop.now_s / OUTAGE_S)
        if window not in self._outages:
            self._outages[window] = self.chance.strikes(Point.ACH_OUTAGE, window)
        return self._outages[window]

    async def deliver(self, body: bytes, header: str) -> tuple[int | None, str]:
        """Carry a notice of the clearing house to the bank."""
        return await deliver(self, body, header)

    def customers_of(self, book: dict[str, Any]) -> tuple[uuid.UUID, uuid.UUID]:
        """Return payer and payee of a book transfer."""
        return book["customer_id"], book["destination_customer_id"]

    # The run.

    def run(self) -> None:
        """Live through everything; what is wrong is in `checker.found`."""
        times = (self._process_wall_s, self.loop.time, self.process_now)
        with stand_ins(*times, self.new_id, self.seed):
            try:
                self.loop.run(self._live())
            except Stalled:
                self.checker.fail("something can always happen", "nothing is due any more")
            finally:
                self.house.close()

    async def _live(self) -> None:
        self.payments_service = self._service("payments", 2)
        self.transfers_service = self._service("transfers", 1)
        self.relays = self._service("relay", 2)
        for name in ("router", "sinks", "projection"):
            self._service(name, 1)
        self.watch(self.outside, self.house.live())
        misfortunes = self.loop.create_task(self._misfortunes())
        await self._operate()
        await misfortunes
        self.chance.is_calm = True
        await self._come_to_rest()

    async def _operate(self) -> None:
        """Begin every operation at its time, and wait until all have ended."""
        times = sorted((self._begins_at(number), number) for number in self._operations)
        begun: list[asyncio.Task[Any]] = []
        for at_s, number in times:
            await asyncio.sleep(max(0.0, at_s - self.loop.now_s))
            begun.append(self.outside.spawn(self.clients.operate(number), number))
        for task in begun:
            await task

    def _begins_at(self, number: int) -> float:
        return self._burst_at(number // BURST) + self.chance.between(0, BURST_S, _AT, number)

    def _burst_at(self, burst: int) -> float:
        return self.chance.pick(int(TRAFFIC_DAYS * DAY_S), _BURST_AT, burst)

    async def _misfortunes(self) -> None:
        """Kill and freeze workers while transfers are under way."""
        bursts = sorted({number // BURST for number in self._operations})
        for at_s, burst in sorted((self._burst_at(burst), burst) for burst in bursts):
            await asyncio.sleep(max(0.0, at_s - self.loop.now_s))
            for slot in (*self.payments_service.slots, *self.relays.slots):
                self._strike(slot, burst)

    def _strike(self, slot: Slot, burst: int) -> None:
        process, chance = slot.process, self.chance
        place = process.entity // 1000 % 100 * 10_000 + burst
        at_s = chance.between(0, BURST_S, _CRASH_AT, place)
        if chance.strikes(Point.PROCESS_CRASH, place):
            self.loop.call_later(at_s, lambda: self.kill(slot.process, "at a random moment"))
        if chance.strikes(Point.PROCESS_PAUSE, place):
            seconds = chance.between(5, 200, _FROZEN, place)
            self.note("%s freezes for %.0f s", process.name, seconds)
            self.loop.call_later(at_s, lambda: slot.process.freeze(seconds))

    async def _come_to_rest(self) -> None:
        for _ in range(QUIET_DAYS_MAX * 4):
            await asyncio.sleep(DAY_S / 4)
            self.house.settle_everything()
            if self._is_at_rest():
                await asyncio.sleep(DAY_S)
                self.checker.finish()
                return
        self.checker.fail("everything comes to rest", f"not in {QUIET_DAYS_MAX} days")
        self.checker.finish()

    def _is_at_rest(self) -> bool:
        tables = self.payments
        return (
            self.house.is_idle()
            and not self.notices_under_way
            and not tables.pending
            and not tables.kept
            and not self.outbox.waiting
        )
