"""The clearing house's notices at the gateway: forged, duplicated, reordered, early."""

import hashlib
import hmac
import json
import time
import uuid
from typing import Any

import pytest

from tests.rigs.running_bank import Answer, Bank

pytestmark = pytest.mark.judged_with_its_module

HOOK = "/v1/webhooks/ach"


def notice(kind: str, transfer: dict[str, Any], code: str = "") -> bytes:
    """Return the body of a notice as the clearing house writes it."""
    data = {
        "achTraceNumber": transfer["traceNumber"],
        "idempotencyKey": transfer["transferId"],
        "state": "RETURNED" if code else "SETTLED",
    }
    if code:
        data["returnReasonCode"] = code
    event = {
        "id": str(uuid.uuid4()),
        "type": f"transfer.{kind}",
        "createTime": "2026-03-02T08:30:00-05:00",
        "data": data,
    }
    return json.dumps(event).encode()


async def send(
    bank: Bank, body: bytes, *, secret: str = "", at_s: int = 0, certificate: bool = True
) -> Answer:
    """POST a notice, signed with the shared secret unless another one is given."""
    when = at_s or int(time.time())
    key = (secret or bank.stack.credentials.ach_webhook_secret).encode()
    mac = hmac.new(key, f"{when}.".encode() + body, hashlib.sha256).hexdigest()
    return await bank.as_ach("POST", HOOK, body, f"t={when},v1={mac}", certificate=certificate)


async def test_a_completion_and_its_repetitions_are_applied_once(bank: Bank) -> None:
    ana = await bank.customer()
    paid = (await bank.pay(ana, 100_00)).body
    await bank.two_banking_days_untold()
    body = notice("completed", paid)
    answers = [await send(bank, body) for _ in range(3)]
    assert {answer.status for answer in answers} == {200}
    await bank.release_notices()
    done = await bank.transfer(ana, paid["transferId"])
    assert done["state"] == "COMPLETED"
    sql = "SELECT count(*) AS n FROM ledger.entry WHERE reference = $1"
    rows = await bank.rows("bp_write", sql, uuid.UUID(paid["transferId"]))
    assert rows[0]["n"] == 4


async def test_a_return_credits_once_for_duplicate_and_reordered_notices(
    bank: Bank,
) -> None:
    ana = await bank.customer()
    paid = (await bank.pay(ana, 100_00, accountNumber="1239902")).body
    await bank.two_banking_days_untold()
    for body in (notice("returned", paid, "R02"), notice("completed", paid)):
        assert (await send(bank, body)).status == 200
    for _ in range(2):
        assert (await send(bank, notice("returned", paid, "R02"))).status == 200
    await bank.release_notices()
    assert (await bank.transfer(ana, paid["transferId"]))["state"] == "RETURNED"
    assert await bank.posted(ana) == 5_000_00


async def test_a_forged_notice_changes_nothing(bank: Bank) -> None:
    ana = await bank.customer()
    paid = (await bank.pay(ana, 100_00)).body
    body = notice("returned", paid, "R02")
    forged = await send(bank, body, secret="guessed by someone")
    stale = await send(bank, body, at_s=int(time.time()) - 3600)
    stranger = await send(bank, body, certificate=False)
    for answer in (forged, stale):
        assert (answer.status, answer.reason) == (401, "WEBHOOK_SIGNATURE_INVALID")
    assert stranger.status in {401, 403}
    assert (await bank.transfer(ana, paid["transferId"]))["state"] == "SUBMITTED"
    assert await bank.posted(ana) == 4_900_00


async def test_a_malformed_notice_is_refused_with_a_reason(bank: Bank) -> None:
    empty = b'{"id":"a","type":"transfer.completed","data":{}}'
    for body in (b"", b"[]", b"{", b'{"id": 1}', b'{"id":"a"}', empty):
        answer = await send(bank, body)
        assert (answer.status, answer.reason) == (400, "WEBHOOK_MALFORMED")


async def test_a_notice_of_an_unknown_transfer_is_kept(bank: Bank) -> None:
    stranger = {"traceNumber": "991000019999999", "transferId": str(uuid.uuid4())}
    body = notice("completed", stranger)
    assert (await send(bank, body)).status == 200
    sql = "SELECT state FROM payments.ach_notice WHERE notice_id = $1"
    rows = await bank.rows("bp_write", sql, json.loads(body)["id"])
    assert [row["state"] for row in rows] == ["KEPT"]


async def test_a_notice_with_a_foreign_trace_number_becomes_a_conflict(bank: Bank) -> None:
    ana = await bank.customer()
    paid = (await bank.pay(ana, 100_00)).body
    body = notice("returned", paid | {"traceNumber": "991000010999999"}, "R02")
    assert (await send(bank, body)).status == 200
    sql = "SELECT state FROM payments.ach_notice WHERE notice_id = $1"
    rows = await bank.rows("bp_write", sql, json.loads(body)["id"])
    assert [row["state"] for row in rows] == ["CONFLICT"]
    assert await bank.posted(ana) == 4_900_00
