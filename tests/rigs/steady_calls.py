"""Steady calls of one customer while the mesh changes: reads through customers, and payments."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ops.waiting import until
from sandbox.client import Answer, BankClient, Customer

READ_PAUSE_S = 0.02
PAY_PAUSE_S = 0.2


@dataclass
class Calls:
    """The answers so far."""

    reads: list[Answer] = field(default_factory=list[Answer])
    payments: list[Answer] = field(default_factory=list[Answer])

    @property
    def failed(self) -> list[Answer]:
        """The answers that are no success."""
        return [each for each in (*self.reads, *self.payments) if each.status != 200]

    async def more(self, count: int = 50) -> None:
        """Wait until there are some more reads, and a payment more."""
        reads, payments = len(self.reads) + count, len(self.payments) + 1

        async def enough() -> bool:
            return len(self.reads) >= reads and len(self.payments) >= payments

        await until(enough, 60, "no calls come back")


@asynccontextmanager
async def steady_calls(bank: BankClient) -> AsyncGenerator[Calls]:
    """Call all the time until the end of the block; no call is cut off."""
    customer = await bank.customer(1_000_000_00)
    calls, stop = Calls(), asyncio.Event()
    tasks = [
        asyncio.create_task(_read(bank, customer, calls, stop)),
        asyncio.create_task(_pay(bank, customer, calls, stop)),
    ]
    try:
        await calls.more(10)
        yield calls
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def _read(bank: BankClient, customer: Customer, calls: Calls, stop: asyncio.Event) -> None:
    while not stop.is_set():
        calls.reads.append(await bank.call("GET", "/v1/accounts", token=customer.token))
        await asyncio.sleep(READ_PAUSE_S)


async def _pay(bank: BankClient, customer: Customer, calls: Calls, stop: asyncio.Event) -> None:
    while not stop.is_set():
        calls.payments.append(await bank.pay(customer, 10_00))
        await asyncio.sleep(PAY_PAUSE_S)
