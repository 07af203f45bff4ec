"""Why a transfer failed, as the customer reads it: only names of the contract."""

from dataclasses import replace

import pytest
from bp.payments.v1.payments_errors_pb2 import PaymentsErrorReason
from bp.payments.v1.payments_events_pb2 import PaymentEvent

from services.kernel.ids import new_id
from services.payments import errors, mapping
from services.payments.partners import ach
from services.payments.state import State
from tests.unit.payments.orders import transfer

CODES = ["INVALID_ACCOUNT", "UNKNOWN_ROUTING_NUMBER", "BLK-4471", "RISK_SCORE_TOO_HIGH"]
BORROWED = ["ACH_UNAVAILABLE", "FRAUD_DECLINED", "INSUFFICIENT_FUNDS", "ACH_REFUSED"]
"""Codes of the clearing house that are names of the bank's own reasons by accident."""


@pytest.mark.parametrize("code", [*CODES, *BORROWED])
def test_the_customer_reads_a_name_of_the_contract_and_never_the_partners_code(code: str) -> None:
    refused = ach.submitted(422, {"error": {"code": code}})
    failed = replace(transfer(State.FAILED), failure_reason=refused.reason)
    shown = mapping.transfer_message(failed).failure_reason
    assert PaymentsErrorReason.Value(shown)
    error = errors.compensated(refused.reason, str(failed.transfer_id))
    assert error.reason == shown
    assert dict(error.metadata) == {"transfer_id": str(failed.transfer_id)}
    event = PaymentEvent.FromString(mapping.event_out(failed, "TransferFailed", new_id()).payload)
    assert event.transfer_failed.transfer.failure_reason == shown
    if code not in ach.REASONS:
        assert shown == "ACH_REFUSED"


ROUTING_NUMBERS = {
    "INVALID_ROUTING_NUMBER": errors.InvalidRoutingNumber,
    "UNKNOWN_ROUTING_NUMBER": errors.UnknownRoutingNumber,
}


@pytest.mark.parametrize("reason", ROUTING_NUMBERS)
def test_only_an_order_that_was_debited_is_answered_with_a_refund(reason: str) -> None:
    before, after = ROUTING_NUMBERS[reason](), errors.compensated(reason, "id")
    assert (before.reason, after.reason) == (reason, reason)
    assert before.code is after.code
    assert "refund" not in before.message
    assert "debited" not in before.message
    assert "you were refunded" in after.message


@pytest.mark.parametrize("code", CODES[2:])
def test_the_transfers_row_keeps_the_partners_code_for_operators(code: str) -> None:
    assert code in ach.submitted(422, {"error": {"code": code}}).reason
    assert code in ach.queried(200, {"state": "REJECTED", "rejectCode": code}).reason


def test_a_transfer_that_did_not_fail_has_no_reason() -> None:
    assert mapping.transfer_message(transfer(State.SUBMITTED)).failure_reason == ""
