"""Complete orders and transfers, so that a pure test names only the fields that it tests."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from services.kernel.ids import new_id, shard_of
from services.kernel.money import Money
from services.payments.state import State
from services.payments.transfer import Beneficiary, InterbankTransferOrder, Transfer, debited

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def order(**changes: Any) -> InterbankTransferOrder:
    """An order of 1,000.00 dollars."""
    plain = InterbankTransferOrder(
        customer_id=uuid.uuid4(),
        account_id=new_id(7),
        amount=Money(100_000, "USD"),
        beneficiary=Beneficiary("Bo Rivera", "021000021", "123456", "CHECKING"),
        memo="rent",
        idempotency_key="key-1",
        fingerprint=b"f" * 32,
        correlation_id="request-1",
        traceparent="",
    )
    return replace(plain, **changes)


def transfer(state: State = State.DEBITED, **changes: Any) -> Transfer:
    """A transfer in a state."""
    asked = order()
    plain = debited(asked, new_id(shard_of(asked.account_id)), fraud_review=False, now=NOW)
    return replace(plain, state=state, **changes)
