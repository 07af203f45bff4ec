"""The SMS gateway: messages accepted once a key, refusals, states, faults, kill -9."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ops.waiting import until
from tests.contract.partners.processes import PartnerProcess
from tests.contract.partners.texts import BODY, NUMBER, ended, gateway, new_key, send, sent, text

SEND = "POST /v1/messages"


@pytest.fixture(scope="module")
async def sms(
    certs: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PartnerProcess]:
    async with gateway(tmp_path_factory.mktemp("sms"), certs) as partner:
        yield partner


@pytest.fixture(autouse=True)
async def clean(sms: PartnerProcess) -> AsyncIterator[None]:
    yield
    await sms.control("DELETE", "/control/faults")


async def on_phone(sms: PartnerProcess, query: str) -> dict[str, Any]:
    return (await sms.control("GET", f"/control/messages?{query}")).body


async def test_a_message_is_accepted_and_delivered_and_answers_have_neither_text_nor_number(
    sms: PartnerProcess,
) -> None:
    got = await send(sms, new_key())
    assert got.status == 202
    assert set(got.body) == {"messageId", "state", "segments", "createTime"}
    assert (got.body["state"], got.body["segments"]) == ("QUEUED", 1)
    end = await ended(sms, got.body["messageId"])
    assert end == {**got.body, "state": "DELIVERED", "clientReference": "otp-1"}


async def test_a_message_is_queued_and_then_sent_before_it_is_delivered(
    certs: Path, tmp_path: Path
) -> None:
    async with gateway(tmp_path, certs, send_ms=3_600_000, deliver_ms=7_200_000) as slow:
        queued = await sent(slow)
        assert (await slow.call("GET", f"/v1/messages/{queued}")).body["state"] == "QUEUED"
        assert (await on_phone(slow, ""))["shown"] == []
    async with gateway(tmp_path, certs, send_ms=0, deliver_ms=7_200_000) as slow:
        on_the_way = await sent(slow)
        assert (await slow.call("GET", f"/v1/messages/{on_the_way}")).body["state"] == "SENT"
        # The first message keeps the plan of its acceptance.
        assert (await slow.call("GET", f"/v1/messages/{queued}")).body["state"] == "QUEUED"


@pytest.mark.parametrize(
    ("body", "segments"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("\u20ac" * 80, 1),
        ("\u20ac" * 81, 2),
        # The euro sign needs two septets, so it moves to the second part as a whole.
        ("a" * 152 + "\u20ac" + "a" * 152, 3),
        ("\u017c" * 70, 1),
        ("\u017c" * 71, 2),
        ("\U0001f600" * 35, 1),
        ("\U0001f600" * 66, 2),
        ("\U0001f600" * 67, 3),
        ("\u017c" * 480, 8),
    ],
    ids=lambda value: f"{value[0]!a}-{len(value)}" if isinstance(value, str) else str(value),
)
async def test_segments_follow_the_alphabet_of_the_text(
    sms: PartnerProcess, body: str, segments: int
) -> None:
    assert (await send(sms, new_key(), body=body)).body["segments"] == segments


async def test_a_repeated_key_gets_the_first_answer_and_another_content_is_a_conflict(
    sms: PartnerProcess,
) -> None:
    key = new_key()
    first = await send(sms, key)
    await ended(sms, first.body["messageId"])
    again = await send(sms, key)
    assert (again.status, again.body) == (202, first.body)
    for change in ({"body": "other"}, {"to": "+15550100002"}, {"ttlSeconds": 60}):
        conflict = await send(sms, key, **change)
        assert (conflict.status, conflict.body["error"]["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"to": "15550100001"}, "INVALID_NUMBER", "to"),
    ({"to": "+05550100001"}, "INVALID_NUMBER", "to"),
    ({"to": "+155501"}, "INVALID_NUMBER", "to"),
    ({"to": "+1555010000123456"}, "INVALID_NUMBER", "to"),
    ({"to": "+1 555 010 0001"}, "INVALID_NUMBER", "to"),
    ({"to": "+15550100001\n"}, "INVALID_NUMBER", "to"),
    ({"to": "+15550100001\r\nX-Header: 1"}, "INVALID_NUMBER", "to"),
    ({"to": "+\u0661\u0665\u0665\u0665\u0660\u0661\u0660\u0660"}, "INVALID_NUMBER", "to"),
    ({"to": 15550100001}, "INVALID_REQUEST", "to"),
    ({"from": "BPBank\r\nTo: +1"}, "INVALID_REQUEST", "from"),
    ({"from": "BPBank\n"}, "INVALID_REQUEST", "from"),
    ({"from": "TwelveLetter"}, "INVALID_REQUEST", "from"),
    ({"from": "123456"}, "INVALID_REQUEST", "from"),
    ({"body": ""}, "INVALID_REQUEST", "body"),
    ({"body": "a" * 481}, "INVALID_REQUEST", "body"),
    ({"body": "a\x00b"}, "INVALID_REQUEST", "body"),
    ({"body": "a\rb"}, "INVALID_REQUEST", "body"),
    ({"clientReference": "a\nb"}, "INVALID_REQUEST", "clientReference"),
    ({"clientReference": "a" * 101}, "INVALID_REQUEST", "clientReference"),
    ({"ttlSeconds": 0}, "INVALID_REQUEST", "ttlSeconds"),
    ({"ttlSeconds": 172_801}, "INVALID_REQUEST", "ttlSeconds"),
    ({"ttlSeconds": "60"}, "INVALID_REQUEST", "ttlSeconds"),
    ({"receiptUrl": "https://elsewhere.example"}, "INVALID_REQUEST", "receiptUrl"),
]


@pytest.mark.parametrize(("change", "code", "field"), REFUSED)
async def test_an_invalid_request_is_refused_with_its_field(
    sms: PartnerProcess, change: dict[str, Any], code: str, field: str
) -> None:
    refused = await send(sms, new_key(), **change)
    error = refused.body["error"]
    assert (refused.status, error["code"], error["field"]) == (400, code, field)
    assert NUMBER not in error["message"]


async def test_a_request_needs_a_key_and_json(sms: PartnerProcess) -> None:
    for headers in ({}, {"Idempotency-Key": "k" * 256}):
        refused = await sms.call("POST", "/v1/messages", json=text(), headers=headers)
        assert (refused.status, refused.body["error"]["field"]) == (400, "Idempotency-Key")
    headers = {"Idempotency-Key": new_key()}
    for data in (b"not json", b"[]", b'{"to": "\xff"}', b""):
        refused = await sms.call("POST", "/v1/messages", data=data, headers=headers)
        assert (refused.status, refused.body["error"]["code"]) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("number", "status", "code", "retry_after"),
    [
        ("+15550100009", 422, "BLOCKED_NUMBER", None),
        ("+15550100029", 429, "RATE_LIMITED", "1"),
        ("+15550100402", 402, "OUT_OF_CREDIT", None),
        ("+15550100503", 503, "SERVICE_UNAVAILABLE", "1"),
    ],
)
async def test_a_magic_number_is_refused_and_its_key_stays_free(
    sms: PartnerProcess, number: str, status: int, code: str, retry_after: str | None
) -> None:
    key = new_key()
    refused = await send(sms, key, to=number)
    assert (refused.status, refused.body["error"]["code"]) == (status, code)
    assert refused.headers.get("Retry-After") == retry_after
    assert (await on_phone(sms, f"to=%2B{number[1:]}"))["messages"] == []
    assert (await send(sms, key)).status == 202


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic sms-test-api-key", "Bearer \xe9"])
async def test_a_caller_without_the_api_key_is_refused(sms: PartnerProcess, header: str) -> None:
    headers = {"Idempotency-Key": new_key(), "Authorization": header}
    refused = await sms.call("POST", "/v1/messages", json=text(), headers=headers)
    assert (refused.status, refused.body["error"]["code"]) == (401, "UNAUTHENTICATED")
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


async def test_an_unknown_message_and_an_unknown_path_are_not_found(sms: PartnerProcess) -> None:
    for path in ("/v1/messages/none", "/v1/other"):
        refused = await sms.call("GET", path)
        assert (refused.status, refused.body["error"]["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("change", "state", "code"),
    [
        ({"to": "+15550100404"}, "UNDELIVERED", "UNKNOWN_SUBSCRIBER"),
        ({"to": "+15550100408", "ttlSeconds": 1}, "EXPIRED", "TTL_EXPIRED"),
    ],
)
async def test_a_message_that_does_not_reach_the_telephone_says_why(
    sms: PartnerProcess, change: dict[str, Any], state: str, code: str
) -> None:
    message_id = await sent(sms, **change)
    end = await ended(sms, message_id)
    assert (end["state"], end["errorCode"]) == (state, code)
    seen = await on_phone(sms, f"to=%2B{change['to'][1:]}")
    assert [one["messageId"] for one in seen["messages"]] == [message_id]
    assert seen["shown"] == []


async def test_the_control_api_shows_a_telephones_messages_with_their_text_newest_last(
    sms: PartnerProcess,
) -> None:
    number = "+15550100077"
    ids = [await sent(sms, to=number, body=f"code {n}") for n in range(3)]
    await sent(sms, to="+15550100078")
    for message_id in ids:
        await ended(sms, message_id)
    seen = await on_phone(sms, "to=%2B15550100077")
    assert [one["messageId"] for one in seen["shown"]] == ids
    assert [one["body"] for one in seen["messages"]] == ["code 0", "code 1", "code 2"]
    assert seen["shown"][0]["to"] == number
    # An unescaped + arrives as a space, and means the same number.
    newest = await on_phone(sms, "to=+15550100077&limit=1")
    assert [one["messageId"] for one in newest["messages"]] == ids[-1:]
    assert (await sms.control("GET", "/control/messages?limit=0")).status == 400


async def test_messages_and_keys_outlive_kill_9_in_files_that_only_the_partner_reads(
    certs: Path, tmp_path: Path
) -> None:
    async with gateway(tmp_path, certs) as sms:
        key = new_key()
        first = await send(sms, key, to="+15550100404")
        end = await ended(sms, first.body["messageId"])
        await sms.restart()
        again = await send(sms, key, to="+15550100404")
        assert (again.status, again.body) == (202, first.body)
        found = await sms.call("GET", f"/v1/messages/{first.body['messageId']}")
        assert found.body == end
        assert [one["body"] for one in (await on_phone(sms, ""))["messages"]] == [BODY]
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert files
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


async def test_only_the_newest_messages_are_kept_in_memory_and_on_disk(
    certs: Path, tmp_path: Path
) -> None:
    async with gateway(tmp_path, certs, messages_max=3) as sms:
        first_key = new_key()
        first = (await send(sms, first_key)).body["messageId"]
        ids = [await sent(sms) for _ in range(9)]
        for _ in range(2):
            seen = (await on_phone(sms, ""))["messages"]
            assert [one["messageId"] for one in seen] == ids[-3:]
            assert (await sms.call("GET", f"/v1/messages/{first}")).status == 404
            await sms.restart()
        assert len(list((tmp_path / "state").iterdir())) <= 2
        # The key of a dropped message is free again.
        assert (await send(sms, first_key)).body["messageId"] != first


async def test_faults_break_calls_with_or_without_the_effect(sms: PartnerProcess) -> None:
    await sms.fault(kind="http_5xx", endpoint=SEND, count=1)
    limits = {"status": 429, "reason": "RATE_LIMITED", "retry_after_s": 7}
    await sms.fault(kind="reject", endpoint=SEND, match={"body": "limited"}, params=limits)
    await sms.fault(kind="reset", endpoint=SEND, match={"body": "lost"})
    await sms.fault(kind="reset", endpoint=SEND, match={"body": "kept"}, params={"apply": True})
    limited = await send(sms, new_key(), body="limited")
    assert (limited.status, limited.body["error"]["code"]) == (429, "RATE_LIMITED")
    assert limited.headers["Retry-After"] == "7"
    assert (await send(sms, new_key())).status == 503
    number = "+15550100055"
    for body in ("lost", "kept"):
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await send(sms, new_key(), to=number, body=body)
    seen = await on_phone(sms, "to=%2B15550100055")
    assert [one["body"] for one in seen["messages"]] == ["kept"]
    await sms.fault(kind="latency", endpoint=SEND, count=1, params={"ms": 1})
    assert (await send(sms, new_key())).status == 202
    assert (await sms.control("GET", "/control/state")).body["faultsFired"] == 5


async def test_a_caller_that_missed_the_answer_gets_the_same_message_by_its_key(
    sms: PartnerProcess,
) -> None:
    key, number = new_key(), "+15550100056"
    await sms.fault(kind="accept_then_hang", endpoint=SEND, count=1)
    call = asyncio.create_task(send(sms, key, to=number))

    async def accepted() -> list[Any]:
        return (await on_phone(sms, "to=%2B15550100056"))["messages"]

    found = await until(accepted, 15, "the message")
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert (await send(sms, key, to=number)).body["messageId"] == found[0]["messageId"]


async def test_the_process_writes_neither_text_nor_number_to_its_log(
    certs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "the code is 902 441"
    async with gateway(tmp_path, certs) as sms:
        await ended(sms, await sent(sms, body=secret))
        for change in ({"to": NUMBER[1:]}, {"ttlSeconds": "x"}, {"to": "+15550100402"}):
            await send(sms, new_key(), body=secret, **change)
        await sms.call("POST", "/v1/messages", data=secret.encode())
        assert await sms.terminate() == 0
    log = "".join(capfd.readouterr())
    assert [word for word in (secret, "902 441", NUMBER[1:]) if word in log] == []


async def test_one_process_stays_small(sms: PartnerProcess) -> None:
    for _ in range(50):
        await sent(sms)
    assert sms.rss_mib() < 60
