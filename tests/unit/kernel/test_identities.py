"""The names of workloads, as certificates and tokens carry them."""

import pytest

from services.kernel import identities


def test_a_service_account_has_its_spiffe_id_and_its_token_subject() -> None:
    assert identities.spiffe_id("payments") == "spiffe://bp.internal/ns/bp/sa/payments"
    assert identities.token_subject("payments") == "system:serviceaccount:bp:payments"


def test_a_spiffe_id_names_its_service_account() -> None:
    assert identities.service_account(identities.spiffe_id("payments")) == "payments"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "payments",
        "spiffe://evil.example/ns/bp/sa/payments",
        "spiffe://bp.internal/ns/other/sa/payments",
        "spiffe://bp.internal.evil.example/ns/bp/sa/payments",
        "spiffe://bp.internal/ns/bp/user/payments",
        "SPIFFE://bp.internal/ns/bp/sa/payments",
        " spiffe://bp.internal/ns/bp/sa/payments",
    ],
)
def test_any_other_uri_names_no_service_account(uri: str) -> None:
    assert identities.service_account(uri) is None
