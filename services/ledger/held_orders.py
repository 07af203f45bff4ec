"""Orders wait here together, on one connection, while another session holds their rows.

Each round finds the rows that are held. Orders that need none of these rows are executed in
batches; the others wait for the next round. So a held row delays only its own orders, and a stall
of the database does not turn one statement for many orders into many statements.

An order is refused as busy only if a row was held from it, a batch with it met a lock that no round
found, or WAITING_MAX orders wait already. In a slow database orders wait for their turn, at most
until their callers' deadlines.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast

import asyncpg

from services.chassis.batching import Batcher, BatchLimits, own_copy
from services.kernel.errors import AccountBusy
from services.ledger.holds import Holds, Locks

Item = TypeVar("Item")
Result = TypeVar("Result")

HELD = asyncpg.LockNotAvailableError
"""Raised when another session holds a row for longer than a statement may wait."""

NOT_LOOKED = (
    HELD,
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)
"""Raised when a stalled database does not report which rows are held."""

PATIENCE_S = 1.0
"""How long an order waits for held rows before it is refused. Its turn may take longer."""

ROUND_S = 0.075
"""Time between the starts of two rounds."""

ROUND_S_MAX = 0.25
"""How long a round starts batches. The other orders wait for the next round, which finds the rows
that are held by then."""

WAITING_MAX = 1_000
"""The largest number of orders that wait; additional ones are refused."""


class Caller(Protocol):
    """The caller of an order, which gets notice of its progress."""

    abandoned: bool
    """Whether the caller has given up; the order is then not started."""

    def begin(self) -> None:
        """Note that the statement starts."""

    def undone(self) -> None:
        """Note that the statement was rolled back; raise CancelledError if the caller left."""


class _Patient:
    """A caller that needs no notice."""

    abandoned = False

    def begin(self) -> None:
        """Do nothing."""

    def undone(self) -> None:
        """Do nothing."""


PATIENT = _Patient()


@dataclass(slots=True, eq=False)
class WaitingOrder(Generic[Item, Result]):
    """An order that waits, and its result."""

    item: Item
    locks: Locks
    caller: Caller
    since_s: float
    """When it began to wait, on the event loop's clock."""
    together_max: int
    """The largest batch that it may be part of. It is halved when a batch fails, so that an order
    that fails its batch for an unknown reason is finally executed alone."""
    is_key_suspected: bool = True
    """Whether its key may be held: its batch failed, and none of its accounts was held."""
    has_failed: bool = False
    """Whether a batch with it failed, so its rows may be held although no round finds them held."""
    held_since_s: float | None = None
    """When it began to wait for a held row, on the event loop's clock. None while it waits only for
    its turn."""
    is_given_up: bool = False
    is_ended: bool = False
    result: Result | None = None
    error: BaseException | None = None

    def note_held(self, now_s: float) -> None:
        """Note that one of its rows is held, or that its batch, started at `now_s`, failed."""
        if self.held_since_s is None:
            self.held_since_s = now_s

    def note_free(self) -> None:
        """Note that none of its rows was found held."""
        if not self.has_failed:
            self.held_since_s = None

    def is_patient(self, now_s: float) -> bool:
        """Return whether it may wait for another round."""
        return self.held_since_s is None or now_s - self.held_since_s < PATIENCE_S

    def is_over(self, now_s: float) -> bool:
        """Return whether it must not be executed any more."""
        return self.is_given_up or self.caller.abandoned or not self.is_patient(now_s)

    def end(self, result: Result | None = None, error: BaseException | None = None) -> None:
        """Set the result, or the error that the caller gets."""
        self.is_ended, self.result, self.error = True, result, error


def batches(
    orders: Iterable[WaitingOrder[Item, Result]], now_s: Callable[[], float]
) -> Generator[list[WaitingOrder[Item, Result]]]:
    """Yield the orders in batches; skip an order if its caller has given up by then.

    An order that has waited for held rows for `PATIENCE_S` by then is skipped too. `now_s` is the
    time on the event loop's clock; it passes while a batch is executed.
    """
    batch: list[WaitingOrder[Item, Result]] = []
    for order in orders:
        if order.is_over(now_s()):
            continue
        if len(batch) >= min(one.together_max for one in (*batch, order)):
            yield batch
            batch = []
            if order.is_over(now_s()):
                continue
        batch.append(order)
    if batch:
        yield batch


class HeldOrders(Generic[Item, Result]):
    """The waiting orders of one process."""

    def __init__(
        self,
        holds: Holds,
        perform: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        locks_of: Callable[[Item], Locks],
        items_max: int,
    ) -> None:
        """`perform` executes a batch of at most `items_max` orders in one statement.

        It returns one result for each order, or raises LockNotAvailableError without a lock.
        """
        self._holds = holds
        self._perform = perform
        self._locks_of = locks_of
        self._items_max = items_max
        self._rounds = Batcher(self._round, BatchLimits(ROUND_S, WAITING_MAX, 1))
        self.waiting = 0
        """The number of orders that wait."""

    def remembers(self, item: Item) -> bool:
        """Return whether a row of an order was held recently."""
        return self._holds.remembers(self._locks_of(item))

    async def submit(self, item: Item, caller: Caller = PATIENT) -> Result:
        """Execute an order as soon as its rows are free.

        Raises AccountBusy if a row is still held after `PATIENCE_S`, and the errors of `perform`.
        The wait for its turn has no limit of its own: it ends when the caller is cancelled, or in
        the next round after the caller has given up.
        """
        if self.waiting >= WAITING_MAX:
            raise AccountBusy
        now_s = asyncio.get_running_loop().time()
        order: WaitingOrder[Item, Result] = WaitingOrder(
            item, self._locks_of(item), caller, now_s, self._items_max
        )
        self.waiting += 1
        try:
            while not await self._rounds.submit(order):
                caller.undone()
        finally:
            order.is_given_up = True
            self.waiting -= 1
        if order.error is not None:
            raise order.error
        return cast("Result", order.result)

    async def settle(self) -> None:
        """Wait until no batch is being written."""
        await self._rounds.settle()

    async def _round(self, orders: Sequence[WaitingOrder[Item, Result]]) -> list[bool]:
        """Execute the orders with free rows; return for each order whether it has ended."""
        now_s = asyncio.get_running_loop().time
        begin_s = now_s()
        try:
            free = await self._free(orders)
        except NOT_LOOKED as error:
            # The orders wait for the next round. Executing each alone would add statements to a
            # database that is already too slow.
            free = []
            if isinstance(error, HELD):
                for order in orders:
                    order.note_held(begin_s)
        # Orders of failed batches are last, so that an undetected lock does not delay the others.
        # Otherwise the oldest are first, so that new orders do not overtake them again and again.
        free.sort(key=lambda order: (-order.together_max, order.since_s))
        end_s = now_s() + ROUND_S_MAX
        for batch in batches(free, now_s):
            await self._carry_out(batch)
            if now_s() >= end_s:
                break
        for order in orders:
            if not order.is_ended and not order.is_patient(now_s()):
                order.end(error=AccountBusy())
        return [order.is_ended for order in orders]

    async def _free(
        self, orders: Sequence[WaitingOrder[Item, Result]]
    ) -> list[WaitingOrder[Item, Result]]:
        """Return the orders without a row that another session holds."""
        begin_s = asyncio.get_running_loop().time()
        accounts = {account for order in orders for account in order.locks.accounts}
        held = await self._holds.accounts_among(accounts)
        unlocked: list[WaitingOrder[Item, Result]] = []
        for order in orders:
            if held.isdisjoint(order.locks.accounts):
                unlocked.append(order)
            else:
                order.is_key_suspected = False
                order.note_held(begin_s)
        suspected = {order.locks.key for order in unlocked if order.is_key_suspected}
        held_keys = await self._holds.keys_among(suspected)
        free: list[WaitingOrder[Item, Result]] = []
        for order in unlocked:
            if order.locks.key in held_keys:
                order.note_held(begin_s)
            else:
                order.note_free()
                free.append(order)
        return free

    async def _carry_out(self, batch: list[WaitingOrder[Item, Result]]) -> None:
        begin_s = asyncio.get_running_loop().time()
        for order in batch:
            order.caller.begin()
        items = [order.item for order in batch]
        (results,) = await asyncio.gather(self._perform(items), return_exceptions=True)
        if isinstance(results, HELD):
            for order in batch:
                order.is_key_suspected = order.has_failed = True
                order.note_held(begin_s)
                order.together_max = max(1, len(batch) // 2)
        elif isinstance(results, BaseException):
            for order in batch:
                order.end(error=own_copy(results))
        else:
            for order, result in zip(batch, results, strict=True):
                order.end(result)
