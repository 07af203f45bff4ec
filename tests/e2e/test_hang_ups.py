"""An app hangs up during its request and sends the request again with the same key.

No matter how far the first request got, the bank continues it, the second request gets the
transfer, and money moves once.
"""

import asyncio
import uuid
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from ops.waiting import until
from sandbox.client import Answer, Customer
from services.payments.driver import LEASE_S
from tests.rigs.running_bank import Bank

pytestmark = pytest.mark.judged_with_its_module

PATIENCE_MS = range(1, 41)
"""When each app hangs up: from before the gateway has read the request to after the answer."""

LANES = 4
"""How many apps call concurrently. With more, most requests would still wait at hang-up."""

STEPS = """
SELECT event_id FROM outbox.published WHERE subject = $1
UNION
SELECT event_id FROM outbox.event WHERE subject = $1
ORDER BY event_id
"""


async def _hang_up(call: Coroutine[Any, Any, Answer], after_ms: int) -> bool:
    """Send a request and close its connection; return False if it was answered before."""
    sent = asyncio.create_task(call)
    await asyncio.sleep(after_ms / 1000)
    sent.cancel()
    await asyncio.wait({sent})
    return sent.cancelled()


async def _hang_up_each(calls: Sequence[Coroutine[Any, Any, Answer]]) -> None:
    """Send all requests, and hang up each after a different time."""
    apps = list(zip(calls, PATIENCE_MS, strict=True))

    async def lane(first: int) -> list[bool]:
        return [await _hang_up(call, after_ms) for call, after_ms in apps[first::LANES]]

    lanes = await asyncio.gather(*(lane(first) for first in range(LANES)))
    assert any(one for hung_up in lanes for one in hung_up)


async def _driven(bank: Bank, customer: Customer) -> None:
    """Wait until no transfer of the customer is in progress, although its request is not repeated.

    Each step must happen before the lease of the previous step expires. Then the worker that began
    the transfer has continued it, and no other worker had to.
    """

    found: list[dict[str, Any]] = []

    async def none_in_progress() -> bool:
        path = f"/v1/transfers/interbank?accountId={customer.account_id}"
        found[:] = (await bank.call("GET", path, customer.token)).body["transfers"]
        return all(one["state"] in {"SUBMITTED", "CANCELLED"} for one in found)

    await until(none_in_progress, 2 * LEASE_S, "the end of a saga")
    for one in found:
        rows = await bank.rows("bp_write", STEPS, uuid.UUID(one["transferId"]))
        # The first 48 bits of a UUIDv7 are milliseconds.
        times_ms = [row["event_id"].int >> 80 for row in rows]
        leases_end = [at + LEASE_S * 1000 for at in times_ms]
        assert all(at < end for at, end in zip(times_ms[1:], leases_end, strict=False))


async def test_a_repeated_interbank_transfer_is_submitted_once(bank: Bank) -> None:
    apps = [(await bank.customer(100_00), str(uuid.uuid4())) for _ in PATIENCE_MS]
    await _hang_up_each([bank.pay(ana, 10_00, key=key) for ana, key in apps])
    for ana, key in apps:
        await _driven(bank, ana)
        repeated = await bank.pay(ana, 10_00, key=key)
        assert (repeated.status, repeated.body["state"]) == (200, "SUBMITTED")
        assert (await bank.pay(ana, 10_00, key=key)).text == repeated.text
        assert (await bank.only_transfer(ana))["transferId"] == repeated.body["transferId"]
        assert await bank.posted(ana) == 90_00


async def test_a_repeated_cancellation_ends_cancelled_and_refunds_once(bank: Bank) -> None:
    apps = [await bank.customer(100_00) for _ in PATIENCE_MS]
    ids = [(await bank.pay(ana, 10_00)).body["transferId"] for ana in apps]
    orders = list(zip(apps, ids, strict=True))
    await _hang_up_each([_cancel(bank, ana, transfer_id) for ana, transfer_id in orders])
    for ana, transfer_id in orders:
        await _driven(bank, ana)
        repeated = await _cancel(bank, ana, transfer_id)
        assert (repeated.status, repeated.body["state"]) == (200, "CANCELLED")
        assert await bank.posted(ana) == 100_00


async def test_a_repeated_book_transfer_is_posted_once(bank: Bank) -> None:
    luis = await bank.customer(0)
    apps = [(await bank.customer(100_00), str(uuid.uuid4())) for _ in PATIENCE_MS]
    await _hang_up_each([bank.book(ana, luis, 10_00, key=key) for ana, key in apps])
    for ana, key in apps:
        repeated = await bank.book(ana, luis, 10_00, key=key)
        assert (repeated.status, repeated.body["state"]) == (200, "COMPLETED")
        assert (await bank.book(ana, luis, 10_00, key=key)).text == repeated.text
        assert await bank.posted(ana) == 90_00
    assert await bank.posted(luis) == len(apps) * 10_00


async def test_a_repeat_gets_the_state_while_the_clearing_house_is_silent(bank: Bank) -> None:
    ana, key = await bank.customer(100_00), str(uuid.uuid4())
    await bank.fault("ach", kind="accept_then_hang", endpoint="POST /ach/transfer", count=1)
    await _hang_up(bank.pay(ana, 10_00, key=key), 2_000)
    repeated = await bank.pay(ana, 10_00, key=key)
    assert repeated.status == 200, repeated.text
    assert (await bank.pay(ana, 10_00, key=key)).text == repeated.text
    await bank.in_state(ana, repeated.body["transferId"], "SUBMITTED")
    assert await bank.posted(ana) == 90_00


async def _cancel(bank: Bank, customer: Customer, transfer_id: str) -> Answer:
    path = f"/v1/transfers/interbank/{transfer_id}:cancel"
    return await bank.call("POST", path, customer.token, {})
