"""An order as an app sends it, and its debit."""

import uuid

from services.kernel.clock import utc_now
from services.kernel.ids import new_id, shard_of
from services.kernel.money import Money
from services.payments import mapping
from services.payments.attempt import Attempt
from services.payments.rows import Debit, Lease
from services.payments.state import DEBIT
from services.payments.store import Store
from services.payments.transfer import Beneficiary, InterbankTransferOrder, Transfer, debited
from tests.rigs.ledger_bank import Holder


def order_of(holder: Holder) -> InterbankTransferOrder:
    """One dollar to another bank, under a new key."""
    return InterbankTransferOrder(
        customer_id=holder.customer_id,
        account_id=holder.account_id,
        amount=Money(1_00, "USD"),
        beneficiary=Beneficiary("Bo Rivera", "021000021", "123456", "CHECKING"),
        memo="rent",
        idempotency_key=uuid.uuid4().hex,
        fingerprint=b"f" * 32,
        correlation_id="request-1",
        traceparent="",
    )


async def debit(
    store: Store, order: InterbankTransferOrder, lease: Lease, attempt: Attempt | None = None
) -> tuple[Transfer, Debit]:
    """Debit an order as its handler does; return the new transfer and the outcome."""
    transfer_id = new_id(shard_of(order.account_id))
    transfer = debited(order, transfer_id, fraud_review=False, now=utc_now())
    event = mapping.event_out(transfer, DEBIT.event_type, new_id())
    return transfer, await store.debit(order, transfer, event, lease, attempt)
