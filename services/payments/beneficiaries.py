"""The beneficiaries that a customer has paid before; the statements of the debit write them."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from services.chassis.batching import Batcher, BatchLimits
from services.chassis.postgres import Queries
from services.payments.transfer import InterbankTransferOrder


class BeneficiaryStore:
    """The known beneficiaries in the schema `payments` of the Write DB."""

    def __init__(self, pool: asyncpg.Pool, sql: Queries, limits: BatchLimits) -> None:
        self._pool = pool
        self._sql = sql
        self._questions = Batcher(self._are_known, limits)

    async def is_new(self, order: InterbankTransferOrder) -> bool:
        """Return whether the bank has never debited a payment of the customer to this account."""
        return not await self._questions.submit(order)

    async def _are_known(self, orders: Sequence[InterbankTransferOrder]) -> list[bool]:
        rows: list[Any] = await self._pool.fetch(
            self._sql.known_beneficiaries,
            [order.customer_id for order in orders],
            [order.beneficiary.routing_number for order in orders],
            [order.beneficiary.account_number for order in orders],
        )
        known = {row["number"] for row in rows}
        return [number in known for number in range(1, len(orders) + 1)]
