"""Bugs of the edge."""

import asyncio

from tests.e2e.bank import Bank


async def test_an_edge_that_could_not_fetch_the_keys_asks_for_patience_and_not_for_a_new_login(
    bank: Bank,
) -> None:
    """A gateway that started while the provider was away answered 401 to sound tokens."""
    ana = await bank.customer()
    await bank.fault("oauth", kind="reset")
    try:
        await asyncio.to_thread(bank.stack.restart, "gateway")
        refused = await bank.pay(ana)
    finally:
        await bank.mend("oauth")
        # Its breaker before the provider would be open for half a minute.
        await asyncio.to_thread(bank.stack.restart, "gateway")
    assert (refused.status, refused.reason) == (503, "DEPENDENCY_UNAVAILABLE")
    assert int(refused.headers["Retry-After"]) > 0
    assert (await bank.pay(ana)).status == 200
