"""The boundary admits a partner by a name in the policy and a customer by a UUID in any form."""

import uuid

import pytest

from services import contracts
from services.chassis.boundary import admit
from services.kernel import errors
from services.kernel.identities import spiffe_id

WEBHOOK = "/bp.payments.v1.PaymentsService/ReceiveAchWebhook"
BALANCE = "/bp.customers.v1.CustomersService/GetBalance"
SUBJECT = "0190a8a0-0000-7000-8000-000000000042"
SCOPE = {"x_bp_scope": "accounts:read"}


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


@pytest.mark.parametrize("spelled", [SUBJECT, SUBJECT.upper(), SUBJECT.replace("-", "")])
def test_a_customer_is_the_same_however_the_provider_spells_the_id(spelled: str) -> None:
    """A subject without hyphens or in upper case is the same customer with the same rights."""
    call = admit(contracts.load()[BALANCE], _metadata(x_bp_subject=spelled, **SCOPE))
    assert call.customer_id == uuid.UUID(SUBJECT)
    assert call.subject == SUBJECT


@pytest.mark.parametrize(
    "subject",
    [
        *("", "ana", SUBJECT[:-1], f"{SUBJECT}0", f"{SUBJECT}\n", f"{SUBJECT[:-1]}\n"),
        *(f"{{{SUBJECT}}}", f"urn:uuid:{SUBJECT}", f"{SUBJECT[:-2]}_2", f"{SUBJECT[:-1]}\u0662"),
    ],
)
def test_a_subject_that_is_no_uuid_is_no_customer(subject: str) -> None:
    with pytest.raises(errors.Unauthenticated):
        admit(contracts.load()[BALANCE], _metadata(x_bp_subject=subject, **SCOPE))
