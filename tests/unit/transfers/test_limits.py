"""The timeouts of a call's parts fit into the call's deadline."""

from typing import Any

import pytest

from services import contracts
from services.payments.settings import PaymentsSettings
from services.transfers.settings import TransfersSettings

DEBIT_S = 1.0
"""The minimum time that must remain for a call's own database work."""


def _deadline_s(method: str) -> float:
    return contracts.load()[f"/bp.{method}"].deadline_ms / 1000


def _default(settings: Any, name: str) -> float:
    return settings.model_fields[name].default


@pytest.mark.parametrize(
    ("method", "parts_s"),
    [
        (
            "transfers.v1.TransfersService/CreateBookTransfer",
            [_default(TransfersSettings, "check_timeout_s")],
        ),
        (
            "transfers.v1.TransfersService/ListBookTransfers",
            [_default(TransfersSettings, "list_check_timeout_s")],
        ),
        (
            "transfers.v1.TransfersService/ListEntries",
            [
                _default(TransfersSettings, "list_check_timeout_s"),
                _default(TransfersSettings, "holders_timeout_s"),
            ],
        ),
        (
            "payments.v1.PaymentsService/CreateInterbankTransfer",
            [
                _default(PaymentsSettings, "check_timeout_s"),
                _default(PaymentsSettings, "answer_wait_s"),
            ],
        ),
        (
            "payments.v1.PaymentsService/ListInterbankTransfers",
            [_default(PaymentsSettings, "list_check_timeout_s")],
        ),
    ],
)
def test_the_waits_of_a_call_leave_time_before_its_deadline(
    method: str, parts_s: list[float]
) -> None:
    assert sum(parts_s) + DEBIT_S <= _deadline_s(method)


def test_a_transfer_waits_for_its_check_longer_than_a_busy_host_needs() -> None:
    """With a timeout of two seconds, checks failed on a busy host although the call had five."""
    create_s = _deadline_s("transfers.v1.TransfersService/CreateBookTransfer")
    assert _default(TransfersSettings, "check_timeout_s") == create_s - DEBIT_S
    assert _deadline_s("customers.v1.CustomersService/BatchCheckDebits") == create_s - DEBIT_S
