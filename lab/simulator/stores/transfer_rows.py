"""A new row of payments.interbank_transfer in memory."""

from lab.simulator.stores.database import Row
from services.payments.rows import DebitOrder

TIMES = {"SUBMITTED": "submit_time", "COMPLETED": "complete_time", "RETURNED": "return_time"}
"""States whose first step has a column of its own for its time."""

_COLUMNS = (
    *("transfer_id", "customer_id", "account_id", "amount", "currency", "beneficiary_name"),
    *("routing_number", "account_number", "account_type", "memo", "fraud_review"),
    "idempotency_key",
)
"""The columns that an order has under the same name."""


def row_of_debit(order: DebitOrder) -> Row:
    """Return a new row of payments.interbank_transfer."""
    row: Row = {name: getattr(order, name) for name in _COLUMNS}
    row |= dict.fromkeys(TIMES.values())
    row |= {
        "state": "DEBITED",
        "version": 1,
        "trace_number": None,
        "failure_reason": None,
        "return_code": None,
        "cancel_requester": None,
        "accepted_response": None,
        "correlation_id": order.correlation_id,
        "traceparent": order.traceparent,
        "create_time": order.create_time,
        "update_time": order.create_time,
        "lease_owner": order.lease_owner,
        "lease_until": order.lease_until,
        "attempts": 0,
    }
    return row
