"""Requests that the gateway rejects: always in JSON, always with a reason of the contract."""

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from gateway import replies
from ops.waiting import scaled_s
from tests.contract.gateway.http2 import connected, head, request
from tests.rigs.mesh.gateway import BODY, SUBJECT, TRANSFER, Answer, Gateway


def _with(**changes: Any) -> bytes:
    return json.dumps(BODY | changes).encode()


_AMOUNT = {"currencyCode": "USD", "minorUnits": "1"}
MALFORMED = [
    ("not JSON", b"{", [""]),
    ("no object", b"[]", [""]),
    ("text after it", json.dumps(BODY).encode() + b" x", [""]),
    ("a number for a text", _with(memo=5), ["memo"]),
    ("a text for an object", _with(amount="100"), ["amount"]),
    ("a list for an object", _with(amount=[_AMOUNT]), ["amount"]),
    ("a fraction of a cent", _with(amount=_AMOUNT | {"minorUnits": 1.5}), ["amount.minorUnits"]),
    ("a fraction as text", _with(amount=_AMOUNT | {"minorUnits": "1.5"}), ["amount.minorUnits"]),
    ("an exponent", _with(amount=_AMOUNT | {"minorUnits": "1e3"}), ["amount.minorUnits"]),
    ("no number", _with(amount=_AMOUNT | {"minorUnits": True}), ["amount.minorUnits"]),
    ("an overflow", _with(amount=_AMOUNT | {"minorUnits": str(2**63)}), ["amount.minorUnits"]),
    (
        "an unknown enum name",
        _with(beneficiary=BODY["beneficiary"] | {"accountType": "GOLD"}),
        ["beneficiary.accountType"],
    ),
    (
        "an enum's number",
        _with(beneficiary=BODY["beneficiary"] | {"accountType": 1}),
        ["beneficiary.accountType"],
    ),
    ("a field twice", b'{"memo":"a","memo":"b"}', ["memo"]),
    ("a field in both spellings", b'{"accountId":"a","account_id":"b"}', ["accountId"]),
    ("a raw control character", b'{"memo":"a\nb"}', ["memo"]),
]


@pytest.mark.parametrize(("case", "body", "fields"), MALFORMED, ids=[m[0] for m in MALFORMED])
async def test_the_answer_to_a_malformed_body_names_the_field(
    gateway: Gateway, case: str, body: bytes, fields: list[str]
) -> None:
    calls = gateway.seen.calls
    answer = await _post(gateway, body)
    assert (answer.status, answer.reason, answer.fields) == (400, "MALFORMED_BODY", fields), case
    assert gateway.seen.calls == calls


UNKNOWN = [
    (_with(isAdmin=True), ["isAdmin"]),
    (_with(amount=_AMOUNT | {"units": 1}), ["amount.units"]),
    (_with(**{"<script>": 1}), ["?"]),
    (b'{"account\\u0049d":"a"}', ["?"]),
]


@pytest.mark.parametrize(("body", "fields"), UNKNOWN)
async def test_an_unknown_field_is_refused(
    gateway: Gateway, body: bytes, fields: list[str]
) -> None:
    answer = await _post(gateway, body)
    assert (answer.status, answer.reason, answer.fields) == (400, "UNKNOWN_FIELD", fields)


async def test_invalid_utf8_is_refused_as_json(gateway: Gateway) -> None:
    answer = await _post(gateway, b'{"memo":"\xff\xfe"}')
    assert (answer.status, answer.reason) == (400, "MALFORMED_BODY")


async def test_a_deep_body_is_refused(gateway: Gateway) -> None:
    answer = await _post(gateway, b'{"memo":' + b"[" * 20_000)
    assert (answer.status, answer.reason) == (400, "MALFORMED_BODY")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "a/json"])
async def test_another_content_type_is_refused(gateway: Gateway, kind: str) -> None:
    answer = await _post(gateway, _with(), {"Content-Type": kind})
    assert (answer.status, answer.reason) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert "Content-Type is not supported" in answer.json["message"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/v1/balances/a?verbose=1", "UNKNOWN_FIELD"),
        ("/v1/balances/a?accountId=b", "UNKNOWN_FIELD"),
        ("/v1/balances/a?atLeastPosition=soon", "MALFORMED_BODY"),
        ("/v1/balances/a?atLeastPosition=1&atLeastPosition=2", "MALFORMED_BODY"),
        ("/v1/balances/a?atLeastPosition=%207", "MALFORMED_BODY"),
        ("/v1/balances/a?atLeastPosition=+7", "MALFORMED_BODY"),
        ("/v1/balances/a?atLeastPosition=007", "MALFORMED_BODY"),
        ("/v1/accounts?pageSize=", "MALFORMED_BODY"),
        ("/v1/accounts?pageSize=2147483648", "MALFORMED_BODY"),
        (f"{TRANSFER}?state=LOST", "MALFORMED_BODY"),
        (f"{TRANSFER}?state=1", "MALFORMED_BODY"),
    ],
)
async def test_a_wrong_query_is_refused(gateway: Gateway, path: str, reason: str) -> None:
    answer = await gateway.call("GET", path)
    assert (answer.status, answer.reason) == (400, reason)


async def test_a_body_is_refused_if_the_method_takes_none(gateway: Gateway) -> None:
    answer = await gateway.call("GET", "/v1/balances/a", data=b"x")
    assert (answer.status, answer.reason) == (400, "MALFORMED_BODY")


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "IDEMPOTENCY_KEY_MISSING"),
        ("", "IDEMPOTENCY_KEY_MISSING"),
        ("a b", "IDEMPOTENCY_KEY_INVALID"),
        ("é", "IDEMPOTENCY_KEY_INVALID"),
        ("k" * 256, "IDEMPOTENCY_KEY_INVALID"),
    ],
)
async def test_a_missing_or_invalid_idempotency_key_is_refused(
    gateway: Gateway, key: str | None, reason: str
) -> None:
    answer = await gateway.call("POST", TRANSFER, json=BODY, headers={"Idempotency-Key": key})
    assert (answer.status, answer.reason) == (400, reason)


async def test_every_invalid_token_is_refused(gateway: Gateway) -> None:
    issuer = gateway.issuer
    good = issuer.token(SUBJECT)
    head, _, signature = good.split(".")
    tokens = {
        "none": None,
        "nonsense": "abc",
        "expired": issuer.token(SUBJECT, lives_s=-60),
        "not yet": issuer.token(SUBJECT, nbf=4102444800),
        "another issuer": issuer.token(SUBJECT, iss="https://evil.example"),
        "another audience": issuer.token(SUBJECT, aud="other"),
        "no expiry": issuer.token(SUBJECT, exp=None),
        "valid for ten years": issuer.token(SUBJECT, lives_s=10 * 365 * 86_400),
        "valid for longer than the provider's tokens": issuer.token(SUBJECT, lives_s=800),
        "another payload": f"{head}.{issuer.token('x').split('.')[1]}.{signature}",
        "HMAC with the public key": issuer.confused_token(SUBJECT),
        "unsigned": issuer.unsigned_token(SUBJECT),
        "another key": type(issuer)().token(SUBJECT),
    }
    for case, token in tokens.items():
        answer = await gateway.call("GET", "/v1/accounts", token=token)
        assert (answer.status, answer.reason) == (401, "UNAUTHENTICATED"), case


async def test_the_answer_to_a_refused_token_repeats_nothing_from_the_request(
    gateway: Gateway,
) -> None:
    """Envoy's challenge (RFC 6750) has the unescaped URL: a quote in the query ends the realm."""
    for token in (None, "abc", gateway.issuer.token(SUBJECT, aud="other")):
        answer = await gateway.call("GET", '/v1/accounts?pageToken=a",realm="x', token=token)
        assert (answer.status, answer.reason) == (401, "UNAUTHENTICATED")
        (challenge,) = answer.headers.getall("www-authenticate")
        assert challenge == (replies.INVALID_TOKEN if token else replies.CHALLENGE)


@pytest.mark.parametrize("scope", ["", "transfers:read", "transfers:writer", "accounts:read"])
async def test_a_missing_scope_is_refused(gateway: Gateway, scope: str) -> None:
    token = gateway.issuer.token(SUBJECT, scope)
    answer = await gateway.call("POST", TRANSFER, token=token, json=BODY)
    assert (answer.status, answer.reason) == (403, "SCOPE_MISSING")
    assert answer.json["message"] == replies.SCOPE_MISSING.message
    assert answer.info["metadata"] == {"scopes": "transfers:write"}


async def test_only_the_partner_may_call_the_webhook(gateway: Gateway) -> None:
    path, partner_ca = "/v1/webhooks/ach", gateway.rig.partner_ca
    folder = gateway.rig.home / "partners" / "other-webhook"
    partner_ca.issue(folder, uri="spiffe://other.example/webhooks")
    for context in (gateway.trusting(), gateway.trusting("other-webhook")):
        answer = await gateway.call("POST", path, data=b"{}", ssl=context)
        assert (answer.status, answer.reason) == (403, "CALLER_FORBIDDEN")
        assert answer.json["message"] == replies.CALLER_FORBIDDEN.message
        assert answer.info["metadata"] == {}


@pytest.mark.parametrize(
    "kind", [None, "", "text/plain", "application/xml", "application/grpc-web"]
)
async def test_a_notice_without_a_json_content_type_is_415(
    gateway: Gateway, kind: str | None
) -> None:
    """openapi.json offers only JSON for this route, so any other content type is rejected."""
    folder, calls = gateway.rig.home / "partners" / "ach-webhook", gateway.seen.calls
    gateway.rig.partner_ca.issue(folder, uri="spiffe://ach-network.example/webhooks")
    answer = await gateway.call(
        "POST",
        "/v1/webhooks/ach",
        token=None,
        data=b"{}",
        ssl=gateway.trusting("ach-webhook"),
        headers={"Content-Type": kind},
        skip_auto_headers=["Content-Type"],
    )
    assert (answer.status, answer.reason) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert gateway.seen.calls == calls


async def test_a_client_certificate_of_another_authority_ends_the_handshake(
    gateway: Gateway,
) -> None:
    rig = gateway.rig
    uri = "spiffe://ach-network.example/webhooks"
    rig.mesh_ca.issue(rig.home / "partners" / "forged", uri=uri)
    rig.partner_ca.issue(rig.home / "partners" / "old", uri=uri, ends_in=timedelta(minutes=-1))
    for client in ("forged", "old"):
        with pytest.raises((aiohttp.ClientError, OSError)):
            await gateway.call("POST", "/v1/webhooks/ach", data=b"{}", ssl=gateway.trusting(client))


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/v1/nothing"),
        ("POST", "/bp.payments.v1.PaymentsService/CreateInterbankTransfer"),
        ("POST", "/bp.customers.v1.CustomersService/CheckDebit"),
        ("GET", "/v1/transfers/interbank/a/b"),
        ("POST", "/v1/transfers/interbank/a:refund"),
        ("GET", "/"),
        ("GET", "/v1/accounts/"),
        ("POST", f"{TRANSFER}/"),
        ("GET", "//v1/accounts"),
        ("GET", "/v1//accounts"),
        ("POST", "/v1/transfers//interbank"),
        ("GET", "/v1/balances//a"),
    ],
)
async def test_a_path_without_a_route_is_not_found(gateway: Gateway, verb: str, path: str) -> None:
    answer = await gateway.call(verb, path)
    assert (answer.status, answer.reason) == (404, "ROUTE_NOT_FOUND")


@pytest.mark.parametrize(
    ("verb", "path", "allow"),
    [
        ("DELETE", "/v1/accounts", "GET, HEAD, OPTIONS"),
        ("TRACE", TRANSFER, "GET, HEAD, POST, OPTIONS"),
        ("GET", f"{TRANSFER}/a:cancel", "POST, OPTIONS"),
        ("PUT", "/v1/webhooks/ach", "POST, OPTIONS"),
    ],
)
async def test_another_verb_is_answered_with_what_is_allowed(
    gateway: Gateway, verb: str, path: str, allow: str
) -> None:
    answer = await gateway.call(verb, path, token=None)
    assert (answer.status, answer.reason) == (405, "ROUTE_NOT_FOUND")
    assert answer.headers["allow"] == allow


async def test_a_large_body_is_refused(gateway: Gateway) -> None:
    answer = await _post(gateway, _with(memo="x" * 70_000))
    assert (answer.status, answer.reason) == (413, "REQUEST_TOO_LARGE")


@pytest.mark.parametrize("headers", [{"x-large": "x" * 20_000}, {f"x-{n}": "1" for n in range(80)}])
async def test_large_or_many_headers_are_refused(gateway: Gateway, headers: dict[str, str]) -> None:
    answer = await gateway.call("GET", "/v1/accounts", headers=headers)
    assert (answer.status, answer.reason) == (431, "REQUEST_TOO_LARGE")


BROKEN = [
    (b"GET /v1/accounts HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", 400, "MALFORMED_BODY"),
    (b"POST /v1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", 400, "MALFORMED_BODY"),
    # Without a route for this path and verb, the gateway does not wait for the body.
    (b"POST /v2 HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx", 404, "ROUTE_NOT_FOUND"),
    (b"PUT /v1/accounts HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", 405, "ROUTE_NOT_FOUND"),
    (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 403, "CALLER_FORBIDDEN"),
]


@pytest.mark.parametrize(("request_bytes", "status", "reason"), BROKEN)
async def test_a_broken_request_is_answered_in_json_at_once(
    gateway: Gateway, request_bytes: bytes, status: int, reason: str
) -> None:
    reader, writer = await asyncio.open_connection(
        "localhost", gateway.rig.gateway_port, ssl=gateway.trusting()
    )
    writer.write(request_bytes)
    async with asyncio.timeout(scaled_s(5)):
        raw = (await reader.read(65_536)).decode()
    writer.close()
    head, _, body = raw.partition("\r\n\r\n")
    assert f" {status} " in head.splitlines()[0]
    assert "application/json" in head
    assert json.loads(body)["details"][0]["reason"] == reason


@pytest.mark.parametrize("verb", ["GET", "POST"])
@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto"])
async def test_a_grpc_request_reaches_no_service_and_gets_a_grpc_status(
    gateway: Gateway, kind: str, verb: str
) -> None:
    calls = gateway.seen.calls
    data = b"\0\0\0\0\0" if verb == "POST" else None
    answer = await gateway.call(verb, TRANSFER, data=data, headers={"Content-Type": kind})
    assert answer.headers["grpc-status"] == "2"
    assert "UNSUPPORTED_MEDIA_TYPE" in answer.headers["grpc-message"]
    assert gateway.seen.calls == calls


@pytest.mark.parametrize(
    "headers",
    [
        {"!": "1"},
        {"x~y": "1"},
        {"x-any-bin": "!"},
        {"grpc-timeout": "soon"},
        {"grpc-encoding": "nosuch"},
        {"grpc-previous-rpc-attempts": "x"},
    ],
)
async def test_headers_that_grpc_cannot_carry_are_dropped(
    gateway: Gateway, headers: dict[str, str]
) -> None:
    answer = await gateway.call("GET", "/v1/balances/a", headers=headers)
    assert answer.status == 200


BURST = 200
"""Size of a customer's bucket for reads (mesh/config/gateway.yaml)."""


async def test_a_flood_by_one_customer_does_not_limit_another_customer(gateway: Gateway) -> None:
    flooding, other = gateway.issuer.token("flood"), gateway.issuer.token("calm")
    answers = await _flood(gateway, flooding)
    refused = [answer for answer in answers if answer.status == 429]
    assert refused
    assert len(refused) <= len(answers) - BURST
    assert {answer.reason for answer in refused} == {"RATE_LIMITED"}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert (await gateway.call("GET", "/v1/balances/a", token=other)).status == 200
    assert (await gateway.call("POST", TRANSFER, token=flooding, json=BODY)).status == 200


async def test_an_error_of_a_service_keeps_its_reason_and_retry_delay(gateway: Gateway) -> None:
    answer = await gateway.call("POST", TRANSFER, json=BODY | {"memo": "unavailable"})
    assert (answer.status, answer.reason) == (503, "ACH_UNAVAILABLE")
    assert answer.headers["retry-after"] == "7"
    assert "grpc-status" not in answer.headers
    answer = await gateway.call("POST", TRANSFER, json=BODY | {"memo": "no funds"})
    assert (answer.status, answer.reason) == (400, "INSUFFICIENT_FUNDS")
    assert "retry-after" not in answer.headers


async def test_an_error_without_details_gets_details_and_the_gateways_message(
    gateway: Gateway,
) -> None:
    answer = await gateway.call("POST", TRANSFER, json=BODY | {"memo": "bare"})
    assert (answer.status, answer.reason) == (500, "INTERNAL_ERROR")
    assert "Traceback" not in answer.text + str(answer.headers)


async def test_an_unreachable_service_is_a_503_with_retry_after(gateway: Gateway) -> None:
    answer = await gateway.call("GET", "/v1/transfers/internal?accountId=a")
    assert (answer.status, answer.reason) == (503, "DEPENDENCY_UNAVAILABLE")
    assert answer.headers["retry-after"] == "1"


async def test_a_call_beyond_its_deadline_is_a_504(gateway: Gateway) -> None:
    answer = await gateway.call("GET", "/v1/balances/slow")
    assert (answer.status, answer.reason) == (504, "DEADLINE_EXCEEDED")


async def _flood(gateway: Gateway, token: str) -> list[Answer]:
    """Send a thousand requests at once, encoded beforehand so that a slow host sends them fast."""
    hasty = [*head(gateway)[:-1], ("authorization", f"Bearer {token}")]
    streams = range(1, 201, 2)
    written = b"".join(request(stream, hasty) for stream in streams)
    async with AsyncExitStack() as opened:
        connections = [await opened.enter_async_context(connected(gateway)) for _ in range(10)]
        for connection in connections:
            connection.writer.write(written)
        answers = await asyncio.gather(*(one.answers(streams) for one in connections))
    return [answer for each in answers for answer in each]


async def _post(gateway: Gateway, body: bytes, headers: dict[str, str] | None = None) -> Answer:
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return await gateway.call("POST", TRANSFER, data=body, headers=kind | (headers or {}))
