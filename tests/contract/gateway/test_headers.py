"""Headers with several valid spellings: the gateway accepts each spelling that HTTP allows."""

import pytest

from tests.rigs.mesh.gateway import SUBJECT, Gateway


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "bEaReR ", "bearer    "])
async def test_the_scheme_of_a_token_is_accepted_in_any_case(gateway: Gateway, scheme: str) -> None:
    """RFC 9110, 11.1 and 11.4: the scheme is case-insensitive, and spaces follow it."""
    headers = {"Authorization": f"{scheme}{gateway.token}"}
    answer = await gateway.call("GET", "/v1/balances/a", token=None, headers=headers)
    assert answer.status == 200, answer
    assert gateway.seen.metadata["x-bp-subject"] == SUBJECT
    assert "authorization" not in gateway.seen.metadata


@pytest.mark.parametrize(
    "before", ["", "bearer", "bearer\t", "bearers ", "a Bearer ", "Basic ", "bearer ,"]
)
async def test_a_token_with_another_scheme_is_refused(gateway: Gateway, before: str) -> None:
    headers = {"Authorization": f"{before}{gateway.token}"}
    answer = await gateway.call("GET", "/v1/balances/a", token=None, headers=headers)
    assert (answer.status, answer.reason) == (401, "UNAUTHENTICATED")
