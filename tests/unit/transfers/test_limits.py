"""How long parts of a transfer may take, beside how long the whole may take."""

from services.chassis import contracts
from services.payments import customers as payments_customers
from services.transfers.settings import TransfersSettings

CHECKS = (
    "/bp.customers.v1.CustomersService/CheckDebit",
    "/bp.customers.v1.CustomersService/BatchCheckDebits",
)
CREATE = "/bp.transfers.v1.TransfersService/CreateBookTransfer"
POSTING_MS = 1000
"""What is left for the posting when the check takes all of its time."""


def test_the_check_of_the_accounts_may_take_all_time_that_the_posting_does_not_need() -> None:
    """It had two of five seconds: on a busy host transfers failed that had time to wait."""
    known = contracts.load()
    deadlines_ms = {known[path].deadline_ms for path in CHECKS}
    assert deadlines_ms == {known[CREATE].deadline_ms - POSTING_MS}
    limits_s = (
        TransfersSettings.model_fields["check_timeout_s"].default,
        payments_customers.TIMEOUT_S,
    )
    assert {1000 * limit_s for limit_s in limits_s} == deadlines_ms
