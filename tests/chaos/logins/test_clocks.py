"""auth's clock is wrong by two minutes: logins, refreshes, step-ups and logouts still work."""

import pytest

from ops.waiting import until
from sandbox.app import App
from tests.chaos.stores.test_clock import SKEW_S, with_skew
from tests.rigs.running_bank import Bank

pytestmark = pytest.mark.judged_with_its_module

REFUSED_WITHIN_S = 10


@pytest.mark.parametrize("seconds", [SKEW_S, -SKEW_S])
async def test_auth_two_minutes_off_logs_in_refreshes_and_ends_sessions(
    bank: Bank, seconds: int
) -> None:
    before = await App.of(bank, await bank.customer())
    assert (await before.log_in()).status == 200
    async with with_skew(bank, "auth", seconds):
        assert (await before.refresh()).status == 200
        app = await App.of(bank, await bank.customer())
        done = await app.log_in()
        assert done.status == 200, done.text
        assert (await app.get("/v1/accounts")).status == 200
        old = app.phone.refresh_token
        first = await app.refresh()
        assert (await app.refresh(old)).body == first.body
        assert (await app.log_out()).status == 200

        async def refused() -> bool:
            return (await app.get("/v1/accounts")).status == 401

        await until(refused, REFUSED_WITHIN_S, "the token of the ended session is refused")
    assert (await before.refresh()).status == 200
    assert (await app.log_in()).status == 200


@pytest.mark.parametrize("seconds", [SKEW_S - 10, 10 - SKEW_S])
async def test_the_gateway_accepts_tokens_of_a_provider_whose_clock_differs(
    bank: Bank, seconds: int
) -> None:
    """The clocks of provider and gateway differ by almost two minutes, in either direction."""
    customer = await bank.customer()
    token = await bank.token(customer.customer_id, lifetime_s=600 + seconds)
    assert (await bank.call("GET", "/v1/accounts", token)).status == 200
