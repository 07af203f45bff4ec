"""The accounts of others that a customer has paid before; the statements that post write them."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from services.chassis.batching import Batcher, BatchLimits
from services.chassis.postgres import Queries
from services.transfers.state import BookTransfer


class BeneficiaryStore:
    """The known beneficiaries in the schema `transfers` of the Write DB."""

    def __init__(self, pool: asyncpg.Pool, sql: Queries, limits: BatchLimits) -> None:
        self._pool = pool
        self._sql = sql
        self._questions = Batcher(self._are_known, limits)

    async def is_new(self, transfer: BookTransfer) -> bool:
        """Return whether the payer has never paid the account of this transfer."""
        return not await self._questions.submit(transfer)

    async def _are_known(self, transfers: Sequence[BookTransfer]) -> list[bool]:
        rows: list[Any] = await self._pool.fetch(
            self._sql.known_beneficiaries,
            [transfer.customer_id for transfer in transfers],
            [transfer.destination_account_id for transfer in transfers],
        )
        known = {row["number"] for row in rows}
        return [number in known for number in range(1, len(transfers) + 1)]
