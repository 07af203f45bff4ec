"""With all connections to the clearing house in use, other calls are served and nothing is lost.

In production the sidecar gives up a request after seven seconds and a connection after two, and
five failures in a row open its breaker. A slow host cannot send enough orders before these limits.
In this test the sidecar has no timeout, so all connections are used at any speed of the host.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from ops.waiting import scaled_s, until
from sandbox.stack import pinning
from sandbox.stack.testing import RunningStack
from services.chassis.http_client import CONNECTIONS_MAX
from tests.rigs.running_bank import Bank, Customer

SUBMIT = "POST /ach/transfer"
PAYERS, ORDERS_EACH = 15, 20
CLUSTER = "partner/ach-network.example"
ASKING, ASKED = "upstream_rq_active", "upstream_rq_total"
AGAIN = {429, 503, 504}
IN_PROGRESS = "REQUEST_IN_PROGRESS"
"""Reason of a 409: the first request with the key is still in progress."""
NEVER = "3600s"
TAKEN_WITHIN_S = 120
"""How long to retry an order until it is accepted."""


def _patient(part: Any) -> Any:
    """Return a sidecar's configuration in which no request to the clearing house times out."""
    if isinstance(part, list):
        return [_patient(one) for one in part]
    if not isinstance(part, dict):
        return part
    more = {name: _patient(value) for name, value in part.items()}
    if part.get("cluster") == CLUSTER and "retry_policy" in part:
        retries = {**part["retry_policy"], "per_try_timeout": NEVER}
        more |= {"timeout": NEVER, "retry_policy": retries}
    if part.get("name") == CLUSTER and "outlier_detection" in part:
        more |= {"connect_timeout": NEVER}
        del more["outlier_detection"]
    return more


@asynccontextmanager
async def _questions_wait(bank: Bank) -> AsyncGenerator[None]:
    """Let payments' sidecar wait for the clearing house's answers without a limit.

    The sidecar restarts before and after; each restart interrupts its requests in flight.
    """
    home = bank.stack.home
    try:
        await asyncio.to_thread(pinning.pin, home, "payments", _changed, _changed)
        await bank.close_breakers()
        yield
    finally:
        await asyncio.to_thread(pinning.unpin, home, "payments")
        await bank.close_breakers()


def _changed(content: dict[str, Any]) -> dict[str, Any]:
    patient = _patient(content)
    assert patient != content
    return patient


async def _count(stack: RunningStack, name: str) -> int:
    """Return a counter of payments' sidecar about its requests to the clearing house."""
    connector = aiohttp.UnixConnector(str(stack.home.run / "payments" / "admin.sock"))
    wanted = f"cluster.{CLUSTER}.{name}"
    query = {"filter": f"^{wanted.replace('.', r'[.]')}$", "format": "json"}
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get("http://envoy/stats", params=query) as answer,
    ):
        stats = (await answer.json())["stats"]
    return sum(int(one["value"]) for one in stats if one.get("name") == wanted)


async def _until_yes(bank: Bank, payer: Customer, key: str) -> str:
    """Retry an order until it is accepted, as an app does."""
    async with asyncio.timeout(scaled_s(TAKEN_WITHIN_S)):
        while (answer := await bank.pay(payer, 1_00, key=key)).status != 200:
            assert answer.status in AGAIN or answer.reason == IN_PROGRESS, answer.text
            await asyncio.sleep(0.5)
    return answer.body["transferId"]


async def test_orders_beyond_the_clearing_houses_capacity_wait_and_delay_no_other_caller(
    bank: Bank,
) -> None:
    payers = [await bank.customer() for _ in range(PAYERS)]
    ana, luis = await bank.customer(), await bank.customer()
    assert PAYERS * ORDERS_EACH > CONNECTIONS_MAX
    async with asyncio.TaskGroup() as calls, _questions_wait(bank):
        await bank.fault("ach", kind="hang", endpoint=SUBMIT)
        asked = [
            calls.create_task(_until_yes(bank, payer, str(uuid.uuid4())))
            for payer in payers
            for _ in range(ORDERS_EACH)
        ]

        async def full() -> bool:
            return await _count(bank.stack, ASKING) >= CONNECTIONS_MAX

        async def others_are_served() -> bool:
            # Orders wait for a connection, so each request that ends starts another one.
            begun = await _count(bank.stack, ASKED)
            served = await _served(bank, ana, luis)
            return served and await full() and await _count(bank.stack, ASKED) == begun

        await until(full, 50, "all connections to the clearing house are in use")
        await until(others_are_served, 30, "others are served while all connections are in use")
        await bank.clear_faults("ach")
    taken = [one.result() for one in asked]
    assert len(set(taken)) == len(asked)
    await bank.close_breakers()
    await until(lambda: _none_pending(bank, taken), 120, "every transfer is sent or refunded")
    sent = (await _states(bank, taken)).count("SUBMITTED")
    assert sum([5_000_00 - await bank.posted(payer) for payer in payers]) == sent * 1_00


async def _served(bank: Bank, ana: Customer, luis: Customer) -> bool:
    """Return whether a book transfer and a read are served now."""
    answers = [
        await bank.book(ana, luis, 1_00),
        await bank.call("GET", "/v1/accounts", ana.token),
    ]
    assert {one.status for one in answers} <= {200, *AGAIN}, answers
    return all(one.status == 200 for one in answers)


async def _states(bank: Bank, transfers: Sequence[str]) -> list[str]:
    sql = "SELECT state FROM payments.interbank_transfer WHERE transfer_id = ANY($1)"
    rows = await bank.rows("bp_write", sql, [uuid.UUID(one) for one in transfers])
    return [row["state"] for row in rows]


async def _none_pending(bank: Bank, transfers: Sequence[str]) -> bool:
    return set(await _states(bank, transfers)) <= {"SUBMITTED", "FAILED"}
