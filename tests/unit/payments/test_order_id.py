"""The id of an order, by which the fraud service knows its repetitions."""

import uuid
from dataclasses import replace

from services.payments.transfer import order_id
from tests.unit.payments.orders import order


def test_a_repeated_order_has_the_same_id_and_another_order_has_another() -> None:
    first = order()
    assert order_id(replace(first, correlation_id="again", traceparent="")) == order_id(first)
    others = [
        replace(first, idempotency_key="other"),
        replace(first, customer_id=uuid.UUID(int=7)),
        replace(first, fingerprint=b"g" * 32),
    ]
    assert len({order_id(one) for one in (first, *others)}) == 1 + len(others)
