"""The boundary admits a partner by a name in the policy and a customer by a UUID in any form."""

import uuid
from datetime import UTC, datetime

import pytest

from services import contracts
from services.chassis.boundary import admit
from services.kernel import errors
from services.kernel.identities import spiffe_id

WEBHOOK = "/bp.payments.v1.PaymentsService/ReceiveAchWebhook"
BALANCE = "/bp.customers.v1.CustomersService/GetBalance"
SUBJECT = "0190a8a0-0000-7000-8000-000000000042"
SESSION = "0190a8a0-0000-7000-8000-00000000005e"
SCOPE = {"x_bp_scope": "accounts:read", "x_bp_session": SESSION}
LOGIN = "/bp.auth.v1.AuthService/Login"
CHECK = "/bp.customers.v1.CustomersService/CheckDebit"


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
    sent = _metadata(x_bp_partner="ach-network", x_bp_subject=SUBJECT, **SCOPE)
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


@pytest.mark.parametrize("session", [None, "", "a b", "x" * 129, "a\u00e9", f"{SESSION}\n"])
def test_a_customers_call_without_a_session_is_refused(session: str | None) -> None:
    """A token without a session could not be revoked."""
    sent = _metadata(x_bp_subject=SUBJECT, x_bp_scope="accounts:read")
    if session is not None:
        sent["x-bp-session"] = session
    with pytest.raises(errors.Unauthenticated):
        admit(contracts.load()[BALANCE], sent)


def test_a_customers_call_has_the_facts_of_its_session() -> None:
    sent = _metadata(
        x_bp_subject=SUBJECT,
        x_bp_device="phone",
        x_bp_auth_time="1764435600",
        x_bp_client_address="192.0.2.7",
        **SCOPE,
    )
    call = admit(contracts.load()[BALANCE], sent)
    assert (call.session_id, call.device_id) == (SESSION, "phone")
    assert call.auth_time == datetime(2025, 11, 29, 17, tzinfo=UTC)
    assert (call.client_address, call.step_up) == ("192.0.2.7", None)


@pytest.mark.parametrize("sent", ["", "soon", "-1", "1.5", "1e9", "99999999999", "1764435600\n"])
def test_a_malformed_time_of_the_second_factor_is_no_time(sent: str) -> None:
    metadata = _metadata(x_bp_subject=SUBJECT, x_bp_auth_time=sent, **SCOPE)
    assert admit(contracts.load()[BALANCE], metadata).auth_time is None


@pytest.mark.parametrize(
    ("sent", "read"),
    [("2001:DB8::1", "2001:db8::1"), ("", ""), ("192.0.2.7:80", ""), ("a, b", ""), ("1.2.3", "")],
)
def test_the_address_of_the_gateways_caller_is_an_ip_address(sent: str, read: str) -> None:
    call = admit(contracts.load()[LOGIN], _metadata(x_bp_client_address=sent))
    assert call.client_address == read


def test_a_public_call_has_no_session() -> None:
    sent = _metadata(x_bp_session=SESSION, x_bp_device="phone", x_bp_auth_time="1764435600")
    call = admit(contracts.load()[LOGIN], sent)
    assert (call.session_id, call.device_id, call.auth_time) == ("", "", None)


def test_a_service_of_the_mesh_has_no_address() -> None:
    sent = {"x-forwarded-client-cert": f"URI={spiffe_id('payments')}", "x-bp-client-address": "::1"}
    assert admit(contracts.load()[CHECK], sent).client_address == ""
