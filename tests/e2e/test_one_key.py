"""A customer uses one key at both transfer endpoints: money moves once."""

import asyncio
import uuid

import pytest

from sandbox.client import Customer
from tests.rigs.running_bank import Bank

pytestmark = pytest.mark.judged_with_its_module

REUSED = (409, "IDEMPOTENCY_KEY_REUSED")
RACES = 10


async def test_a_key_of_an_interbank_transfer_makes_no_book_transfer(bank: Bank) -> None:
    ana, luis = await bank.customer(100_00), await bank.customer(0)
    key = str(uuid.uuid4())
    first = await bank.pay(ana, 10_00, key=key)
    assert first.status == 200
    refused = await bank.book(ana, luis, 10_00, key=key)
    assert (refused.status, refused.reason) == REUSED
    assert await bank.posted(ana) == 90_00
    assert await bank.posted(luis) == 0
    again = await bank.pay(ana, 10_00, key=key)
    assert (again.status, again.text) == (200, first.text)


async def test_a_key_of_a_book_transfer_makes_no_interbank_transfer(bank: Bank) -> None:
    ana, luis = await bank.customer(100_00), await bank.customer(0)
    key = str(uuid.uuid4())
    first = await bank.book(ana, luis, 10_00, key=key)
    assert first.status == 200
    refused = await bank.pay(ana, 10_00, key=key)
    assert (refused.status, refused.reason) == REUSED
    assert await bank.posted(ana) == 90_00
    again = await bank.book(ana, luis, 10_00, key=key)
    assert (again.status, again.text) == (200, first.text)


async def test_a_refusal_at_one_endpoint_leaves_the_key_free_for_the_other(bank: Bank) -> None:
    ana, luis = await bank.customer(100_00), await bank.customer(0)
    key = str(uuid.uuid4())
    refused = await bank.book(ana, luis, 200_00, key=key)
    assert (refused.status, refused.reason) == (400, "INSUFFICIENT_FUNDS")
    assert (await bank.pay(ana, 10_00, key=key)).status == 200


async def test_of_both_requests_with_one_key_at_the_same_time_one_moves_money(bank: Bank) -> None:
    luis = await bank.customer(0)
    payers = [await bank.customer(100_00) for _ in range(RACES)]

    async def race(ana: Customer) -> None:
        key = str(uuid.uuid4())
        calls = [bank.pay(ana, 10_00, key=key), bank.book(ana, luis, 10_00, key=key)]
        made, refused = sorted(await asyncio.gather(*calls), key=lambda one: one.status)
        assert made.status == 200, made.text
        assert (refused.status, refused.reason) == REUSED

    await asyncio.gather(*(race(ana) for ana in payers))
    assert [await bank.posted(ana) for ana in payers] == [90_00] * RACES
