"""Delivery receipts of the SMS gateway: signed, sent again until accepted, kept over kill -9."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ops.waiting import until
from tests.contract.partners.bank_receiver import Received, Receiver, receiver
from tests.contract.partners.processes import PartnerProcess
from tests.contract.partners.texts import gateway, new_key, send, sent

SECRET = "sms-webhook-test-secret"
ATTEMPTS_MAX = 4


def webhook_of(certs: Path, bank_certs: Path, bank: Receiver) -> dict[str, Any]:
    return {
        "url": bank.url,
        "secret": SECRET,
        "cert": str(certs / "sms-webhook.pem"),
        "key": str(certs / "sms-webhook.key"),
        "bank_ca": str(bank_certs / "oauth-ca.pem"),
        "backoff_first_ms": 20,
        "attempts_max": ATTEMPTS_MAX,
    }


@pytest.fixture
async def bank(bank_certs: Path, certs: Path) -> AsyncIterator[Receiver]:
    async with receiver(bank_certs, certs / "webhook-clients-ca.pem", "sms") as taking:
        yield taking


@pytest.fixture
async def sms(
    certs: Path, bank_certs: Path, tmp_path: Path, bank: Receiver
) -> AsyncIterator[PartnerProcess]:
    async with gateway(tmp_path, certs, webhook=webhook_of(certs, bank_certs, bank)) as partner:
        yield partner


async def received(bank: Receiver, count: int) -> list[Received]:
    """Wait until the bank has received that many notices, and return them all."""

    async def enough() -> bool:
        return len(bank.received) >= count

    await until(enough, 15, f"{count} receipts")
    return bank.received


async def counted(sms: PartnerProcess, **wanted: int) -> None:
    """Wait until the gateway's counts of receipts have these values."""

    async def equal() -> bool:
        counts = (await sms.control("GET", "/control/state")).body["webhooks"]
        return wanted.items() <= counts.items()

    await until(equal, 15, f"receipts {wanted}")


async def redelivered(sms: PartnerProcess, **chosen: Any) -> Any:
    """Have receipts sent again, and return the answer."""
    done = await sms.control("POST", "/control/webhooks/redeliver", chosen)
    assert done.status == 200, done.body
    return done.body


async def test_a_receipt_says_that_a_message_was_delivered_without_text_and_number(
    sms: PartnerProcess, bank: Receiver
) -> None:
    message_id = await sent(sms)
    [got] = await received(bank, 1)
    event = got.event
    assert set(event) == {"id", "type", "createTime", "data"}
    assert event["type"] == "message.delivered"
    data = {"messageId": message_id, "clientReference": "otp-1", "state": "DELIVERED"}
    assert event["data"] == data


@pytest.mark.parametrize(
    ("change", "state", "code"),
    [
        ({"to": "+15550100404"}, "UNDELIVERED", "UNKNOWN_SUBSCRIBER"),
        ({"to": "+15550100408", "ttlSeconds": 1}, "EXPIRED", "TTL_EXPIRED"),
    ],
)
async def test_a_receipt_says_why_a_message_was_not_delivered(
    sms: PartnerProcess, bank: Receiver, change: dict[str, Any], state: str, code: str
) -> None:
    await sent(sms, **change)
    [got] = await received(bank, 1)
    assert got.event["type"] == "message.undelivered"
    assert (got.event["data"]["state"], got.event["data"]["errorCode"]) == (state, code)


async def test_a_receipt_is_signed_and_comes_with_the_gateways_certificate(
    sms: PartnerProcess, bank: Receiver
) -> None:
    await sent(sms)
    [got] = await received(bank, 1)
    assert got.is_signed(SECRET)
    assert ("URI", "spiffe://sms-gateway.example/webhooks") in got.peer["subjectAltName"]


async def test_a_refused_receipt_is_sent_again_with_the_same_id_until_accepted(
    sms: PartnerProcess, bank: Receiver
) -> None:
    bank.script[:] = [404, 503]
    await sent(sms)
    await counted(sms, delivered=1, pending=0, dead=0, attempts=3)
    tries = bank.received
    assert all(one.is_signed(SECRET) for one in tries)
    assert len(tries) == 3
    assert len({one.event["id"] for one in tries}) == 1


async def test_a_receipt_that_the_bank_never_accepts_is_dead_and_can_be_sent_again(
    sms: PartnerProcess, bank: Receiver
) -> None:
    bank.script[:] = [404] * ATTEMPTS_MAX
    await sent(sms)
    await counted(sms, dead=1, pending=0, attempts=ATTEMPTS_MAX)
    await sms.restart()
    await counted(sms, dead=1, pending=0, attempts=0)
    assert await redelivered(sms, dead=True) == {"queued": 1}
    await counted(sms, dead=0, delivered=1)
    assert len(bank.received) == ATTEMPTS_MAX + 1


async def test_a_receipt_that_waits_outlives_kill_9_and_a_delivered_one_is_not_repeated(
    sms: PartnerProcess, bank: Receiver
) -> None:
    first = await sent(sms)
    await counted(sms, delivered=1)
    await sms.control("POST", "/control/webhooks/hold")
    second = await sent(sms)
    await counted(sms, pending=1)
    await sms.restart()
    await counted(sms, delivered=2, pending=0, attempts=1)
    assert [one.event["data"]["messageId"] for one in bank.received] == [first, second]


async def test_a_message_that_ends_while_the_gateway_is_down_gets_its_receipt(
    sms: PartnerProcess, bank: Receiver
) -> None:
    await sent(sms, to="+15550100408", ttlSeconds=1)
    await sms.restart()
    [got] = await received(bank, 1)
    assert got.event["data"]["state"] == "EXPIRED"


async def test_falsified_receipts_are_sent_on_request(sms: PartnerProcess, bank: Receiver) -> None:
    key = new_key()
    await send(sms, key)
    await received(bank, 1)
    for tamper in ("signature", "body", "stale"):
        done = await redelivered(sms, idempotencyKey=key, tamper=tamper)
        assert [one["status"] for one in done["answers"]] == [200]
    assert [one.is_signed(SECRET) for one in bank.received] == [True, False, False, False]
    event_id = bank.received[0].event["id"]
    assert await redelivered(sms, id=event_id) == {"queued": 1}
    assert (await received(bank, 5))[4].is_signed(SECRET)


async def test_a_dropped_message_takes_its_undelivered_receipt_with_it(
    certs: Path, bank_certs: Path, tmp_path: Path, bank: Receiver
) -> None:
    webhook = webhook_of(certs, bank_certs, bank) | {"attempts_max": 1}
    bank.script[:] = [404] * 9
    async with gateway(tmp_path, certs, webhook=webhook, messages_max=2) as sms:
        for count in range(1, 6):
            await sent(sms)
            await received(bank, count)
        await counted(sms, pending=0, dead=2)
        await sms.restart()
        await counted(sms, pending=0, dead=2)
