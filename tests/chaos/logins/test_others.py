"""Logins while Kafka is down, and payments while auth is down."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from ops.waiting import until
from sandbox.app import App
from sandbox.client import Customer
from sandbox.seed import people
from tests.chaos.logins.books import Books
from tests.chaos.logins.outages import all_ready, paused, stopped
from tests.chaos.logins.steps import STEPS, Ready, answers_of, prepared
from tests.chaos.logins.test_stores import UNAVAILABLE, assert_refused
from tests.rigs.logins import pushed
from tests.rigs.running_bank import Bank

pytestmark = pytest.mark.judged_with_its_module

ARRIVE_WITHIN_S = 60
PUBLISHING = ("face", "app and key", "logout", "change password", "reset")
"""Steps whose success is an event."""
PUSHED = {"face": "NEW_DEVICE", "reset": "PASSWORD_CHANGED"}


def _customer(ready: Ready) -> Customer:
    name = ready.app.face
    return Customer(name, people.customer_id(name), people.account_id(name), "")


@pytest.mark.parametrize("outage", [stopped, paused], ids=["is stopped", "hangs"])
async def test_each_step_works_without_kafka_and_its_events_arrive_afterwards(
    bank: Bank,
    books: Books,
    outage: Callable[[Bank, str], AbstractAsyncContextManager[None]],
) -> None:
    ready = await prepared(bank, books, STEPS)

    async def published() -> bool:
        return not sum([await books.waiting_events(each.app) for each in ready])

    await until(published, ARRIVE_WITHIN_S, "the events of the preparation are published")
    async with outage(bank, "kafka"):
        for each, answer in await answers_of(ready):
            assert answer.status == 200, (each.step, answer.text)
        waiting = {each.step: await books.waiting_events(each.app) for each in ready}
    assert all(waiting[step] for step in PUBLISHING), waiting
    await all_ready(bank)
    await until(published, ARRIVE_WITHIN_S, "the events of the outage are published")
    for each in ready:
        if each.step in PUSHED:
            await pushed(bank, _customer(each), PUSHED[each.step])
        await each.has_texts(each.messages)


async def test_without_auth_a_valid_token_pays_and_no_login_begins(bank: Bank) -> None:
    customer = await bank.customer()
    app = await App.of(bank, customer)
    assert (await app.log_in()).status == 200
    async with stopped(bank, "auth"):
        assert_refused(await app.login(), UNAVAILABLE)
        assert_refused(await app.refresh(), UNAVAILABLE)
        assert_refused(await app.log_out(), UNAVAILABLE)
        assert (await app.get("/v1/accounts")).status == 200
        paid = await bank.pay(replace(customer, token=app.phone.access_token))
        assert paid.status == 200, paid.text
    assert (await app.refresh()).status == 200
