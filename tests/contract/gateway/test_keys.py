"""The issuer's keys change while the gateway runs: it follows each change after one fetch.

The gateway fetches the key set every five seconds. The tests count the fetches, so that no test
measures time.
"""

from dataclasses import dataclass

import pytest

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


@dataclass(frozen=True)
class Statuses:
    """The answers to a token of each kind, before and after the issuer's second change."""

    revoked: list[int]
    replaced: list[int]
    successor: list[int]
    lasting: list[int]


@pytest.fixture(scope="module")
async def statuses(gateway: Gateway) -> Statuses:
    """Change the issuer's keys twice; return how the gateway answered tokens of each key.

    Two keys are published without lead time. Then one is withdrawn, and the other one replaced by
    a key of the same id. All tests share the two changes, because each takes two fetches.
    """
    issuer = gateway.issuer
    withdrawn, replaced = issuer.publish("k2"), issuer.publish("k3")
    await _fetched_anew(gateway)
    revoked, old = issuer.token(SUBJECT, key=withdrawn), issuer.token(SUBJECT, key=replaced)
    lasting = issuer.token(SUBJECT)
    before = await _statuses(gateway, revoked, revoked, old, lasting)
    issuer.withdraw(withdrawn)
    issuer.withdraw(replaced)
    successor = issuer.publish("k3")
    await _fetched_anew(gateway)
    new = issuer.token(SUBJECT, key=successor)
    after = await _statuses(gateway, revoked, revoked, old, lasting, new)
    issuer.withdraw(successor)
    return Statuses(
        revoked=before[:2] + after[:2],
        replaced=[before[2], after[2]],
        successor=[after[4]],
        lasting=[before[3], after[3]],
    )


async def test_tokens_of_a_new_key_are_accepted_after_the_next_fetch(statuses: Statuses) -> None:
    assert statuses.revoked[:2] == [200, 200]


async def test_a_token_that_was_accepted_is_refused_once_its_key_is_withdrawn(
    statuses: Statuses,
) -> None:
    assert statuses.revoked == [200, 200, 401, 401]
    assert statuses.lasting == [200, 200]


async def test_a_key_that_replaces_another_under_its_id_is_the_one_that_counts(
    statuses: Statuses,
) -> None:
    """The key set changes without a new key id, as when a provider has lost its keys."""
    assert statuses.replaced == [200, 401]
    assert statuses.successor == [200]
