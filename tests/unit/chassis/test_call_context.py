"""The caller's identity, read from the header that the sidecar writes."""

import pytest

from services.chassis.call_context import service_account

HEADERS = [
    ("URI=spiffe://bp.internal/ns/bp/sa/gateway", "gateway"),
    ("Hash=ab12;URI=spiffe://bp.internal/ns/bp/sa/payments", "payments"),
    ("Hash=ab12;URI=spiffe://bp.internal/ns/bp/sa/payments,By=x;URI=y", "payments"),
    ("URI=spiffe://evil.example/a;URI=spiffe://bp.internal/ns/bp/sa/audit", "audit"),
    ("URI=spiffe://bp.internal/ns/bp/sa/;URI=spiffe://bp.internal/ns/bp/sa/audit", ""),
    ("URI=spiffe://evil.example/ns/bp/sa/gateway", ""),
    ("spiffe://bp.internal/ns/bp/sa/gateway", ""),
    ("Subject=spiffe://bp.internal/ns/bp/sa/gateway", ""),
    ("", ""),
]


@pytest.mark.parametrize(("header", "account"), HEADERS)
def test_only_a_uri_of_the_trust_domain_names_a_caller(header: str, account: str) -> None:
    assert service_account(header) == account
