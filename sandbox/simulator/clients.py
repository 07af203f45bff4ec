"""Customers who pay: they retry with the same key, click twice, change their minds, come back days
later, and reuse keys that they should not.

What an operation does follows from its number alone, so an operation does the same whichever others
are left out of the run.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc.aio
from bp.payments.v1 import payments_service_pb2 as payments_pb
from bp.transfers.v1 import transfers_service_pb2 as transfers_pb
from bp.type.v1.account_ref_pb2 import AccountRef, AccountType
from bp.type.v1.money_pb2 import Money

from sandbox.partners.ach.triggers import RETURN_CODES
from sandbox.simulator.chance import Point
from sandbox.simulator.processes import ENTITY
from services.chassis.calls import Call, current_call
from services.chassis.outages import UNREACHABLE
from services.kernel.errors import BankError

if TYPE_CHECKING:
    from sandbox.simulator.bank import Service
    from sandbox.simulator.world import World

TRIES_MAX = 6
FAULTS = (Point.CALL_LOST, Point.CALL_ANSWER_LOST, Point.CALL_SLOW)
DEADLINE_S = 10.0
"""Of CreateInterbankTransfer in its policy."""

_KIND, _CUSTOMER, _ACCOUNT, _AMOUNT, _SMALL, _BANK = range(50, 56)
_ENDING, _HABIT, _TO, _PAUSE, _LATENCY, _WORKER = range(56, 62)
_CODES = sorted(RETURN_CODES)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client was told at last."""

    response: Any = None
    refusal: BankError | None = None

    @property
    def transfer_id(self) -> str:
        """The transfer of a creation, "" if it was refused or never answered."""
        return self.response.transfer.transfer_id if self.response is not None else ""


class Clients:
    """All operations of a world."""

    def __init__(self, world: "World") -> None:
        self._world = world

    async def operate(self, number: int) -> None:
        """Do one operation from its first click to its last."""
        ENTITY.set(number)
        pick = self._world.chance.pick
        if pick(100, _KIND, number) < 12:
            await self._pay_inside(number)
            return
        customer = self._world.people[pick(len(self._world.people), _CUSTOMER, number)]
        request = self._order(number, customer)
        habit = pick(100, _HABIT, number)
        payment = Payment(self, number, customer, request)
        if habit < 8:
            first, _ = await asyncio.gather(payment.insist(), payment.insist())
        else:
            first = await payment.insist()
        await self._afterwards(payment, first, habit)

    async def _afterwards(self, payment: "Payment", first: Answer, habit: int) -> None:
        number = payment.number
        if 8 <= habit < 14:
            await self._pause(number, 5)
            await payment.insist(payment.changed())
        elif 14 <= habit < 20:
            await self._pause(number, 6 * 86_400)
            await payment.insist()
        elif 20 <= habit < 32 and first.transfer_id:
            await self._pause(number, 30 if habit < 28 else 12 * 3600)
            await payment.cancel(first.transfer_id)
        elif first.refusal is not None and habit < 60:
            # A refusal must not burn the key: the same key with another amount is a new wish.
            await payment.insist(payment.changed())

    async def _pause(self, number: int, seconds_max: float) -> None:
        await self._world.loop.pause(self._world.chance.between(0, seconds_max, _PAUSE, number))

    def _order(self, number: int, customer: "Person") -> payments_pb.CreateInterbankTransferRequest:
        pick = self._world.chance.pick
        cents = 1 + pick(20_000, _SMALL, number)
        if pick(20, _AMOUNT, number) == 0:
            cents *= 100
        return payments_pb.CreateInterbankTransferRequest(
            account_id=str(customer.accounts[pick(len(customer.accounts), _ACCOUNT, number)]),
            amount=Money(currency_code="USD", minor_units=cents),
            beneficiary=AccountRef(
                name="Bo Rivera",
                routing_number=self._world.banks[pick(len(self._world.banks), _BANK, number)],
                account_number=self._account_number(number),
                account_type=AccountType.CHECKING,
            ),
            memo="rent",
        )

    def _account_number(self, number: int) -> str:
        pick = self._world.chance.pick
        ending, code = pick(100, _ENDING, number), _CODES[pick(len(_CODES), _TO, number)][1:]
        if ending < 8:
            return f"1234{'99' if ending < 5 else '88'}{code}"
        return "12" if ending < 10 else "12345670"

    async def _pay_inside(self, number: int) -> None:
        pick, people = self._world.chance.pick, self._world.people
        customer = people[pick(len(people), _CUSTOMER, number)]
        payee = people[pick(len(people), _TO, number)]
        source = customer.accounts[0]
        target = next(one for one in reversed(payee.accounts) if one != source)
        request = transfers_pb.CreateBookTransferRequest(
            account_id=str(source),
            destination_account_id=str(target),
            amount=Money(currency_code="USD", minor_units=1 + pick(200_000, _SMALL, number)),
            memo="rent",
        )
        service = self._world.transfers_service
        times = 2 if pick(4, _HABIT, number) == 0 else 1
        await asyncio.gather(
            *(
                self.until_told(service, f"b{number}", customer.customer_id, "book", request)
                for _ in range(times)
            )
        )

    async def until_told(
        self,
        service: "Service",
        key: str,
        customer_id: uuid.UUID,
        method: str,
        request: Any,
    ) -> Answer:
        """Call until there is an answer that no repetition would change."""
        chance, number = self._world.chance, ENTITY.get()
        for attempt in range(TRIES_MAX):
            slot = service.slots[int(chance.between(0, len(service.slots), _WORKER, number))]
            call = self._call(key, customer_id)
            told = await self._once(slot.process.spawn, slot.methods[method], call, request)
            if told is not None and (told.refusal is None or told.refusal.retry_after_s is None):
                return told
            await self._world.loop.pause(chance.between(0.2, 2.0 * 2**attempt, _PAUSE, number))
        return Answer()

    async def _once(
        self,
        spawn: Callable[..., "asyncio.Task[Any]"],
        method: Callable[[Any, Any], Awaitable[Any]],
        call: Call,
        request: Any,
    ) -> Answer | None:
        """Call once; None when no answer came or the bank could not serve now."""
        chance, number = self._world.chance, ENTITY.get()
        await self._world.loop.pause(chance.between(0.001, 0.02, _LATENCY, number))
        fault = chance.which(FAULTS, number)
        if fault is Point.CALL_LOST:
            return None
        if fault is Point.CALL_SLOW:
            await self._world.loop.pause(chance.between(1, 2 * DEADLINE_S, _LATENCY, number))

        async def serve() -> Any:
            current_call.set(call)
            return await method(request, None)

        task = spawn(serve(), number)
        if not await self._ends_in_time(task):
            # As the server's boundary does at the deadline.
            task.cancel()
            return None
        error = task.exception()
        if fault is Point.CALL_ANSWER_LOST:
            return None
        if isinstance(error, BankError):
            return Answer(refusal=error)
        if isinstance(error, (*UNREACHABLE, grpc.aio.AioRpcError)):
            return None
        if error is not None:
            self._world.checker.fail("an answer is never a defect", repr(error))
            return None
        return Answer(task.result())

    async def _ends_in_time(self, task: "asyncio.Task[Any]") -> bool:
        """Wait for a call up to its deadline: asyncio.wait for one task, in fewer steps."""
        loop = self._world.loop
        ended = loop.create_future()

        def end(_: object) -> None:
            if not ended.done():
                ended.set_result(None)

        timer = loop.call_later(DEADLINE_S, end, None)
        task.add_done_callback(end)
        await ended
        timer.cancel()
        return task.done()

    def _call(self, key: str, customer_id: uuid.UUID) -> Call:
        return Call(
            method="",
            caller="gateway",
            subject=str(customer_id),
            scopes=frozenset(),
            idempotency_key=key,
            request_id=f"request-{key}",
            traceparent="",
            metadata={},
            admit_time=self._world.now(),
        )


@dataclass(frozen=True, slots=True)
class Person:
    """A customer with accounts."""

    customer_id: uuid.UUID
    accounts: tuple[uuid.UUID, ...]


@dataclass(frozen=True, slots=True)
class Payment:
    """One intended transfer under one key."""

    clients: Clients
    number: int
    customer: Person
    request: payments_pb.CreateInterbankTransferRequest

    @property
    def key(self) -> str:
        """The Idempotency-Key."""
        return f"k{self.number}"

    def changed(self) -> payments_pb.CreateInterbankTransferRequest:
        """Return the order with another amount."""
        other = payments_pb.CreateInterbankTransferRequest()
        other.CopyFrom(self.request)
        other.amount.minor_units = 1 + self.request.amount.minor_units // 2
        if other.amount.minor_units == self.request.amount.minor_units:
            other.amount.minor_units += 1
        return other

    async def insist(
        self, request: payments_pb.CreateInterbankTransferRequest | None = None
    ) -> Answer:
        """Send the order until it is answered, and let the checker hear the answer."""
        world = self.clients._world  # pyright: ignore[reportPrivateUsage]
        wanted = request or self.request
        answer = await self.clients.until_told(
            world.payments_service, self.key, self.customer.customer_id, "create", wanted
        )
        cents = wanted.amount.minor_units
        if answer.response is not None:
            asked = (uuid.UUID(wanted.account_id), cents, self.key)
            body = answer.response.SerializeToString(deterministic=True)
            world.checker.answered(answer.transfer_id, body, asked)
        elif answer.refusal is not None and answer.refusal.reason == "IDEMPOTENCY_KEY_REUSED":
            world.checker.key_refused(self.customer.customer_id, self.key, cents)
        return answer

    async def cancel(self, transfer_id: str) -> Answer:
        """Ask for the transfer not to be sent."""
        world = self.clients._world  # pyright: ignore[reportPrivateUsage]
        request = payments_pb.CancelInterbankTransferRequest(transfer_id=transfer_id)
        return await self.clients.until_told(
            world.payments_service, "", self.customer.customer_id, "cancel", request
        )
