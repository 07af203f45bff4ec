"""payments is killed after each step of the saga: the transfer resumes and the books balance."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ops.waiting import until
from tests.rigs.running_bank import Answer, Bank, Customer

SUBMIT, QUERY = "POST /ach/transfer", "GET /ach/transfer"
RECALL = "POST /ach/transfer/cancel"


async def _start(bank: Bank, ana: Customer) -> tuple["asyncio.Task[Answer]", dict[str, Any]]:
    """Request a transfer that a fault will interrupt; return it once it is durable."""
    asked = asyncio.create_task(bank.pay(ana, 100_00))
    return asked, await bank.only_transfer(ana)


async def _debited(bank: Bank, ana: Customer) -> str:
    await bank.fault("ach", kind="hang", endpoint=SUBMIT)
    _, transfer = await _start(bank, ana)
    return transfer["transferId"]


async def _accepted_unsaved(bank: Bank, ana: Customer) -> str:
    await bank.fault("ach", kind="accept_then_hang", endpoint=SUBMIT)
    _, transfer = await _start(bank, ana)

    async def there() -> bool:
        return bool(await bank.at_ach(transfer["transferId"]))

    await until(there, 20, "the clearing house has the transfer")
    return transfer["transferId"]


async def _outcome_unknown(bank: Bank, ana: Customer) -> str:
    await bank.fault("ach", kind="reset", endpoint=SUBMIT)
    await bank.fault("ach", kind="hang", endpoint=QUERY)
    _, transfer = await _start(bank, ana)
    await bank.in_state(ana, transfer["transferId"], "OUTCOME_UNKNOWN")
    return transfer["transferId"]


async def _recalled_unsaved(bank: Bank, ana: Customer) -> str:
    await bank.fault("ach", kind="reset", endpoint=SUBMIT)
    await bank.fault("ach", kind="accept_then_hang", endpoint=RECALL)
    _, transfer = await _start(bank, ana)

    async def recalled() -> bool:
        return (await bank.at_ach(transfer["transferId"])).get("state") == "CANCELLED"

    await until(recalled, 20, "the clearing house has the tombstone")
    return transfer["transferId"]


async def _cancelling(bank: Bank, ana: Customer) -> str:
    paid = (await bank.pay(ana, 100_00)).body
    await bank.fault("ach", kind="hang", endpoint=RECALL)
    path = f"/v1/transfers/interbank/{paid['transferId']}:cancel"
    asked = asyncio.create_task(bank.call("POST", path, ana.token, {}))
    await bank.in_state(ana, paid["transferId"], "CANCELLING")
    asked.cancel()
    return paid["transferId"]


async def _submitted(bank: Bank, ana: Customer) -> str:
    return (await bank.pay(ana, 100_00)).body["transferId"]


async def _failed(bank: Bank, ana: Customer) -> str:
    await bank.fault("ach", kind="reset", endpoint=SUBMIT)
    return (await bank.pay(ana, 100_00)).body["details"][0]["metadata"]["transfer_id"]


async def _completed(bank: Bank, ana: Customer) -> str:
    paid = (await bank.pay(ana, 100_00)).body
    await bank.two_banking_days()
    await bank.in_state(ana, paid["transferId"], "COMPLETED")
    return paid["transferId"]


Stop = Callable[[Bank, Customer], Awaitable[str]]
STEPS: list[tuple[Stop, str, int]] = [
    # killed when, final state, the customer's balance
    (_debited, "SUBMITTED", 4_900_00),
    (_accepted_unsaved, "SUBMITTED", 4_900_00),
    (_outcome_unknown, "FAILED", 5_000_00),
    (_recalled_unsaved, "FAILED", 5_000_00),
    (_cancelling, "CANCELLED", 5_000_00),
    (_submitted, "SUBMITTED", 4_900_00),
    (_failed, "FAILED", 5_000_00),
    (_completed, "COMPLETED", 4_900_00),
]


@pytest.mark.parametrize(("stop_at", "ends_as", "minor_units"), STEPS)
async def test_a_crash_after_each_step_is_resumed_with_the_books_right(
    bank: Bank, stop_at: Stop, ends_as: str, minor_units: int
) -> None:
    ana = await bank.customer(5_000_00)
    transfer_id = await stop_at(bank, ana)
    killed = await asyncio.to_thread(bank.stack.kill, "payments")
    await bank.clear_faults("ach")
    await asyncio.to_thread(bank.stack.wait_ready, "payments", not_pid=killed)
    ended = await bank.in_state(ana, transfer_id, ends_as, timeout_s=90)
    assert await bank.posted(ana) == minor_units
    at_ach = await bank.at_ach(transfer_id)
    assert (at_ach.get("state") == "CANCELLED") == (ends_as in {"FAILED", "CANCELLED"})
    if ended["traceNumber"]:
        assert at_ach["achTraceNumber"] == ended["traceNumber"]
