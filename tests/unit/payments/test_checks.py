"""Step 1 as a table: which orders are refused before posting, and for which reason."""

from typing import Any

import pytest

from lab.simulator.services.places import NOWHERE
from services.customers.settings import CustomersSettings
from services.kernel.money import Money
from services.nacha import routing_number
from services.payments.checks import (
    AccountFacts,
    Decision,
    Limits,
    Score,
    needs_review,
    refuse_facts,
    refuse_order,
)
from services.payments.settings import PaymentsSettings
from services.payments.transfer import Beneficiary
from tests.unit.payments.orders import order

LIMITS = Limits(transfer_max=10_000_00, unscored_max=1_000_00)
BAD_CHECK_DIGIT = Beneficiary("Bo", "021000022", "123456", "CHECKING")
OWN = "091000019"
AT_THIS_BANK = Beneficiary("Bo", OWN, "123456", "CHECKING")

ORDERS = [
    ({"amount": Money(0, "USD")}, "AMOUNT_NOT_POSITIVE"),
    ({"amount": Money(-1, "USD")}, "AMOUNT_NOT_POSITIVE"),
    ({"amount": Money(1, "USD")}, None),
    ({"amount": Money(10_000_00, "USD")}, None),
    ({"amount": Money(10_000_01, "USD")}, "AMOUNT_LIMIT_EXCEEDED"),
    ({"amount": Money(100, "EUR")}, "CURRENCY_UNSUPPORTED"),
    ({"beneficiary": BAD_CHECK_DIGIT}, "INVALID_ROUTING_NUMBER"),
    ({"beneficiary": AT_THIS_BANK}, "OWN_ROUTING_NUMBER"),
]


@pytest.mark.parametrize(("changes", "reason"), ORDERS)
def test_orders_are_refused_for_their_own_faults(
    changes: dict[str, Any], reason: str | None
) -> None:
    refusal = refuse_order(order(**changes), LIMITS, OWN)
    assert (refusal.reason if refusal else None) == reason


def test_a_transfer_to_this_bank_is_refused_with_the_call_that_makes_it() -> None:
    refusal = refuse_order(order(beneficiary=AT_THIS_BANK), LIMITS, OWN)
    assert refusal is not None
    assert refusal.message.startswith(
        "This routing number is this bank's own. Nothing was debited."
    )
    assert "Use CreateBookTransfer (POST /v1/transfers/internal)" in refusal.message


def test_payments_and_customers_have_the_same_routing_number_of_the_bank() -> None:
    own = PaymentsSettings(service="payments", **NOWHERE).routing_number
    assert own == CustomersSettings(service="customers", **NOWHERE).routing_number
    assert routing_number.is_valid(own)


GOOD = AccountFacts(exists=True, active=True, currency="USD")
ABSENT = AccountFacts(exists=False, active=False, currency="")
FROZEN = AccountFacts(exists=True, active=False, currency="USD")
IN_EUROS = AccountFacts(exists=True, active=True, currency="EUR")
FACTS = [
    # account, fraud service's decision, whether the bank is in the network, amount, reason
    (GOOD, Decision.APPROVE, True, 500_00, None),
    (ABSENT, Decision.APPROVE, True, 1, "ACCOUNT_NOT_FOUND"),
    (FROZEN, Decision.APPROVE, True, 1, "ACCOUNT_FROZEN"),
    (IN_EUROS, Decision.APPROVE, True, 1, "CURRENCY_UNSUPPORTED"),
    (GOOD, Decision.APPROVE, False, 1, "UNKNOWN_ROUTING_NUMBER"),
    (GOOD, Decision.DECLINE, True, 1, "FRAUD_DECLINED"),
    (GOOD, Decision.REVIEW, True, 9_999_00, None),
    (GOOD, Decision.UNAVAILABLE, True, 1_000_00, None),
    (GOOD, Decision.UNAVAILABLE, True, 1_000_01, "FRAUD_CHECK_UNAVAILABLE"),
]  # fmt: skip


@pytest.mark.parametrize(("account", "decision", "takes_part", "minor_units", "reason"), FACTS)
def test_facts_refuse_with_their_reason(
    account: AccountFacts,
    decision: Decision,
    takes_part: bool,
    minor_units: int,
    reason: str | None,
) -> None:
    asked = order(amount=Money(minor_units, "USD"))
    refusal = refuse_facts(asked, account, Score(decision), takes_part=takes_part, limits=LIMITS)
    assert (refusal.reason if refusal else None) == reason


def test_a_fraud_check_that_failed_open_is_flagged_for_a_person() -> None:
    allowed = set(Decision) - {Decision.DECLINE}
    flagged = {decision for decision in allowed if needs_review(Score(decision))}
    assert flagged == {Decision.REVIEW, Decision.UNAVAILABLE}
