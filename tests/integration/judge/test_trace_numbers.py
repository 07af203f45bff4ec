"""The judge allows the clearing house to use a trace number again after some time."""

import uuid
from typing import Any, cast

import pytest

from ops.judge.stores import queries
from services.payments.driver import Driver
from services.payments.state import Event
from services.payments.store import Store
from services.payments.traces import UNIQUE_FOR
from services.payments.transfer import Fact
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.stores import PostgresStore

DAYS = UNIQUE_FOR.days


@pytest.mark.parametrize(
    ("ages_days", "doubled"),
    [
        ((0, 0), {0, 1}),
        ((DAYS - 1, 0), {0, 1}),
        ((DAYS + 1, 0), set()),
        ((2 * DAYS + 2, DAYS + 1, 0), set()),
        ((2 * DAYS, DAYS + 1, DAYS, 0), {0, 1, 2}),
        ((2 * DAYS + 9, DAYS, 9), {1, 2}),
    ],
)
async def test_only_transfers_within_75_days_may_not_share_a_trace_number(
    postgres: PostgresStore, ages_days: tuple[int, ...], doubled: set[int]
) -> None:
    bank, pool = LedgerBank(postgres), await postgres.pool("bp_payments", 1)
    store, trace = Store(pool), f"9911{uuid.uuid4().int % 10**11:011d}"
    driver = Driver(store, cast("Any", _NoHouse()), "test/0")
    write = await bank.superuser("bp_write")
    ids: list[uuid.UUID] = []
    for days in ages_days:
        transfer, _ = await debit(store, order_of(await bank.open_holder(5_00)), driver.lease())
        await driver.save(transfer, Fact(Event.ACCEPTED, trace_number=trace))
        ids.append(transfer.transfer_id)
        await write.execute(
            "UPDATE payments.interbank_transfer SET create_time = create_time"
            " - make_interval(days => $2) WHERE transfer_id = $1",
            transfer.transfer_id,
            days,
        )
    rows = await write.fetch(queries("write").traces_doubled, 10_000)
    await write.execute(
        "UPDATE payments.interbank_transfer SET trace_number = transfer_id::text"
        " WHERE transfer_id = ANY ($1)",
        ids,
    )
    found: list[list[str]] = [row["actual"] for row in rows if row["trace_number"] == trace]
    assert found == ([sorted(str(ids[one]) for one in doubled)] if doubled else [])
    await bank.close()
    await pool.close()


class _NoHouse:
    """A clearing house that no test calls."""

    submit = query = recall = None
