"""The way to the clearing house is full: who wants elsewhere is served, nothing is lost."""

import asyncio
import time
import uuid
from collections.abc import Sequence

import aiohttp

from sandbox.stack.testing import RunningStack
from services.chassis.http_client import CONNECTIONS_MAX
from tests.e2e.bank import Bank, Customer, until

SUBMIT = "POST /ach/transfer"
PAYERS, ORDERS_EACH = 15, 20
ASKING = "cluster.partner/ach-network.example.upstream_rq_active"
AGAIN = {429, 503, 504}


async def _asking(stack: RunningStack) -> int:
    """How many questions payments' sidecar has under way at the clearing house."""
    connector = aiohttp.UnixConnector(str(stack.home.run / "payments" / "admin.sock"))
    query = {"filter": ASKING.replace(".", r"\."), "format": "json"}
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get("http://envoy/stats", params=query) as answer,
    ):
        stats = (await answer.json())["stats"]
    return sum(int(one["value"]) for one in stats if one.get("name") == ASKING)


async def _until_yes(bank: Bank, payer: Customer, key: str) -> str:
    """Repeat an order until it is taken, as an app does."""
    while (answer := await bank.pay(payer, 1_00, key=key)).status != 200:
        assert answer.status in AGAIN, answer.text
        await asyncio.sleep(0.5)
    return answer.body["transferId"]


async def test_orders_beyond_what_the_clearing_house_takes_wait_and_hold_up_nobody_else(
    bank: Bank,
) -> None:
    payers = [await bank.customer() for _ in range(PAYERS)]
    ana, luis = await bank.customer(), await bank.customer()
    assert PAYERS * ORDERS_EACH > CONNECTIONS_MAX
    await bank.fault("ach", kind="hang", endpoint=SUBMIT)
    asked = [
        asyncio.create_task(_until_yes(bank, payer, str(uuid.uuid4())))
        for payer in payers
        for _ in range(ORDERS_EACH)
    ]

    async def full() -> bool:
        return await _asking(bank.stack) >= CONNECTIONS_MAX

    await until(full, 30, "the way to the clearing house is full")
    begun = time.monotonic()
    assert (await bank.book(ana, luis, 1_00)).status == 200
    assert (await bank.call("GET", "/v1/accounts", ana.token)).status == 200
    assert time.monotonic() - begun < 2
    await bank.mend("ach")
    taken = await asyncio.gather(*asked)
    assert len(set(taken)) == len(asked)
    await bank.close_breakers()
    await until(lambda: _none_pending(bank, taken), 120, "every transfer is sent or refunded")
    sent = (await _states(bank, taken)).count("SUBMITTED")
    assert sum([5_000_00 - await bank.posted(payer) for payer in payers]) == sent * 1_00


async def _states(bank: Bank, transfers: Sequence[str]) -> list[str]:
    sql = "SELECT state FROM payments.interbank_transfer WHERE transfer_id = ANY($1)"
    rows = await bank.rows("bp_write", sql, [uuid.UUID(one) for one in transfers])
    return [row["state"] for row in rows]


async def _none_pending(bank: Bank, transfers: Sequence[str]) -> bool:
    return set(await _states(bank, transfers)) <= {"SUBMITTED", "FAILED"}
