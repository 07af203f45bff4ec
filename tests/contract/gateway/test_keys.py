"""The issuer's keys change while the gateway runs: it follows each change after one fetch.

The gateway fetches the key set every five seconds. The tests count the fetches, so that no test
measures time.
"""

import pytest
from joserfc.jwk import ECKey

from ops.waiting import until
from tests.rigs.mesh.gateway import SUBJECT, Gateway

BALANCE = "/v1/balances/0190a8a0-0000-7000-8000-000000000007"


async def _fetched_anew(gateway: Gateway) -> None:
    """Wait for two fetches: when the second one arrives, the gateway uses the keys of the first."""
    before = gateway.issuer.fetches

    async def fetched() -> bool:
        return gateway.issuer.fetches >= before + 2

    await until(fetched, 30, "the gateway fetches the key set twice")


async def _statuses(gateway: Gateway, *tokens: str) -> list[int]:
    return [(await gateway.call("GET", BALANCE, token=token)).status for token in tokens]


@pytest.fixture
async def new_key(gateway: Gateway) -> ECKey:
    """Return a key that was published without lead time, and that the gateway has fetched."""
    key = gateway.issuer.publish("k2")
    await _fetched_anew(gateway)
    return key


async def test_tokens_of_a_new_key_are_accepted_after_the_next_fetch(
    gateway: Gateway, new_key: ECKey
) -> None:
    assert await _statuses(gateway, gateway.issuer.token(SUBJECT, key=new_key)) == [200]
    gateway.issuer.withdraw(new_key)


async def test_a_token_that_was_accepted_is_refused_once_its_key_is_withdrawn(
    gateway: Gateway, new_key: ECKey
) -> None:
    issuer = gateway.issuer
    revoked, valid = issuer.token(SUBJECT, key=new_key), issuer.token(SUBJECT)
    assert await _statuses(gateway, revoked, revoked, valid) == [200, 200, 200]
    issuer.withdraw(new_key)
    await _fetched_anew(gateway)
    assert await _statuses(gateway, revoked, revoked, valid) == [401, 401, 200]


async def test_a_key_that_replaces_another_under_its_id_is_the_one_that_counts(
    gateway: Gateway, new_key: ECKey
) -> None:
    """The key set changes without a new key id, as when a provider has lost its keys."""
    issuer = gateway.issuer
    old = issuer.token(SUBJECT, key=new_key)
    assert await _statuses(gateway, old) == [200]
    issuer.withdraw(new_key)
    successor = issuer.publish("k2")
    await _fetched_anew(gateway)
    assert await _statuses(gateway, old, issuer.token(SUBJECT, key=successor)) == [401, 200]
    issuer.withdraw(successor)
