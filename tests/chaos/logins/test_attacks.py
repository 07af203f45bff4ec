"""Attackers try many codes, passwords and tokens at once; the owner always gets in."""

import asyncio
import json
import random
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from ops.waiting import until
from sandbox.app import App
from tests.chaos.logins.books import Books
from tests.chaos.logins.steps import STEPS
from tests.rigs.running_bank import Answer, Bank

pytestmark = pytest.mark.judged_with_its_module

CONNECTIONS = 50
CODE_TRIES_MAX = 5
STRANGERS_TRIES_MAX = 5
LEAD_S = 8
"""Longer than the gateway keeps the provider's keys, which is five seconds and one fetch."""
SIGNED_WITHIN_S = 30
READS_EVERY_S = 0.1
"""Four readers at this pace stay below the limit of a customer."""
ADDRESSES, PASSWORDS_PER_ADDRESS = 100, 10


def _seen(answers: list[Answer]) -> Counter[str]:
    return Counter("OK" if answer.status == 200 else answer.reason for answer in answers)


@asynccontextmanager
async def _strangers(bank: Bank, app: App, count: int) -> AsyncGenerator[list[App]]:
    """Yield apps for the customer's account, each on an address and a device of its own."""
    async with AsyncExitStack() as stack:
        made: list[App] = []
        network = random.SystemRandom().randrange(65_536)
        for number in range(count):
            address = f"127.{1 + network // 256 % 254}.{network % 256}.{number + 1}"
            client = Bank(bank.stack, address)
            stack.push_async_callback(client.close)
            made.append(App(client, app.identity, app.face))
        yield made


async def test_wrong_codes_from_fifty_connections_get_five_looks(bank: Bank) -> None:
    app = await App.of(bank, await bank.customer())
    session_id = (await app.login()).body["sessionId"]
    right = await app.code()
    wrong = [f"{(int(right) + n) % 1_000_000:06}" for n in range(1, CONNECTIONS + 1)]
    async with _strangers(bank, app, CONNECTIONS) as strangers:
        tries = zip(strangers, wrong, strict=True)
        answers = await asyncio.gather(*(one.verify_otp(session_id, code) for one, code in tries))
    seen = _seen(answers)
    assert set(seen) <= {"OTP_INVALID", "TRIES_EXHAUSTED", "LOGIN_SESSION_INVALID"}, seen
    assert seen["OTP_INVALID"] <= CODE_TRIES_MAX
    assert (await app.verify_otp(session_id, right)).status != 200


async def test_a_right_code_from_fifty_connections_begins_one_third_factor(bank: Bank) -> None:
    """The same code gives the same answer again, because an app may have lost it."""
    app = await App.of(bank, await bank.customer())
    session_id = (await app.login()).body["sessionId"]
    right = await app.code()
    async with _strangers(bank, app, CONNECTIONS) as strangers:
        answers = await asyncio.gather(*(one.verify_otp(session_id, right) for one in strangers))
    asked = {answer.body["livenessSessionId"] for answer in answers if answer.status == 200}
    assert len(asked) == 1


async def test_a_thousand_wrong_passwords_from_a_hundred_addresses_do_not_lock_the_owner_out(
    bank: Bank,
) -> None:
    owner = await App.of(bank, await bank.customer(), "Owner's phone")
    assert (await owner.log_in()).status == 200
    locked, owner_is_in = asyncio.Event(), asyncio.Event()

    async def attack(stranger: App) -> list[Answer]:
        """Try passwords; keep the last one until the owner has logged in."""
        answers: list[Answer] = []
        for number in range(PASSWORDS_PER_ADDRESS):
            if number == PASSWORDS_PER_ADDRESS - 1:
                await owner_is_in.wait()
            answers.append(await stranger.login(f"wrong {number}"))
            if answers[-1].status == 429:
                locked.set()
        return answers

    async with _strangers(bank, owner, ADDRESSES) as strangers, asyncio.TaskGroup() as tasks:
        attacks = [tasks.create_task(attack(one)) for one in strangers]
        await locked.wait()
        during = await owner.log_in()
        owner_is_in.set()
    seen = _seen([answer for each in attacks for answer in each.result()])
    assert during.status == 200, during.text
    assert seen.total() == ADDRESSES * PASSWORDS_PER_ADDRESS
    assert set(seen) == {"CREDENTIALS_INVALID", "TRIES_EXHAUSTED"}, seen
    assert seen["CREDENTIALS_INVALID"] == STRANGERS_TRIES_MAX
    assert (await owner.log_in()).status == 200
    refused = await App(bank, owner.identity, owner.face).login()
    assert (refused.status, refused.reason) == (429, "TRIES_EXHAUSTED")


async def test_a_new_key_of_the_provider_refuses_no_request(bank: Bank, books: Books) -> None:
    ready = await STEPS["refresh"](bank, books)
    app, answers, rotated = ready.app, list[Answer](), asyncio.Event()

    async def reads() -> None:
        while not rotated.is_set():
            answers.append(await app.get("/v1/accounts"))
            await asyncio.sleep(READS_EVERY_S)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(reads())
        body = {"lead_s": LEAD_S}
        assert (await bank.control("oauth", "POST", "/control/keys/rotate", body)).status == 201
        first = _key_id(app)

        async def signed_anew() -> bool:
            await asyncio.sleep(READS_EVERY_S)
            answers.append(await app.refresh())
            answers.append(await app.get("/v1/accounts"))
            return _key_id(app) != first

        await until(signed_anew, SIGNED_WITHIN_S, "the provider signs with the new key")
        rotated.set()
    assert _seen(answers) == Counter({"OK": len(answers)})


def _key_id(app: App) -> str:
    head = app.phone.access_token.partition(".")[0]
    return json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
