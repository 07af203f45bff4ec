"""Delivery receipts of the SMS gateway: recorded, and refused if they are forged or malformed."""

import hashlib
import hmac
import json
import time
import uuid
from typing import Any

import pytest

from ops.waiting import until
from sandbox.app import App
from sandbox.client import Customer
from sandbox.seed import people, planting
from sandbox.seed.people import Person
from tests.rigs.logins import require_done, require_refused
from tests.rigs.running_bank import Answer, Bank

pytestmark = pytest.mark.judged_with_its_module


async def _recorded(bank: Bank, message_id: str) -> dict[str, Any]:
    """Wait until auth has a receipt of a message; return its row."""

    async def found() -> dict[str, Any] | None:
        sql = "SELECT state, error_code FROM auth.sms_receipt WHERE message_id = $1"
        rows = await bank.rows("bp_auth", sql, message_id)
        return dict(rows[0]) if rows else None

    return await until(found, 60, "the receipt of a text message")


async def _unreachable(bank: Bank) -> Customer:
    """Return a customer whose telephone number the gateway does not know."""
    name = f"{people.UNREACHABLE}{uuid.uuid4().hex[:8]}"
    await planting.open_people(bank.connect, [Person(name, "Guest Customer", ())])
    return Customer(name, people.customer_id(name), people.account_id(name), "")


async def _send(bank: Bank, body: bytes, *, secret: str = "", age_s: int = 0) -> Answer:
    when = int(time.time()) - age_s
    key = (secret or bank.stack.credentials.sms_webhook_secret).encode()
    mac = hmac.new(key, f"{when}.".encode() + body, hashlib.sha256).hexdigest()
    return await bank.as_sms(body, f"t={when},v1={mac}")


def _receipt(message_id: str, **changes: Any) -> bytes:
    data = {"messageId": message_id, "clientReference": "x", "state": "DELIVERED", **changes}
    return json.dumps({"id": str(uuid.uuid4()), "type": "message.delivered", "data": data}).encode()


async def test_a_delivered_code_has_its_receipt(bank: Bank) -> None:
    app = await App.of(bank, await bank.customer())
    require_done(await app.login())
    await app.code()
    row = await _recorded(bank, (await app.texts())[-1]["messageId"])
    assert row == {"state": "DELIVERED", "error_code": ""}


async def test_a_code_that_reaches_no_telephone_is_recorded_and_logged(bank: Bank) -> None:
    app = await App.of(bank, await _unreachable(bank))
    require_done(await app.login())
    row = await _recorded(bank, (await app.texts())[-1]["messageId"])
    assert row == {"state": "UNDELIVERED", "error_code": "UNKNOWN_SUBSCRIBER"}

    async def logged() -> bool:
        return "sms.not_delivered" in (bank.stack.home.logs / "auth.log").read_text()

    await until(logged, 30, "the log says that a message was not delivered")


async def test_a_forged_or_old_receipt_is_refused(bank: Bank) -> None:
    message_id = uuid.uuid4().hex
    body = _receipt(message_id)
    for answer in (
        await _send(bank, body, secret="guessed by a stranger"),
        await _send(bank, body, age_s=3600),
        await bank.as_sms(body, ""),
    ):
        require_refused(answer, 401, "RECEIPT_SIGNATURE_INVALID")
    for certificate in ("", "ach-webhook"):
        assert (await bank.as_sms(body, "", certificate)).status in {401, 403}
    sql = "SELECT count(*) AS n FROM auth.sms_receipt WHERE message_id = $1"
    assert (await bank.rows("bp_auth", sql, message_id))[0]["n"] == 0


async def test_a_malformed_receipt_is_refused_with_a_reason(bank: Bank) -> None:
    unusable = (
        b"",
        b"[]",
        b"{",
        b'{"id":"a","data":[]}',
        _receipt(""),
        _receipt("x" * 129),
        _receipt("a", state="LOST"),
        _receipt("a", state=1),
        _receipt("a", errorCode="x" * 65),
    )
    for body in unusable:
        require_refused(await _send(bank, body), 400, "RECEIPT_MALFORMED")
