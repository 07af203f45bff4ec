"""Customers who pay during a fault: each order is retried with its key until it is accepted.

All refusals are kept, so that a test can check what a caller sees of a fault.
"""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from ops.waiting import scaled_s, until
from tests.rigs.running_bank import Answer, Bank, Customer

PAUSE_S = 0.05
REPEAT_S = 0.25
MINOR_UNITS = 1_00
CLEAR = {
    (503, "DEPENDENCY_UNAVAILABLE"),
    (503, "ACH_UNAVAILABLE"),
    (504, "DEADLINE_EXCEEDED"),
    (409, "REQUEST_IN_PROGRESS"),
    (409, "ACCOUNT_BUSY"),
}
"""The only refusals that a caller may get. Each advises a retry."""


@dataclass
class Payer:
    """One customer, the opening balance and the accepted transfers."""

    customer: Customer
    before: int
    taken: list[str] = field(default_factory=list[str])


@dataclass
class Load:
    """Customers who pay during a fault, and the refusals that they got."""

    bank: Bank
    payers: list[Payer]
    refusals: Counter[tuple[int, str]] = field(default_factory=Counter[tuple[int, str]])
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def taken(self) -> list[str]:
        """Every accepted transfer."""
        return [one for payer in self.payers for one in payer.taken]

    async def more(self, count: int, within_s: float = 60) -> None:
        """Wait until `count` more orders are accepted."""
        wanted = len(self.taken) + count

        async def there() -> bool:
            return len(self.taken) >= wanted

        await until(there, within_s, f"{count} more orders are accepted; refused: {self.refusals}")

    async def refused(self, within_s: float = 30) -> None:
        """Wait until one more order is refused."""
        before = self.refusals.total()

        async def there() -> bool:
            return self.refusals.total() > before

        await until(there, within_s, "an order is refused")

    def assert_clear(self) -> None:
        """Require that every refusal advised a retry."""
        assert set(self.refusals) <= CLEAR, self.refusals

    async def assert_whole(self, within_s: float = 60) -> None:
        """Require one audit record for each event, and the correct balance of each payer."""
        taken = self.taken
        assert len(taken) == len(set(taken))
        sql = (
            "SELECT subject, array_agg(event_type ORDER BY event_type) AS facts"
            " FROM audit.record WHERE subject = ANY($1) GROUP BY 1"
        )

        async def recorded() -> bool:
            rows = await self.bank.rows("bp_audit", sql, taken)
            facts = [[one.rpartition(".")[2] for one in row["facts"]] for row in rows]
            return facts == [["TransferDebited", "TransferSubmitted"]] * len(taken)

        await until(
            recorded, within_s, "each transfer has one record as debited and one as submitted"
        )
        for payer in self.payers:
            paid = payer.before - len(payer.taken) * MINOR_UNITS
            assert await self.bank.posted(payer.customer) == paid

    async def pay_on(self, payer: Payer) -> None:
        """Pay until stopped."""
        while not self.stop.is_set():
            key = str(uuid.uuid4())
            while (answer := await self._asked(payer, key)).status != 200:
                self.refusals[answer.status, answer.reason] += 1
                await asyncio.sleep(REPEAT_S)
            payer.taken.append(answer.body["transferId"])
            await asyncio.sleep(PAUSE_S)

    async def _asked(self, payer: Payer, key: str) -> Answer:
        return await self.bank.pay(payer.customer, MINOR_UNITS, key=key)


@contextlib.asynccontextmanager
async def load(bank: Bank, payers: int = 4) -> AsyncGenerator[Load]:
    """Let customers pay during the block. Afterwards, wait for the orders in flight."""
    customers = [await bank.customer() for _ in range(payers)]
    paying = Load(bank, [Payer(one, await bank.posted(one)) for one in customers])
    tasks: list[asyncio.Task[Any]] = [
        asyncio.create_task(paying.pay_on(payer)) for payer in paying.payers
    ]
    try:
        await paying.more(payers)
        yield paying
    except BaseException:
        for task in tasks:
            task.cancel()
        raise
    paying.stop.set()
    async with asyncio.timeout(scaled_s(60)):
        await asyncio.gather(*tasks)
