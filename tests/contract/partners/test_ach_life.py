"""The clearing house over time: clock, batches, settlement, returns, notices, kill -9."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ops.waiting import scaled_s, until
from tests.contract.partners.bank_receiver import Received, Receiver, receiver
from tests.contract.partners.orders import API_KEY, cancel, find, new_key, submit
from tests.contract.partners.processes import PartnerProcess, running

SECRET = "webhook-test-secret"
CLOCK = {"clock_start": "2026-03-10T10:00:00-04:00", "clock_running": False}


@pytest.fixture
async def bank(bank_certs: Path, certs: Path) -> AsyncIterator[Receiver]:
    async with receiver(bank_certs, certs / "webhook-clients-ca.pem") as taking:
        yield taking


@pytest.fixture
async def network(
    certs: Path, bank_certs: Path, tmp_path: Path, bank: Receiver
) -> AsyncIterator[PartnerProcess]:
    webhook = {
        "url": bank.url,
        "secret": SECRET,
        "cert": str(certs / "ach-webhook.pem"),
        "key": str(certs / "ach-webhook.key"),
        "bank_ca": str(bank_certs / "oauth-ca.pem"),
        "backoff_first_ms": 20,
        "attempts_max": 4,
    }
    async with running(
        "ach", tmp_path, certs, api_key=API_KEY, webhook=webhook, **CLOCK
    ) as partner:
        partner.headers["X-Api-Key"] = API_KEY
        yield partner


def drain_ms() -> int:
    """Return how long the clearing house may take to send due notices."""
    return round(1000 * scaled_s(5))


async def advance(network: PartnerProcess, **by: Any) -> dict[str, Any]:
    """Advance the clock, and by default wait for the notices that become due."""
    body = {"drain_timeout_ms": drain_ms()} | by
    done = await network.control("POST", "/control/clock/advance", body)
    assert done.status == 200, done.body
    return done.body


async def state(network: PartnerProcess, key: str) -> str:
    return (await find(network, key)).body["state"]


def is_signed(got: Received) -> bool:
    return got.is_signed(SECRET)


async def test_a_transfer_is_batched_settles_on_the_second_banking_day_and_is_notified(
    network: PartnerProcess, bank: Receiver
) -> None:
    key = new_key()
    trace = (await submit(network, key)).body["achTraceNumber"]
    await advance(network, seconds=11 * 3600)
    assert await state(network, key) == "ACCEPTED"
    done = await advance(network, seconds=3600)
    assert done["transfers"] == {"BATCHED": 1}
    assert await state(network, key) == "BATCHED"
    late = await cancel(network, key)
    assert (late.status, late.body["error"]["code"]) == (409, "TOO_LATE")
    assert (late.body["state"], late.body["achTraceNumber"]) == ("BATCHED", trace)
    await advance(network, days=1)
    assert await state(network, key) == "SETTLING"
    done = await advance(network, days=1)
    assert done["transfers"] == {"SETTLED": 1}
    assert done["webhooks"] == {"queued": 1, "delivered": 1, "pending": 0, "dead": 0}
    event = bank.received[0].event
    assert event["type"] == "transfer.completed"
    assert event["data"] == {"achTraceNumber": trace, "idempotencyKey": key, "state": "SETTLED"}
    assert event["createTime"] == "2026-03-12T08:30:00.000-04:00"


async def test_notices_are_signed_and_sent_with_the_networks_certificate(
    network: PartnerProcess, bank: Receiver
) -> None:
    await submit(network, new_key())
    await advance(network, banking_days=2)
    got = bank.received[0]
    assert is_signed(got)
    assert ("URI", "spiffe://ach-network.example/webhooks") in got.peer["subjectAltName"]


async def test_magic_accounts_are_returned_with_their_reason_even_after_settlement(
    network: PartnerProcess, bank: Receiver
) -> None:
    returned, late = new_key(), new_key()
    await submit(network, returned, account="000009903")
    await submit(network, late, account="000008810")
    await advance(network, banking_days=2)
    assert await state(network, returned) == "RETURNED"
    assert await state(network, late) == "SETTLED"
    await advance(network, banking_days=5)
    assert await state(network, late) == "RETURNED"
    told = [(r.event["data"]["idempotencyKey"], r.event["type"]) for r in bank.received]
    assert sorted(told) == sorted(
        [
            (returned, "transfer.returned"),
            (late, "transfer.completed"),
            (late, "transfer.returned"),
        ]
    )
    reasons = {
        r.event["data"]["idempotencyKey"]: r.event["data"]["returnReasonCode"]
        for r in bank.received
        if r.event["type"] == "transfer.returned"
    }
    assert reasons == {returned: "R03", late: "R10"}
    assert (await find(network, late)).body["returnReasonCode"] == "R10"


async def test_a_cancelled_transfer_never_settles(network: PartnerProcess, bank: Receiver) -> None:
    key = new_key()
    await submit(network, key)
    await cancel(network, key)
    assert (await advance(network, banking_days=3))["transfers"] == {}
    assert await state(network, key) == "CANCELLED"
    assert bank.received == []


async def test_a_refused_notice_is_sent_again_with_a_new_signature_until_accepted(
    network: PartnerProcess, bank: Receiver
) -> None:
    bank.script = [500, 503]
    await submit(network, new_key())
    done = await advance(network, banking_days=2)
    assert done["webhooks"]["delivered"] == 1
    assert len(bank.received) == 3
    assert len({got.event["id"] for got in bank.received}) == 1
    assert all(is_signed(got) for got in bank.received)


async def test_a_notice_that_is_refused_too_often_is_dead_and_can_be_redelivered(
    network: PartnerProcess, bank: Receiver
) -> None:
    bank.script = [500] * 4
    await submit(network, new_key())
    done = await advance(network, banking_days=2)
    assert done["webhooks"]["dead"] == 1
    await network.restart()
    listed = (await network.control("GET", "/control/webhooks")).body
    assert [event["type"] for event in listed["dead"]] == ["transfer.completed"]
    again = await network.control("POST", "/control/webhooks/redeliver", {"dead": True})
    assert again.body == {"queued": 1}
    drained = await network.control("POST", "/control/webhooks/drain", {"timeout_ms": drain_ms()})
    assert drained.body["drained"]
    assert len(bank.received) == 5


async def test_a_delivered_notice_can_be_repeated_or_falsified_on_purpose(
    network: PartnerProcess, bank: Receiver
) -> None:
    key = new_key()
    await submit(network, key)
    await advance(network, banking_days=2)
    body = {"idempotencyKey": key}
    await network.control("POST", "/control/webhooks/redeliver", body)
    await network.control("POST", "/control/webhooks/drain", {"timeout_ms": drain_ms()})
    assert len(bank.received) == 2
    assert bank.received[0].event == bank.received[1].event
    for tamper in ("signature", "body", "stale"):
        await network.control("POST", "/control/webhooks/redeliver", {**body, "tamper": tamper})
        assert not is_signed(bank.received[-1])


async def test_kill_9_keeps_traces_keys_tombstones_rejections_the_clock_and_due_notices(
    network: PartnerProcess, bank: Receiver
) -> None:
    key, tomb, open_key, refused = new_key(), new_key(), new_key(), new_key()
    accepted = await submit(network, key)
    await cancel(network, tomb)
    await submit(network, refused, account="12")
    await network.control("POST", "/control/webhooks/hold")
    await advance(network, banking_days=2, drain_timeout_ms=0)
    opened = await submit(network, open_key)
    clock = (await network.control("GET", "/control/clock")).body
    assert bank.received == []
    await network.restart()
    assert (await network.control("GET", "/control/clock")).body == clock

    async def told() -> bool:
        return len(bank.received) == 1

    await until(told, 15, "the notice that was due before the kill")
    assert bank.received[0].event["data"]["idempotencyKey"] == key
    assert (await submit(network, tomb)).status == 409
    assert await state(network, refused) == "REJECTED"
    assert (await submit(network, open_key)).body == opened.body
    assert (await submit(network, key)).body == accepted.body
    assert await state(network, key) == "SETTLED"
    newer = await submit(network, new_key())
    assert int(newer.body["achTraceNumber"]) == int(opened.body["achTraceNumber"]) + 1


async def test_a_delivered_notice_is_not_sent_again_after_a_restart(
    network: PartnerProcess, bank: Receiver
) -> None:
    await submit(network, new_key())
    await advance(network, banking_days=2)
    await network.restart()
    webhooks = (await network.control("GET", "/control/state")).body["webhooks"]
    assert (webhooks["pending"], webhooks["delivered"]) == (0, 1)
    assert len(bank.received) == 1


async def test_a_torn_last_line_of_the_journal_is_cut_off(
    network: PartnerProcess, tmp_path: Path
) -> None:
    key = new_key()
    await submit(network, key)
    await network.kill()
    with (tmp_path / "state" / "ach.journal").open("ab") as journal:
        journal.write(b'{"do":"accept","key":"torn')
    await network.start()
    assert (await find(network, key)).status == 200
    assert (await submit(network, new_key())).status == 202
    await network.restart()
    assert (await find(network, key)).status == 200


async def test_the_sequence_of_trace_numbers_wraps_and_skips_numbers_in_use(
    certs: Path, tmp_path: Path
) -> None:
    async with running(
        "ach", tmp_path, certs, api_key=API_KEY, first_sequence=9_999_999, **CLOCK
    ) as network:
        network.headers["X-Api-Key"] = API_KEY
        traces = [(await submit(network, new_key())).body["achTraceNumber"] for _ in range(2)]
        assert traces == ["991000019999999", "991000010000001"]


async def test_the_control_api_shows_a_transfer_by_key_and_by_trace_number(
    network: PartnerProcess,
) -> None:
    key = new_key()
    trace = (await submit(network, key, account="000009901")).body["achTraceNumber"]
    by_key = (await network.control("GET", f"/control/transfers/{key}")).body
    assert by_key == (await network.control("GET", f"/control/transfers/{trace}")).body
    assert (by_key["plannedReturn"], by_key["processingDate"]) == ("R01", "2026-03-10")
    assert (await network.control("GET", "/control/transfers/none")).status == 404


async def test_a_running_clock_batches_at_the_cut_off_without_a_caller(
    certs: Path, tmp_path: Path
) -> None:
    start = {"clock_start": CLOCK["clock_start"]}
    async with running("ach", tmp_path, certs, api_key=API_KEY, **start) as network:
        network.headers["X-Api-Key"] = API_KEY
        await submit(network, new_key())
        now = datetime.fromisoformat((await network.control("GET", "/control/clock")).body["now"])
        cutoff = now.replace(hour=22, minute=0, second=0, microsecond=0)
        await advance(network, seconds=(cutoff - now).total_seconds() - 1)

        async def is_batched() -> bool:
            counts = (await network.control("GET", "/control/state")).body
            return counts["transfers"] == {"BATCHED": 1}

        await until(is_batched, 15, "the batch of the cut-off")


async def test_sigterm_stops_the_process_cleanly(network: PartnerProcess) -> None:
    assert await network.terminate() == 0


async def test_one_process_stays_small(network: PartnerProcess) -> None:
    for _ in range(50):
        await submit(network, new_key())
    assert network.rss_mib() < 60
