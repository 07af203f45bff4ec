"""With an old second factor, a token pays known beneficiaries only, and changes no factor."""

import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from sandbox.app import App
from tests.rigs.logins import claims, require_done, require_refused, second_phone
from tests.rigs.running_bank import Answer, Bank, Customer

pytestmark = pytest.mark.judged_with_its_module

MAX_AGE_S = 300
OLD_S = 600
LIMIT = 10_000_00
CHANGES: list[tuple[str, str, dict[str, Any] | None]] = [
    (
        "POST",
        "devices:registerKey",
        {"credentialId": "eA", "clientDataJson": "e30", "attestationObject": "oA"},
    ),
    ("DELETE", "devices/{device}", None),
    ("POST", "totp", {}),
    ("POST", "totp:confirm", {"otp": "123456"}),
    ("DELETE", "totp", None),
]
"""Each call that changes a factor or a device: method, path, body."""

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


async def test_a_customer_pays_a_new_beneficiary_and_changes_factors_only_after_a_step_up(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    said = claims(logged_in.phone.access_token)
    old = await _aged(bank, ana, sid=said["sid"], device=said["device"])
    logged_in.phone.access_token = old.token
    key = str(uuid.uuid4())
    _require_challenge(await bank.pay(old, key=key), "NEW_BENEFICIARY")
    for method, path, body in CHANGES:
        answer = await bank.call(method, f"/v1/auth/{path.format(**said)}", old.token, body)
        _require_challenge(answer, "METHOD")
    require_done(await logged_in.step_up())
    require_done(await logged_in.post("totp", {}, token=logged_in.phone.access_token))
    paid = await bank.pay(replace(ana, token=logged_in.phone.access_token), key=key)
    assert require_done(paid).body["state"] == "SUBMITTED"


async def test_a_stolen_access_token_gets_no_further_token(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    """A step-up needs the device token too, like a refresh."""
    tablet, token = await second_phone(bank, ana), logged_in.phone.access_token
    before = len(await logged_in.texts())
    without = await logged_in.post("step-up", {}, token)
    assert (without.status, without.reason) == (400, "INVALID_ARGUMENT"), without.text
    for device_token in ("guessed", tablet.phone.device_token):
        refused = await logged_in.post("step-up", {"deviceToken": device_token}, token)
        require_refused(refused, 401, "REFRESH_TOKEN_INVALID")
    assert len(await logged_in.texts()) == before
    require_done(await logged_in.step_up())


async def test_a_mistake_in_the_order_is_reported_before_the_factor(bank: Bank) -> None:
    ana = await bank.customer()
    old = await _aged(bank, ana)
    answer = await bank.pay(old, routingNumber="021000022")
    assert (answer.status, answer.reason) == (400, "INVALID_ROUTING_NUMBER")
    unknown = await bank.pay(old, routingNumber="999999992")
    assert (unknown.status, unknown.reason) == (400, "UNKNOWN_ROUTING_NUMBER")
