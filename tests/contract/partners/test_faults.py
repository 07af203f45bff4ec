"""Faults on demand, tested at the clearing house; every partner uses the same middleware."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from ops.waiting import until
from tests.contract.partners.orders import find, new_key, submit
from tests.contract.partners.processes import PartnerProcess

SUBMIT = "POST /ach/transfer"
GONE = (aiohttp.ClientError, ConnectionError)
SILENCE_S = 0.4
"""How long a hanging partner is observed to send no answer; a slow host only extends it."""


@pytest.fixture(autouse=True)
async def clean(ach: PartnerProcess) -> AsyncIterator[None]:
    yield
    await ach.control("DELETE", "/control/faults")


@asynccontextmanager
async def unanswered(ach: PartnerProcess, key: str, **changes: Any) -> AsyncGenerator[None]:
    """Submit, and cancel the call at the end of the block; the partner must not answer before."""
    call = asyncio.create_task(submit(ach, key, **changes))
    try:
        yield
        await asyncio.wait({call}, timeout=SILENCE_S)
        assert not call.done(), "the partner answered"
    finally:
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)


async def has_fired(ach: PartnerProcess, fault_id: str) -> None:
    """Wait until a fault has fired once."""

    async def fired() -> bool:
        return (await ach.control("GET", f"/control/faults/{fault_id}")).body["fired"] == 1

    await until(fired, 15, "the fault")


async def is_known(ach: PartnerProcess, key: str) -> None:
    """Wait until the clearing house knows a transfer."""

    async def found() -> bool:
        return (await find(ach, key)).status == 200

    await until(found, 15, "the transfer")


async def test_a_fault_with_a_count_fires_that_often_and_shows_its_counters(
    ach: PartnerProcess,
) -> None:
    fault_id = await ach.fault(kind="http_5xx", endpoint=SUBMIT, count=2, params={"status": 502})
    statuses = [(await submit(ach, new_key())).status for _ in range(3)]
    assert statuses == [502, 502, 202]
    shown = (await ach.control("GET", f"/control/faults/{fault_id}")).body
    assert (shown["fired"], shown["left"]) == (2, 0)
    assert (await ach.control("DELETE", f"/control/faults/{fault_id}")).status == 200
    assert (await ach.control("GET", f"/control/faults/{fault_id}")).status == 404


async def test_a_rate_with_the_same_seed_hits_the_same_requests(ach: PartnerProcess) -> None:
    runs: list[list[int]] = []
    for _ in range(2):
        fault_id = await ach.fault(kind="reject", endpoint=SUBMIT, rate=0.5, seed=7)
        runs.append([(await submit(ach, new_key())).status for _ in range(20)])
        await ach.control("DELETE", f"/control/faults/{fault_id}")
    assert runs[0] == runs[1]
    assert {202, 422} == set(runs[0])


async def test_amount_and_fields_choose_the_request(ach: PartnerProcess) -> None:
    await ach.fault(kind="reject", amount_minor_units=777, params={"reason": "BY_AMOUNT"})
    await ach.fault(kind="reject", match={"name": "Eve"}, params={"status": 400})
    by_amount = await submit(ach, new_key(), minor_units=777)
    assert by_amount.body["error"]["code"] == "BY_AMOUNT"
    assert (await submit(ach, new_key(), name="Eve")).status == 400
    assert (await submit(ach, new_key())).status == 202


async def test_accept_then_hang_applies_the_effect_and_hang_does_not(ach: PartnerProcess) -> None:
    hung, accepted = new_key(), new_key()
    hangs = await ach.fault(kind="hang", endpoint=SUBMIT, match={"name": "Hang"})
    await ach.fault(kind="accept_then_hang", endpoint=SUBMIT, match={"name": "Accept"})
    async with unanswered(ach, hung, name="Hang"):
        await has_fired(ach, hangs)
    async with unanswered(ach, accepted, name="Accept"):
        await is_known(ach, accepted)
    assert (await find(ach, hung)).status == 404
    assert (await find(ach, accepted)).body["state"] == "ACCEPTED"


async def test_a_reset_breaks_the_connection_with_or_without_the_effect(
    ach: PartnerProcess,
) -> None:
    lost, kept = new_key(), new_key()
    await ach.fault(kind="reset", match={"name": "Lost"})
    await ach.fault(kind="reset", match={"name": "Kept"}, params={"apply": True})
    for key, name in ((lost, "Lost"), (kept, "Kept")):
        with pytest.raises(GONE):
            await submit(ach, key, name=name)
    assert (await find(ach, lost)).status == 404
    assert (await find(ach, kept)).status == 200


async def test_latency_and_slow_body_take_their_time(ach: PartnerProcess) -> None:
    await ach.fault(kind="latency", match={"name": "Late"}, params={"ms": 300})
    await ach.fault(kind="slow_body", match={"name": "Slow"}, params={"ms": 300})
    for name in ("Late", "Slow"):
        start = time.monotonic()
        answer = await submit(ach, new_key(), name=name)
        assert answer.body["state"] == "ACCEPTED"
        assert time.monotonic() - start >= 0.25


async def test_a_wrong_answer_is_altered_replaced_or_cut_short(ach: PartnerProcess) -> None:
    wrong = "000000000000000"
    await ach.fault(kind="wrong_answer", count=1, params={"fields": {"achTraceNumber": wrong}})
    assert (await submit(ach, new_key())).body["achTraceNumber"] == wrong
    await ach.fault(kind="wrong_answer", count=1, params={"body": {"ok": True}, "status": 200})
    assert (await submit(ach, new_key())).body == {"ok": True}
    await ach.fault(kind="wrong_answer", count=1)
    assert isinstance((await submit(ach, new_key())).body, bytes)


async def test_standing_triggers_work_by_amount_and_by_name(ach: PartnerProcess) -> None:
    assert (await submit(ach, new_key(), minor_units=400_503)).status == 503
    limited = await submit(ach, new_key(), minor_units=400_429)
    assert (limited.status, limited.headers["Retry-After"]) == (429, "1")
    refused = await submit(ach, new_key(), name="ACH REJECT")
    assert refused.body["error"]["code"] == "TRANSFER_REFUSED"
    key = new_key()
    async with unanswered(ach, key, minor_units=400_504):
        await is_known(ach, key)


async def test_a_malformed_fault_is_refused(ach: PartnerProcess) -> None:
    assert (await ach.control("POST", "/control/faults", {"kind": "meteor"})).status == 400
