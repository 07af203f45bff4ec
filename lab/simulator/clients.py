"""Customers who pay: they retry with the same key, click twice, cancel, retry days later, and
wrongly reuse keys, even for a different kind of transfer.

The number of an operation determines what it does. Therefore it does the same when a run omits
other operations.
"""

import asyncio
import uuid
from dataclasses import dataclass

from bp.payments.v1 import payments_service_pb2 as payments_pb
from bp.transfers.v1 import transfers_service_pb2 as transfers_pb
from bp.type.v1.account_ref_pb2 import AccountRef, AccountType
from bp.type.v1.money_pb2 import Money

from lab.simulator.checker import Checker
from lab.simulator.context import Context
from lab.simulator.machine import Service
from lab.simulator.ports.calls import Answer, Calls
from lab.simulator.processes import ENTITY
from lab.simulator.stores.people import People, Person
from sandbox.partners.ach.routing_numbers import known_banks
from sandbox.partners.ach.triggers import RETURN_CODES

BANKS = 3
"""Banks of the beneficiaries."""

_KIND, _CUSTOMER, _ACCOUNT, _AMOUNT, _SMALL, _BANK = range(50, 56)
_ENDING, _HABIT, _TO, _PAUSE = range(56, 60)
_CODES = sorted(RETURN_CODES)


@dataclass(frozen=True, slots=True)
class Payment:
    """One intended transfer under one key."""

    number: int
    """Number of the operation."""
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


class Clients:
    """All operations of a world."""

    def __init__(
        self,
        context: Context,
        people: People,
        checker: Checker,
        payments: Service,
        transfers: Service,
    ) -> None:
        self._context = context
        self._pick = context.randomness.pick
        self._people = people.all
        self._checker = checker
        self._payments = payments
        self._transfers = transfers
        self._calls = Calls(context)
        self._banks = sorted(known_banks())[:BANKS]

    async def operate(self, number: int) -> None:
        """Run one operation from its first request to its last."""
        ENTITY.set(number)
        pick = self._pick
        customer = self._people[pick(len(self._people), _CUSTOMER, number)]
        if pick(100, _KIND, number) < 12:
            await self._pay_inside(number, customer, f"b{number}")
            return
        habit = pick(100, _HABIT, number)
        payment = Payment(number, customer, self._order(number, customer))
        if habit < 8:
            first, _ = await asyncio.gather(self._insist(payment), self._insist(payment))
        elif 60 <= habit < 66:
            first, _ = await asyncio.gather(
                self._insist(payment), self._pay_inside(number, customer, payment.key)
            )
        else:
            first = await self._insist(payment)
        await self._afterwards(payment, first, habit)

    async def _afterwards(self, payment: Payment, first: Answer, habit: int) -> None:
        number = payment.number
        if 8 <= habit < 14:
            await self._pause(number, 5)
            await self._insist(payment, payment.changed())
        elif 14 <= habit < 20:
            await self._pause(number, 6 * 86_400)
            await self._insist(payment)
        elif 20 <= habit < 32 and first.transfer_id:
            await self._pause(number, 30 if habit < 28 else 12 * 3600)
            await self._cancel(payment, first.transfer_id)
        elif first.refusal is not None and habit < 60:
            # A refusal leaves the key free: the same key with another amount is a new order.
            await self._insist(payment, payment.changed())

    async def _pause(self, number: int, seconds_max: float) -> None:
        randomness = self._context.randomness
        await self._context.loop.pause(randomness.between(0, seconds_max, _PAUSE, number))

    def _order(self, number: int, customer: Person) -> payments_pb.CreateInterbankTransferRequest:
        pick = self._pick
        cents = 1 + pick(20_000, _SMALL, number)
        if pick(20, _AMOUNT, number) == 0:
            cents *= 100
        return payments_pb.CreateInterbankTransferRequest(
            account_id=str(customer.accounts[pick(len(customer.accounts), _ACCOUNT, number)]),
            amount=Money(currency_code="USD", minor_units=cents),
            beneficiary=AccountRef(
                name="Bo Rivera",
                routing_number=self._banks[pick(len(self._banks), _BANK, number)],
                account_number=self._account_number(number),
                account_type=AccountType.CHECKING,
            ),
            memo="rent",
        )

    def _account_number(self, number: int) -> str:
        pick = self._pick
        ending, code = pick(100, _ENDING, number), _CODES[pick(len(_CODES), _TO, number)][1:]
        if ending < 8:
            return f"1234{'99' if ending < 5 else '88'}{code}"
        return "12" if ending < 10 else "12345670"

    async def _pay_inside(self, number: int, customer: Person, key: str) -> None:
        pick, people = self._pick, self._people
        payee = people[pick(len(people), _TO, number)]
        source = customer.accounts[0]
        target = next(one for one in reversed(payee.accounts) if one != source)
        request = transfers_pb.CreateBookTransferRequest(
            account_id=str(source),
            destination_account_id=str(target),
            amount=Money(currency_code="USD", minor_units=1 + pick(200_000, _SMALL, number)),
            memo="rent",
        )
        customer_id = customer.customer_id
        times = 2 if pick(4, _HABIT, number) == 0 else 1
        answers = await asyncio.gather(
            *(
                self._calls.until_told(self._transfers, key, customer_id, "book", request)
                for _ in range(times)
            )
        )
        for answer in answers:
            if answer.refusal is not None and answer.refusal.reason == "IDEMPOTENCY_KEY_REUSED":
                self._checker.key_refused(customer_id, key, -request.amount.minor_units)

    async def _insist(
        self, payment: Payment, request: payments_pb.CreateInterbankTransferRequest | None = None
    ) -> Answer:
        """Retry the order until it is answered, and report the answer to the checker."""
        wanted = request or payment.request
        customer_id = payment.customer.customer_id
        answer = await self._calls.until_told(
            self._payments, payment.key, customer_id, "create", wanted
        )
        cents = wanted.amount.minor_units
        if answer.response is not None:
            asked = (uuid.UUID(wanted.account_id), cents, payment.key)
            body = answer.response.SerializeToString(deterministic=True)
            self._checker.answered(answer.transfer_id, body, asked)
        elif answer.refusal is not None and answer.refusal.reason == "IDEMPOTENCY_KEY_REUSED":
            self._checker.key_refused(customer_id, payment.key, cents)
        return answer

    async def _cancel(self, payment: Payment, transfer_id: str) -> Answer:
        """Request the cancellation of the transfer."""
        request = payments_pb.CancelInterbankTransferRequest(transfer_id=transfer_id)
        customer_id = payment.customer.customer_id
        return await self._calls.until_told(self._payments, "", customer_id, "cancel", request)
