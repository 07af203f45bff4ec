"""A token whose second factor is old pays known beneficiaries; a step-up lets it pay new ones."""

import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from sandbox.app import App
from tests.rigs.logins import claims, require_done
from tests.rigs.running_bank import Answer, Bank, Customer

pytestmark = pytest.mark.judged_with_its_module

MAX_AGE_S = 300
OLD_S = 600
LIMIT = 10_000_00

Pay = Callable[[Bank, Customer, Customer, int, str], Awaitable[Answer]]


async def _interbank(bank: Bank, payer: Customer, _: Customer, cents: int, key: str) -> Answer:
    return await bank.pay(payer, cents, key=key)


async def _book(bank: Bank, payer: Customer, payee: Customer, cents: int, key: str) -> Answer:
    return await bank.book(payer, payee, cents, key=key)


async def _aged(bank: Bank, customer: Customer, **more: object) -> Customer:
    """Return the customer with a token whose second factor is old."""
    old = {"auth_time": int(time.time()) - OLD_S, **more}
    return replace(customer, token=await bank.token(customer.customer_id, claims=old))


def _require_challenge(answer: Answer, cause: str) -> None:
    assert (answer.status, answer.reason) == (401, "STEP_UP_REQUIRED"), answer.text
    challenge = answer.headers["WWW-Authenticate"]
    assert 'error="insufficient_user_authentication"' in challenge
    assert f'max_age="{MAX_AGE_S}"' in challenge
    metadata = next(one["metadata"] for one in answer.body["details"] if "reason" in one)
    assert metadata["max_age_s"] == str(MAX_AGE_S)
    assert metadata["required_for"] == cause


@pytest.mark.parametrize("pay", [_interbank, _book])
async def test_an_old_factor_pays_known_beneficiaries_and_small_amounts_only(
    bank: Bank, pay: Pay
) -> None:
    ana, bo = await bank.customer(5 * LIMIT), await bank.customer()
    old, key = await _aged(bank, ana), str(uuid.uuid4())
    _require_challenge(await pay(bank, old, bo, 10_00, key), "NEW_BENEFICIARY")
    assert await bank.posted(ana) == 5 * LIMIT
    first = require_done(await pay(bank, ana, bo, 10_00, key))
    again = require_done(await pay(bank, old, bo, 10_00, key))
    assert again.body["transferId"] == first.body["transferId"], "a replay needs no factor"
    require_done(await pay(bank, old, bo, LIMIT, str(uuid.uuid4())))
    _require_challenge(await pay(bank, old, bo, LIMIT + 1, str(uuid.uuid4())), "AMOUNT")
    require_done(await pay(bank, ana, bo, LIMIT + 1, str(uuid.uuid4())))
    assert await bank.posted(ana) == 5 * LIMIT - 10_00 - LIMIT - LIMIT - 1


async def test_a_customer_pays_a_new_beneficiary_after_a_step_up(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    said = claims(logged_in.phone.access_token)
    old = await _aged(bank, ana, sid=said["sid"], device=said["device"])
    logged_in.phone.access_token = old.token
    key = str(uuid.uuid4())
    _require_challenge(await bank.pay(old, key=key), "NEW_BENEFICIARY")
    require_done(await logged_in.step_up())
    paid = await bank.pay(replace(ana, token=logged_in.phone.access_token), key=key)
    assert require_done(paid).body["state"] == "SUBMITTED"


async def test_a_mistake_in_the_order_is_reported_before_the_factor(bank: Bank) -> None:
    ana = await bank.customer()
    old = await _aged(bank, ana)
    answer = await bank.pay(old, routingNumber="021000022")
    assert (answer.status, answer.reason) == (400, "INVALID_ROUTING_NUMBER")
    unknown = await bank.pay(old, routingNumber="999999992")
    assert (unknown.status, unknown.reason) == (400, "UNKNOWN_ROUTING_NUMBER")
