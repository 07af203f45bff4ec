"""The caller's identity, read from the header that the sidecar writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.call_context import service_account
from services.kernel.identities import spiffe_id

AUDIT, PAYMENTS = spiffe_id("audit"), spiffe_id("payments")
HEADERS = [
    (f"URI={AUDIT}", "audit"),
    (f"Hash=ab12;URI={PAYMENTS}", "payments"),
    (f'By={AUDIT};Hash=ab12;Subject="CN=a,O=\\"b;c\\"";URI={PAYMENTS}', "payments"),
    # The last element is the sidecar's own; the earlier ones came from the caller.
    (f"URI={AUDIT},By=x;URI={PAYMENTS}", "payments"),
    (f"URI={AUDIT},By=x;URI=y", ""),
    (f"URI={AUDIT},Hash=ab12", ""),
    # A certificate with two identities is not accepted.
    (f"URI={PAYMENTS};URI={AUDIT}", ""),
    (f"URI=spiffe://evil.example/a;URI={AUDIT}", ""),
    # An identity inside the quotes of a different value does not count.
    (f'Subject="O=a;URI={AUDIT}"', ""),
    (f'Subject="O=a,URI={AUDIT}";URI={PAYMENTS}', "payments"),
    (f'Subject="O=\\",URI={AUDIT};";URI={PAYMENTS}', "payments"),
    # A malformed header does not name a caller.
    (f'Subject="O=a;URI={AUDIT}', ""),
    (f"URI={AUDIT};", ""),
    (f"URI={AUDIT},", ""),
    (f"URI={AUDIT} ", ""),
    ("URI=spiffe://bp.internal/ns/bp/sa/", ""),
    ("URI=spiffe://evil.example/ns/bp/sa/gateway", ""),
    ("spiffe://bp.internal/ns/bp/sa/gateway", ""),
    ("Subject=spiffe://bp.internal/ns/bp/sa/gateway", ""),
    ("", ""),
]


@pytest.mark.parametrize(("header", "account"), HEADERS)
def test_only_the_uri_that_the_sidecar_wrote_names_a_caller(header: str, account: str) -> None:
    assert service_account(header) == account


@given(st.text(st.characters(codec="ascii", exclude_characters="\n")))
def test_whatever_a_callers_subject_contains_the_identity_is_the_uri(subject: str) -> None:
    quoted = subject.replace("\\", "\\\\").replace('"', '\\"')
    assert service_account(f'Hash=ab;Subject="{quoted}";URI={PAYMENTS}') == "payments"
