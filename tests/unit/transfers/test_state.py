"""Which book transfers may be posted."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from bp.transfers.v1.transfers_errors_pb2 import TransfersErrorReason

from services.kernel.ids import new_id, shard_of
from services.kernel.money import Money
from services.transfers import errors, state
from services.transfers.errors import TransfersError
from services.transfers.state import BookTransferOrder, KnownAccount

NOW = datetime(2026, 3, 2, tzinfo=UTC)
PAYER, PAYEE = uuid.UUID(int=1), uuid.UUID(int=2)
SOURCE = KnownAccount(new_id(5), PAYER, "USD", debitable=True, creditable=True)
DESTINATION = KnownAccount(new_id(9), PAYEE, "USD", debitable=True, creditable=True)
ORDER = BookTransferOrder(
    customer_id=PAYER,
    account_id=SOURCE.account_id,
    destination_account_id=DESTINATION.account_id,
    amount=Money(100, "USD"),
    memo="rent",
    idempotency_key="key-1",
    fingerprint=b"f" * 32,
    correlation_id="request-1",
    traceparent="",
    admit_time=NOW,
)


def test_a_transfer_carries_the_shard_of_the_debited_account():
    transfer = state.decide(ORDER, SOURCE, DESTINATION)
    assert shard_of(transfer.transfer_id) == 5
    assert (transfer.customer_id, transfer.destination_customer_id) == (PAYER, PAYEE)
    assert (transfer.amount, transfer.create_time) == (ORDER.amount, NOW)


def test_a_frozen_account_may_be_paid():
    frozen = replace(DESTINATION, debitable=False)
    assert state.decide(ORDER, SOURCE, frozen).destination_account_id == frozen.account_id


@pytest.mark.parametrize(
    ("order", "source", "destination", "refusal"),
    [
        (ORDER, None, DESTINATION, errors.AccountNotFound),
        (ORDER, replace(SOURCE, debitable=False), DESTINATION, errors.AccountFrozen),
        (ORDER, SOURCE, None, errors.DestinationNotFound),
        (ORDER, SOURCE, replace(DESTINATION, creditable=False), errors.DestinationNotFound),
        (
            replace(ORDER, amount=Money(1, "EUR")),
            SOURCE,
            DESTINATION,
            errors.CurrencyUnsupported,
        ),
        (ORDER, SOURCE, replace(DESTINATION, currency="EUR"), errors.CurrencyUnsupported),
    ],
)
def test_accounts_that_cannot_take_part_are_refused(order, source, destination, refusal):
    with pytest.raises(refusal):
        state.decide(order, source, destination)


@pytest.mark.parametrize(
    ("order", "refusal"),
    [
        (replace(ORDER, amount=Money(0, "USD")), errors.AmountNotPositive),
        (replace(ORDER, amount=Money(-1, "USD")), errors.AmountNotPositive),
        (replace(ORDER, amount=Money(1_001, "USD")), errors.AmountLimitExceeded),
        (replace(ORDER, destination_account_id=SOURCE.account_id), errors.SameAccount),
    ],
)
def test_an_order_that_no_account_can_satisfy_is_refused(order, refusal):
    with pytest.raises(refusal):
        state.require_sound(order, 1_000)


def test_the_limit_itself_may_be_transferred():
    state.require_sound(replace(ORDER, amount=Money(1_000, "USD")), 1_000)


def test_the_classes_and_the_contracts_reasons_agree():
    raised = {cause.reason for cause in TransfersError.__subclasses__()}
    in_events_only = {"STEP_UP_REQUIRED"}
    reasons = set(TransfersErrorReason.keys()) - {"TRANSFERS_ERROR_REASON_UNSPECIFIED"}
    assert raised | in_events_only == reasons
