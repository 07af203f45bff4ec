"""An order as an app gives it."""

import uuid

from services.kernel.money import Money
from services.payments.transfer import Beneficiary, InterbankTransferOrder
from tests.rigs.ledger_bank import Holder


def order_of(holder: Holder) -> InterbankTransferOrder:
    """One dollar to another bank, under a key of its own."""
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
