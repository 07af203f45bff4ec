"""The issuer's keys change while the gateway runs: it follows each change after one fetch.

The gateway fetches the key set every five seconds. The tests count the fetches, so that no test
measures time.
"""

from dataclasses import dataclass

import pytest

from ops.waiting import until
from sandbox.stack.parts.mesh import GatewayProbe
from tests.rigs.mesh.gateway import SUBJECT, Gateway

KEY_SERVER = "oauth.example"
KEYS_WITHIN_S = 8
"""Much shorter than five minutes, even where deadlines are twelve times as long."""
BALANCE = "/v1/balances/0190a8a0-0000-7000-8000-000000000007"


async def _in_use(gateway: Gateway, token: str) -> None:
    """Wait until the gateway uses the keys that the issuer publishes now.

    `token` is signed by a key that no earlier key set has. The test sends it only after a fetch,
    because there is a limit for the requests of an address.
    """
    before = gateway.issuer.fetches

    async def used() -> bool:
        fetched = gateway.issuer.fetches > before
        return fetched and await _statuses(gateway, token) == [200]

    await until(used, KEYS_WITHIN_S, "the gateway uses the keys of the next fetch")


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

    Two keys are published without lead time. Then one is withdrawn, and the other is replaced by a
    key with the same id. All tests share the two changes, because each waits for a fetch.
    """
    issuer = gateway.issuer
    withdrawn, replaced = issuer.publish("k2"), issuer.publish("k3")
    revoked, old = issuer.token(SUBJECT, key=withdrawn), issuer.token(SUBJECT, key=replaced)
    lasting = issuer.token(SUBJECT)
    await _in_use(gateway, revoked)
    before = await _statuses(gateway, revoked, revoked, old, lasting)
    issuer.withdraw(withdrawn)
    issuer.withdraw(replaced)
    successor = issuer.publish("k3")
    new = issuer.token(SUBJECT, key=successor)
    await _in_use(gateway, new)
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


async def test_a_gateway_that_starts_without_keys_has_them_soon_after_the_provider_is_back(
    gateway: Gateway,
) -> None:
    """The circuit breaker of the key server opens, but only for a second.

    Few fetches fail between the provider's return and the first key set. If the breaker stayed open
    for half a minute, about thirty would fail.
    """
    rig, probe = gateway.rig, GatewayProbe(gateway.rig.admin_socket("gateway"))
    errors = await rig.stats("gateway", "lua.errors")
    assert sum(errors.values()) == 0  # the package's check sees only the new process
    await gateway.issuer.close()
    await rig.kill("gateway")
    await rig.start(["gateway"])

    async def breaker_opened() -> bool:
        opened = await rig.stats("gateway", f"{KEY_SERVER}.outlier_detection.ejections_enforced")
        return sum(opened.values()) > 0

    await until(breaker_opened, 30, "the breaker of the key server opens")
    assert not await probe.check()
    assert await _statuses(gateway, gateway.token) == [503]
    failed_before = await _failed_fetches(gateway)
    await gateway.issuer.start(rig.partner_port[KEY_SERVER], rig.home / "partners" / KEY_SERVER)
    await until(probe.check, 60, "the gateway has the keys")
    assert await _failed_fetches(gateway) - failed_before <= 6
    assert await _statuses(gateway, gateway.token) == [200]


async def _failed_fetches(gateway: Gateway) -> int:
    return sum((await gateway.rig.stats("gateway", "jwt_authn.jwks_fetch_failed")).values())
