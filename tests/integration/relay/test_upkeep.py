"""The relay's upkeep keeps pace with the ledger, whatever it posts between two rounds."""

import pytest

from services.relay import upkeep
from services.relay.metrics import Metrics
from services.relay.upkeep import Upkeep
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.stores import PostgresStore


async def test_one_round_folds_all_internal_amounts(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round folded one statement's rows, and a busy ledger posts more than that."""
    monkeypatch.setattr(upkeep, "ROLL_UP_ROWS_MAX", 2)
    bank, pool = LedgerBank(postgres), await postgres.pool("bp_relay")
    write = await bank.superuser("bp_write")

    async def pending() -> int:
        count: int | None = await write.fetchval("SELECT count(*) FROM ledger.internal_pending")
        assert count is not None
        return count

    try:
        for cents in range(1, 6):
            await bank.open_holder(cents)
        assert await pending() >= 5
        await Upkeep(pool, Metrics(), 1.0).roll_up()
        assert await pending() < 2
    finally:
        await pool.close()
        await bank.close()
