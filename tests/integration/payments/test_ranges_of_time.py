"""A list of interbank transfers is limited to a range of time."""

import uuid
from datetime import timedelta

from services.kernel.clock import utc_now
from services.kernel.time_range import ANY_TIME, TimeRange
from services.payments.rows import Lease
from services.payments.state import State
from services.payments.store import Store
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import LedgerBank


async def test_a_list_has_the_transfers_created_in_its_range(store: Store, bank: LedgerBank):
    holder = await bank.open_holder(1_000)
    lease = Lease("test", utc_now() + timedelta(minutes=1))
    made = [(await debit(store, order_of(holder), lease))[0] for _ in range(4)]

    async def listed(created: TimeRange, state: State | None) -> list[uuid.UUID]:
        found = await store.transfers_of_account(
            holder.customer_id,
            holder.account_id,
            state=state,
            created=created,
            cursor=None,
            rows=10,
        )
        return [transfer.transfer_id for transfer in found]

    ids = [transfer.transfer_id for transfer in reversed(made)]
    middle = made[2].create_time
    for state in (None, State.DEBITED):
        assert await listed(ANY_TIME, state) == ids
        assert await listed(TimeRange(middle), state) == ids[:2]
        assert await listed(TimeRange(time_to=middle), state) == ids[2:]
        assert await listed(TimeRange(middle, middle), state) == []
    assert await listed(ANY_TIME, State.FAILED) == []
