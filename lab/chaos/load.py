"""The load: customers who pay through an app while parts of the bank fail.

Requests arrive at a steady rate, independent of the answers. The app retries each request under the
same idempotency key until it gets a definite answer.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

import aiohttp

from lab.chaos.orders import NO_ANSWER, Meaning, Op, Order
from ops.waiting import scaled_s
from sandbox.client import BO, TOKEN_LIFE_S, BankClient, Customer

PER_S = 10.0
IN_FLIGHT_MAX = 400
CALL_S = 16.0
"""Longer than the gateway's own limit for a call."""
PAUSE_FIRST_S, PAUSE_MAX_S = 0.3, 3.0
RENEW_AFTER_S = TOKEN_LIFE_S / 3
"""New tokens are requested well before the old ones expire, because the provider may be down."""
RENEW_AGAIN_S = 5.0

RICH, POOR = 10, 3
OPENING = {True: 50_000_00, False: 100_00}
OVER = 60_000_00
"""More than any customer has, but less than the limit of one transfer."""

_MIX = {
    Op.INTERBANK: 55,
    Op.BOOK: 20,
    Op.OVER_BALANCE: 6,
    Op.REPLAY: 8,
    Op.OTHER_PAYLOAD: 3,
    Op.CANCEL: 8,
}
_ENDINGS = ("123456", "123456", "123456", "1239901", "1238802")
"""Account numbers of beneficiaries: three settle, one is returned, one is returned late."""
_SURE = frozenset({"SUBMITTED", "COMPLETED", "POSTED"})
"""States from which a transfer can no longer fail, so its key stays taken."""


class Load:
    """Sends requests and keeps a record of each."""

    def __init__(self, bank: BankClient, seed: int) -> None:
        self._bank = bank
        self._dice = random.Random(f"load {seed}")
        self._customers: list[Customer] = []
        self._running: set[asyncio.Task[None]] = set()
        self.orders: list[Order] = []
        self.opened: dict[str, int] = {}
        """Account -> opening balance."""
        self.answers: Counter[str] = Counter()
        self.skipped = 0
        """Requests that were due but not sent, because too many requests were in flight."""

    async def open(self) -> None:
        """Create the customers. The poor ones have too little for several concurrent debits."""
        for rich in (True,) * RICH + (False,) * POOR:
            customer = await self._bank.customer(OPENING[rich])
            self._customers.append(customer)
            self.opened[str(customer.account_id)] = OPENING[rich]

    async def run(self, seconds: float) -> None:
        """Send arrivals for the given time. Requests in flight continue afterwards."""
        end = time.monotonic() + seconds
        renewing = asyncio.create_task(self._renew_tokens())
        try:
            while (left := end - time.monotonic()) > 0:
                if len(self._running) < IN_FLIGHT_MAX:
                    self._start(self._rolled())
                else:
                    self.skipped += 1
                await asyncio.sleep(min(left, self._dice.expovariate(PER_S)))
        finally:
            renewing.cancel()

    async def _renew_tokens(self) -> None:
        """Give every customer a new token from time to time, as an app does."""
        while True:
            await asyncio.sleep(RENEW_AFTER_S)
            for at, customer in enumerate(self._customers):
                self._customers[at] = await self._renewed(customer)

    async def _renewed(self, customer: Customer) -> Customer:
        while True:
            try:
                async with asyncio.timeout(scaled_s(CALL_S)):
                    return await self._bank.renewed(customer)
            except (aiohttp.ClientError, OSError, TimeoutError):
                await asyncio.sleep(RENEW_AGAIN_S)

    def burst(self, count: int) -> None:
        """Send `count` requests at once."""
        for _ in range(count):
            self._start(self._payment(Op.INTERBANK))

    async def one(self) -> Order:
        """Send one payment that will settle. Return it after the first try, even without a definite
        answer."""
        order = self._payment(Op.INTERBANK, rich=True)
        order.beneficiary, order.left_alone = dict(BO), True
        self.orders.append(order)
        await self._try(order)
        if not order.definite:
            self._follow(order)
        return order

    async def state(self, order: Order) -> str:
        """Return the state of a transfer as its customer reads it. Empty: no answer."""
        path = f"/v1/transfers/interbank/{order.taken_as}"
        try:
            async with asyncio.timeout(scaled_s(CALL_S)):
                answer = await self._bank.call("GET", path, self._customer(order).token)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return ""
        return answer.body.get("state", "") if answer.status == 200 else ""

    async def finish(self, timeout_s: float) -> list[Order]:
        """Wait for the requests in flight, and return those that have no definite answer.

        `timeout_s` is the deadline on the documented host. It scales with the host.
        """
        if self._running:
            await asyncio.wait(self._running, timeout=scaled_s(timeout_s))
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        return [order for order in self.orders if not order.definite]

    def submitted(self, count: int) -> list[str]:
        """Return the ids of the newest transfers whose answer was SUBMITTED."""
        known = [o for o in self.orders if o.op is Op.INTERBANK and o.taken_state == "SUBMITTED"]
        return [order.taken_as for order in known[-count:]]

    def _start(self, order: Order) -> None:
        self.orders.append(order)
        self._follow(order)

    def _follow(self, order: Order) -> None:
        task = asyncio.create_task(self._until_definite(order))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _until_definite(self, order: Order) -> None:
        pause_s = PAUSE_FIRST_S
        while await self._try(order) is Meaning.AGAIN:
            await asyncio.sleep(pause_s * self._dice.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, PAUSE_MAX_S)

    async def _try(self, order: Order) -> Meaning:
        order.begun_s = order.begun_s or time.monotonic()
        status, reason, body = await self._send(order)
        found = order.hear(status, reason, body.get("transferId", ""), body.get("state", "POSTED"))
        word = {Meaning.TAKEN: body.get("state", "POSTED")}.get(found, reason)
        self.answers[f"{order.op}: {status or 'no answer'} {word}".strip()] += 1
        if found is not Meaning.AGAIN:
            order.ended_s = time.monotonic()
        return found

    async def _send(self, order: Order) -> tuple[int, str, dict[str, Any]]:
        try:
            async with asyncio.timeout(scaled_s(CALL_S)):
                answer = await self._call(order)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return NO_ANSWER, "", {}
        body = answer.body if isinstance(answer.body, dict) else {}
        return answer.status, "" if answer.status < 300 else answer.reason, body

    async def _call(self, order: Order) -> Any:
        customer = self._customer(order)
        if order.op is Op.CANCEL:
            path = f"/v1/transfers/interbank/{order.about}:cancel"
            return await self._bank.call("POST", path, customer.token, {})
        body: dict[str, Any] = {
            "accountId": order.account_id,
            "amount": {"currencyCode": "USD", "minorUnits": str(order.amount)},
        }
        if order.destination_account_id:
            path = "/v1/transfers/internal"
            body["destinationAccountId"] = order.destination_account_id
        else:
            path = "/v1/transfers/interbank"
            body |= {"beneficiary": dict(order.beneficiary), "memo": "rent"}
        headers = {"Idempotency-Key": order.key}
        return await self._bank.call("POST", path, customer.token, body, headers)

    def _customer(self, order: Order) -> Customer:
        return next(c for c in self._customers if str(c.customer_id) == order.customer_id)

    def _rolled(self) -> Order:
        (op,) = self._dice.choices(list(_MIX), list(_MIX.values()))
        if op in (Op.INTERBANK, Op.BOOK, Op.OVER_BALANCE):
            return self._payment(op)
        known = [o for o in self.orders[-200:] if o.taken_as and _repeatable(o, op)]
        if not known:
            return self._payment(Op.INTERBANK)
        return _about(self._dice.choice(known), op)

    def _payment(self, op: Op, *, rich: bool = False) -> Order:
        payer = self._dice.choice(self._customers[: RICH if rich else None])
        amount = OVER if op is Op.OVER_BALANCE else self._dice.randint(1_00, 60_00)
        order = Order(
            op,
            str(uuid.UUID(int=self._dice.getrandbits(128), version=4)),
            str(payer.customer_id),
            str(payer.account_id),
            amount,
        )
        if op is Op.BOOK or (op is Op.OVER_BALANCE and self._dice.random() < 0.5):
            order.destination_account_id = str(self._other(payer).account_id)
        else:
            order.beneficiary = BO | {"accountNumber": self._dice.choice(_ENDINGS)}
        return order

    def _other(self, payer: Customer) -> Customer:
        others: Sequence[Customer] = [c for c in self._customers if c is not payer]
        return self._dice.choice(others)


def _repeatable(order: Order, op: Op) -> bool:
    """Return whether a replay or a cancellation of an order has exactly one correct answer."""
    if order.left_alone:
        return False
    if op is Op.CANCEL:
        return order.op is Op.INTERBANK
    return order.op in (Op.INTERBANK, Op.BOOK) and order.taken_state in _SURE


def _about(first: Order, op: Op) -> Order:
    amount = first.amount + (1 if op is Op.OTHER_PAYLOAD else 0)
    again = Order(op, first.key, first.customer_id, first.account_id, amount)
    again.destination_account_id = first.destination_account_id
    again.beneficiary, again.about = first.beneficiary, first.taken_as
    return again
