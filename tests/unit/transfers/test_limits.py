"""How long parts of a call may take, beside the deadline of the whole."""

import asyncio
import uuid
from typing import Any, cast

import pytest

from services import contracts
from services.chassis.batching import BatchLimits
from services.chassis.call_context import Call
from services.kernel.clock import utc_now
from services.kernel.errors import DependencyUnavailable
from services.payments import customers as payments_customers
from services.payments.settings import PaymentsSettings
from services.transfers.accounts import Accounts
from services.transfers.settings import TransfersSettings

DEBIT_S = 1.0
"""What is left at least for a call's own work in the database."""


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
            "payments.v1.PaymentsService/CreateInterbankTransfer",
            [payments_customers.TIMEOUT_S, _default(PaymentsSettings, "answer_wait_s")],
        ),
        (
            "payments.v1.PaymentsService/ListInterbankTransfers",
            [payments_customers.LIST_TIMEOUT_S],
        ),
    ],
)
def test_the_waits_of_a_call_leave_time_before_its_deadline(
    method: str, parts_s: list[float]
) -> None:
    assert sum(parts_s) + DEBIT_S <= _deadline_s(method)


def test_a_transfer_waits_for_its_check_longer_than_a_busy_host_needs() -> None:
    """It had two of five seconds: on a busy host transfers failed that still had time."""
    create_s = _deadline_s("transfers.v1.TransfersService/CreateBookTransfer")
    assert _default(TransfersSettings, "check_timeout_s") == create_s - DEBIT_S
    assert _deadline_s("customers.v1.CustomersService/BatchCheckDebits") == create_s - DEBIT_S


class _Silent:
    """Customers that never answers."""

    def unary_unary(self, *_: Any, **__: Any) -> Any:
        async def hang(*_: Any, **__: Any) -> Any:
            await asyncio.Future()

        return hang


async def test_callers_behind_a_silent_customers_get_its_error_while_they_wait_in_the_queue() -> (
    None
):
    """Two groups block the queue. Only the callers' own deadline ended the others' wait."""
    accounts = Accounts(
        cast("Any", _Silent()), 0.05, BatchLimits(interval_s=0, items_max=1, batches_max=2)
    )
    call = Call("", "gateway", str(uuid.uuid4()), frozenset(), "", "", "", {}, utc_now())
    checks = [asyncio.create_task(accounts.check(call, uuid.uuid4())) for _ in range(10)]
    ended = await asyncio.gather(*checks, return_exceptions=True)
    assert [type(one) for one in ended] == [DependencyUnavailable] * 10
