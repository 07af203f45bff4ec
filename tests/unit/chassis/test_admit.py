"""The boundary admits a partner's call only with a partner's name that the policy has."""

import pytest

from services import contracts
from services.chassis.boundary import admit
from services.kernel import errors
from services.kernel.identities import spiffe_id

WEBHOOK = "/bp.payments.v1.PaymentsService/ReceiveAchWebhook"
BALANCE = "/bp.customers.v1.CustomersService/GetBalance"
SUBJECT = "0190a8a0-0000-7000-8000-000000000042"


def _metadata(**more: str) -> dict[str, str]:
    certificate = {"x-forwarded-client-cert": f"URI={spiffe_id('gateway')}"}
    return certificate | {name.replace("_", "-"): value for name, value in more.items()}


@pytest.mark.parametrize("partner", ["", "other", "ach-network,other", "ACH-network"])
def test_another_partner_is_refused(partner: str) -> None:
    with pytest.raises(errors.CallerForbidden):
        admit(contracts.load()[WEBHOOK], _metadata(x_bp_partner=partner))


def test_a_call_without_a_partner_is_refused() -> None:
    with pytest.raises(errors.CallerForbidden):
        admit(contracts.load()[WEBHOOK], _metadata())


def test_the_partner_of_the_policy_is_admitted() -> None:
    call = admit(contracts.load()[WEBHOOK], _metadata(x_bp_partner="ach-network"))
    assert (call.caller, call.partner) == ("gateway", "ach-network")


def test_a_customers_call_has_no_partner() -> None:
    sent = _metadata(x_bp_partner="ach-network", x_bp_subject=SUBJECT, x_bp_scope="accounts:read")
    assert admit(contracts.load()[BALANCE], sent).partner == ""
