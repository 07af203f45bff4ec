"""Puts the floor in payments' place and payments back: `async with floor_in_place(stand, …)`."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from sandbox.bench.floor import DATABASE
from sandbox.bench.scratch import scratch_database
from sandbox.bench.stand import Stand
from sandbox.bench.stand_in import in_place_of

PLACE = "payments"
BALANCE = 1_000_000_00


@asynccontextmanager
async def floor_in_place(stand: Stand, account_ids: Sequence[uuid.UUID]) -> AsyncGenerator[int]:
    """Stop payments and serve the floor on its socket; gives the floor's pid."""
    async with scratch_database(stand, DATABASE):
        await _open_accounts(stand, account_ids)
        async with in_place_of(stand, PLACE, "sandbox.bench.floor") as pid:
            yield pid


async def _open_accounts(stand: Stand, account_ids: Sequence[uuid.UUID]) -> None:
    connection = await stand.connect(DATABASE)
    try:
        amounts = [BALANCE] * len(account_ids)
        await connection.execute(
            "SELECT ledger.seed_accounts($1::uuid[], $2::bigint[])", list(account_ids), amounts
        )
    finally:
        await connection.close()
