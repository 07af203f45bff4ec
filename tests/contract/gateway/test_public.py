"""Calls without a token: what they may send, what services learn of them, and their buckets."""

import asyncio
import base64
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway.replies import STEP_UP
from tests.contract.gateway.http2 import connected, head, request
from tests.rigs.mesh.gateway import BODY, SUBJECT, TRANSFER, Answer, Gateway
from tests.rigs.mesh.issuer import DEVICE, SESSION

LOGIN, BIOMETRIC = "/v1/auth/login", "/v1/auth/biometric"
OTP = "/v1/auth/verify-otp"
CREDENTIALS = {"email": "ana@example.com", "password": "secret"}
APP = "https://app.bp.example"
FORGED = {
    "x-bp-session": SESSION,
    "x-bp-device": DEVICE,
    "x-bp-auth-time": "1764435600",
    "x-bp-client-address": "192.0.2.1",
    "x-bp-subject": SUBJECT,
    "x-bp-scope": "transfers:write",
    "x-bp-partner": "sms-gateway",
}
PICTURE_BYTES = 1_400_000
"""In base64, a body of 1.9 MB."""
LARGEST, SMALLEST = 2 * 1024 * 1024, 8 * 1024
"""The limit of the step with the picture, and that of the other public methods."""


PICTURE = b'{"sessionId":"s","biometricData":{"face":{"picture":"%s"}}}'


def _login(picture: bytes, escaped: str = "/") -> bytes:
    encoded = base64.b64encode(picture).decode().replace("/", escaped)
    return PICTURE % encoded.encode()


async def _post(gateway: Gateway, path: str, data: bytes, **more: Any) -> Answer:
    headers = {"Content-Type": "application/json"} | more.pop("headers", {})
    return await gateway.call("POST", path, token=None, data=data, headers=headers, **more)


async def test_a_public_method_needs_no_token_and_gets_no_claim(gateway: Gateway) -> None:
    """A caller without a token cannot name a customer, a session or a partner."""
    answer = await gateway.call("POST", LOGIN, token=None, json=CREDENTIALS, headers=FORGED)
    assert (answer.status, answer.json["sessionId"]) == (200, "s")
    seen = {name: value for name, value in gateway.seen.metadata.items() if name[:5] == "x-bp-"}
    assert seen == {"x-bp-client-address": "127.0.0.1"}


async def test_a_public_method_does_not_see_a_token(gateway: Gateway) -> None:
    answer = await gateway.call("POST", LOGIN, json=CREDENTIALS)
    assert answer.status == 200
    assert "authorization" not in gateway.seen.metadata
    assert "x-bp-subject" not in gateway.seen.metadata


async def test_services_get_the_session_of_the_token_and_not_one_of_the_caller(
    gateway: Gateway,
) -> None:
    sent = {name: "forged" for name in FORGED}
    token = gateway.issuer.token(SUBJECT, sid=SESSION, device=DEVICE, auth_time=1764435600)
    answer = await gateway.call("GET", "/v1/balances/a", token=token, headers=sent)
    assert answer.status == 200
    seen = gateway.seen.metadata
    assert (seen["x-bp-session"], seen["x-bp-device"]) == (SESSION, DEVICE)
    assert (seen["x-bp-auth-time"], seen["x-bp-client-address"]) == ("1764435600", "127.0.0.1")
    assert "x-bp-partner" not in seen


async def test_a_token_without_a_session_gives_services_none(gateway: Gateway) -> None:
    token = gateway.issuer.token(SUBJECT, sid=None, device=None, auth_time=None)
    answer = await gateway.call("GET", "/v1/balances/a", token=token, headers=FORGED)
    assert answer.status == 200
    for name in ("x-bp-session", "x-bp-device", "x-bp-auth-time"):
        assert name not in gateway.seen.metadata


async def test_a_session_that_no_header_can_carry_is_refused(gateway: Gateway) -> None:
    bad = "a\r\nx-bp-subject: b"
    for claim, token in (
        ("sid", gateway.issuer.token(SUBJECT, sid=bad)),
        ("device", gateway.issuer.token(SUBJECT, device=bad)),
        ("auth_time", gateway.issuer.token(SUBJECT, auth_time=bad)),
    ):
        answer = await gateway.call("GET", "/v1/balances/a", token=token)
        assert (answer.status, answer.reason) == (401, "UNAUTHENTICATED"), claim


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        f"{APP}.evil.example",
        f"{APP}/",
        APP.upper(),
        f"{APP}, {APP}",
    ],
)
async def test_a_foreign_site_cannot_log_its_visitors_in(gateway: Gateway, origin: str) -> None:
    calls = gateway.seen.calls
    for path in (LOGIN, BIOMETRIC):
        answer = await _post(gateway, path, b"{}", headers={"Origin": origin})
        assert (answer.status, answer.reason) == (403, "ORIGIN_FORBIDDEN")
        assert "access-control-allow-origin" not in answer.headers
    assert gateway.seen.calls == calls


async def test_the_banks_site_and_apps_without_an_origin_may_log_in(gateway: Gateway) -> None:
    answer = await _post(gateway, LOGIN, b"{}", headers={"Origin": APP})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, APP)
    assert (await _post(gateway, LOGIN, b"{}")).status == 200


async def test_the_refusal_of_a_password_has_no_challenge(gateway: Gateway) -> None:
    """A Bearer challenge would make clients look for a token."""
    wrong = json.dumps(CREDENTIALS | {"password": "wrong"}).encode()
    answer = await _post(gateway, LOGIN, wrong)
    assert (answer.status, answer.reason) == (401, "CREDENTIALS_INVALID")
    assert "www-authenticate" not in answer.headers


async def test_a_missing_second_factor_has_a_challenge_of_its_own(gateway: Gateway) -> None:
    """RFC 9470, 3: the token is valid, so the challenge does not call it invalid."""
    answer = await gateway.call("POST", TRANSFER, json=BODY | {"memo": "no second factor"})
    assert (answer.status, answer.reason) == (401, "STEP_UP_REQUIRED")
    assert answer.info["metadata"] == {"max_age_s": "300", "required_for": "NEW_BENEFICIARY"}
    (challenge,) = answer.headers.getall("www-authenticate")
    assert challenge == STEP_UP % "300"
    assert 'error="insufficient_user_authentication"' in challenge
    assert 'max_age="300"' in challenge


@pytest.mark.parametrize("escaped", ["/", "\\/"])
async def test_a_picture_reaches_the_service_unchanged(gateway: Gateway, escaped: str) -> None:
    """Some JSON libraries escape each slash, of which base64 has many."""
    picture = bytes(range(256)) * (PICTURE_BYTES // 256)
    answer = await _post(gateway, BIOMETRIC, _login(picture, escaped))
    assert answer.status == 200, answer
    assert gateway.seen.request.biometric_data.face.picture == picture


@pytest.mark.parametrize(
    "spelled", ["+/8=", "+/8", "-_8=", "-_8", "\\u002b\\/8\\u003d", "+/8=\\r\\n", "+/ 8="]
)
async def test_a_picture_may_have_any_spelling_of_base64(gateway: Gateway, spelled: str) -> None:
    assert (await _post(gateway, BIOMETRIC, PICTURE % spelled.encode())).status == 200
    assert gateway.seen.request.biometric_data.face.picture == b"\xfb\xff"


@pytest.mark.parametrize("text", ["a face!", "data:image/jpeg;base64,QUJD", "QUJDé", "\n"])
async def test_the_answer_to_a_picture_that_is_not_base64_names_the_field(
    gateway: Gateway, text: str
) -> None:
    answer = await _post(gateway, BIOMETRIC, PICTURE % text.encode())
    assert (answer.status, answer.reason) == (400, "MALFORMED_BODY")
    rule = "must be base64 without a prefix such as data:"
    assert answer.violations == {"biometricData.face.picture": rule}


async def test_a_body_may_be_as_large_as_the_methods_limit_and_no_larger(
    gateway: Gateway,
) -> None:
    body = _login(b"picture")
    padded = body + b" " * (LARGEST - len(body))
    assert (await _post(gateway, BIOMETRIC, padded)).status == 200
    answer = await _post(gateway, BIOMETRIC, padded + b" ")
    assert (answer.status, answer.reason) == (413, "REQUEST_TOO_LARGE")
    assert "at most 2048 KiB" in answer.json["message"]


async def test_other_public_methods_take_small_bodies_only(gateway: Gateway) -> None:
    largest = b" " * (SMALLEST - 2) + b"{}"
    assert (await _post(gateway, LOGIN, largest)).status == 200
    answer = await _post(gateway, LOGIN, b" " + largest)
    assert (answer.status, answer.reason) == (413, "REQUEST_TOO_LARGE")
    assert "at most 8 KiB" in answer.json["message"]


COSTLY = [
    ("escapes", _login(b"").replace(b'""', b'"%s"' % (b"\\n" * 900_000)), "picture"),
    ("unicode", _login(b"").replace(b'""', b'"%s"' % (b"\\u0041" * 300_000)), "picture"),
    ("a list", b"[%s1]" % (b'"a",' * 450_000), ""),
    ("brackets", b"[" * 1_900_000, ""),
]


@pytest.mark.parametrize(("case", "body", "field"), COSTLY, ids=[each[0] for each in COSTLY])
async def test_a_large_body_that_is_costly_to_read_is_refused(
    gateway: Gateway, case: str, body: bytes, field: str
) -> None:
    answer = await _post(gateway, BIOMETRIC, body)
    assert (answer.status, answer.reason) == (400, "MALFORMED_BODY"), case
    (found,) = answer.fields
    assert found.rpartition(".")[2] == field


async def test_an_address_has_a_bucket_for_logins_of_its_own(gateway: Gateway) -> None:
    """One address sends three times the burst; its codes and another address are still served."""
    fields, code = (
        head(gateway, "POST", path, "content-type", "application/json") for path in (LOGIN, OTP)
    )
    streams = range(1, 201, 2)
    logins = b"".join(request(stream, fields) for stream in streams)
    codes = b"".join(request(stream, code) for stream in streams)
    async with AsyncExitStack() as opened:
        connections = [
            await opened.enter_async_context(connected(gateway, None, "127.0.2.1"))
            for _ in range(7)
        ]
        for connection in connections[1:]:
            connection.writer.write(logins)
        connections[0].writer.write(codes)
        coded, *found = await asyncio.gather(*(one.answers(streams) for one in connections))
        other = await opened.enter_async_context(connected(gateway, None, "127.0.2.2"))
        other.writer.write(request(1, fields))
        (served,) = await other.answers([1])
    refused = [answer for each in found for answer in each if answer.status == 429]
    assert refused
    assert {answer.reason for answer in refused} == {"RATE_LIMITED"}
    assert served.status == 200
    assert {answer.status for answer in coded} == {200}
