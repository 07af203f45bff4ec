"""Requests that the gateway accepts, and what the service gets from them."""

import asyncio
import json
import re
from typing import Any

import aiohttp
import pytest

from ops.waiting import scaled_s
from tests.rigs.mesh.gateway import BODY, SUBJECT, TRANSFER, Gateway


async def test_a_transfer_goes_from_json_to_grpc_and_back(gateway: Gateway) -> None:
    answer = await gateway.call("POST", TRANSFER, json=BODY)
    assert answer.status == 200
    assert answer.json["state"] == "SUBMITTED"
    assert answer.json["amount"] == {"currencyCode": "USD", "minorUnits": "100"}
    assert "fraudReview" not in answer.json
    assert gateway.seen.request.beneficiary.routing_number == "021000021"


async def test_the_service_learns_who_calls_and_nothing_of_the_token(gateway: Gateway) -> None:
    await gateway.call("POST", TRANSFER, json=BODY, headers={"traceparent": "00-" + "a" * 32})
    metadata = gateway.seen.metadata
    assert metadata["x-bp-subject"] == SUBJECT
    assert metadata["x-bp-scope"] == "accounts:read transfers:read transfers:write"
    assert metadata["idempotency-key"] == "key-1"
    assert metadata["traceparent"] == "00-" + "a" * 32
    assert "URI=spiffe://bp.internal/ns/bp/sa/gateway" in metadata["x-forwarded-client-cert"]
    assert "authorization" not in metadata


async def test_headers_that_only_the_mesh_may_set_are_stripped(gateway: Gateway) -> None:
    forged = {
        "x-bp-subject": "someone-else",
        "x-bp-partner": "ach-network",
        "x-forwarded-client-cert": "URI=spiffe://bp.internal/ns/bp/sa/payments",
        "x-envoy-upstream-rq-timeout-ms": "1",
    }
    answer = await gateway.call("POST", TRANSFER, json=BODY, headers=forged)
    assert answer.status == 200
    assert gateway.seen.metadata["x-bp-subject"] == SUBJECT
    assert "x-bp-partner" not in gateway.seen.metadata
    assert "payments" not in gateway.seen.metadata["x-forwarded-client-cert"].split("URI=")[1]


async def test_an_amount_beyond_a_double_survives_both_ways(gateway: Gateway) -> None:
    large = "9007199254740993"
    body = BODY | {"amount": {"currencyCode": "USD", "minorUnits": large}}
    answer = await gateway.call("POST", TRANSFER, json=body)
    assert answer.json["amount"]["minorUnits"] == large


async def test_a_query_reaches_the_request_under_either_spelling(gateway: Gateway) -> None:
    for name in ("atLeastPosition", "at_least_position"):
        answer = await gateway.call("GET", f"/v1/balances/a-b-c?{name}=7")
        assert answer.json == {
            "accountId": "a-b-c",
            "available": {"currencyCode": "USD", "minorUnits": "9007199254740993"},
            "position": "7",
        }


async def test_a_body_reaches_the_request_under_either_spelling(gateway: Gateway) -> None:
    """proto3's JSON mapping reads lowerCamelCase and the contract's own names; answers have one."""
    snake_case = _in_snake_case(BODY)
    assert "routing_number" in snake_case["beneficiary"]
    answers: list[str] = []
    for body in (BODY, snake_case):
        gateway.seen.request = None
        answer = await gateway.call("POST", TRANSFER, json=body)
        assert gateway.seen.request.beneficiary.routing_number == "021000021"
        answers.append(answer.text)
    assert answers[0] == answers[1]
    assert json.loads(answers[1])["accountId"] == BODY["accountId"]


def _in_snake_case(body: dict[str, Any]) -> dict[str, Any]:
    return {
        re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name): (
            _in_snake_case(value) if isinstance(value, dict) else value  # pyright: ignore[reportUnknownArgumentType]
        )
        for name, value in body.items()
    }


async def test_a_custom_verb_needs_no_body(gateway: Gateway) -> None:
    for body in (None, b"", b"{}"):
        kind = None if body != b"{}" else "application/json"
        answer = await gateway.call(
            "POST", f"{TRANSFER}/abc:cancel", data=body, headers={"Content-Type": kind}
        )
        assert (answer.status, answer.json["transferId"]) == (200, "abc")


@pytest.mark.parametrize("colon", ["%3A", "%3a"])
async def test_a_custom_verb_is_found_after_an_encoded_colon(gateway: Gateway, colon: str) -> None:
    """Clients that encode a path's segments write ":" as %3A, which RFC 3986, 2.1 allows."""
    path = f"{TRANSFER}/a-b{colon}cancel"
    answer = await gateway.call("POST", path, encoded=True)
    assert (answer.status, answer.json["transferId"]) == (200, "a-b")
    answer = await gateway.call("GET", path, encoded=True)
    assert (answer.status, answer.headers["allow"]) == (405, "POST, OPTIONS")
    answer = await gateway.call("POST", f"{TRANSFER}/a-b{colon}refund", encoded=True)
    assert (answer.status, answer.reason) == (404, "ROUTE_NOT_FOUND")
    answer = await gateway.call("GET", f"/v1/balances/a{colon}b", encoded=True)
    assert (answer.status, answer.reason) == (404, "ROUTE_NOT_FOUND")


async def test_a_page_of_a_hundred_rows_passes(gateway: Gateway) -> None:
    answer = await gateway.call("GET", f"{TRANSFER}?accountId=a&pageSize=100")
    assert len(answer.json["transfers"]) == 100


async def test_every_answer_carries_a_request_id_and_is_not_stored(gateway: Gateway) -> None:
    answer = await gateway.call("GET", "/v1/balances/a", headers={"x-request-id": "mine"})
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["cache-control"] == "no-store"
    assert "x-envoy-upstream-service-time" not in answer.headers


async def test_the_webhook_arrives_as_it_was_signed(gateway: Gateway) -> None:
    rig = gateway.rig
    folder = rig.home / "partners" / "ach-webhook"
    rig.partner_ca.issue(folder, uri="spiffe://ach-network.example/webhooks")
    raw = b'{"unknown" : [1 , 2]}\n'
    answer = await gateway.call(
        "POST",
        "/v1/webhooks/ach",
        token=None,
        data=raw,
        ssl=gateway.trusting("ach-webhook"),
        headers={"Content-Type": "application/json", "Ach-Signature": "s"},
    )
    assert (answer.status, answer.json) == (200, {})
    assert gateway.seen.request.body.data == raw
    assert gateway.seen.metadata["ach-signature"] == "s"
    assert gateway.seen.metadata["x-bp-partner"] == "ach-network"


async def test_preflight_and_options_say_what_is_allowed(gateway: Gateway) -> None:
    asked = {"Origin": "https://app.bp.example", "Access-Control-Request-Method": "POST"}
    answer = await gateway.call("OPTIONS", TRANSFER, token=None, headers=asked)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "https://app.bp.example"
    assert "idempotency-key" in answer.headers["access-control-allow-headers"]
    foreign = asked | {"Origin": "https://evil.example"}
    answer = await gateway.call("OPTIONS", TRANSFER, token=None, headers=foreign)
    assert "access-control-allow-origin" not in answer.headers
    answer = await gateway.call("OPTIONS", TRANSFER, token=None)
    assert (answer.status, answer.headers["allow"]) == (204, "GET, HEAD, POST, OPTIONS")


async def test_http2_is_offered(gateway: Gateway) -> None:
    context = gateway.trusting()
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await asyncio.open_connection("localhost", gateway.rig.gateway_port, ssl=context)
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    writer.close()


async def test_the_gateway_refuses_plain_text_http(gateway: Gateway) -> None:
    with pytest.raises(aiohttp.ClientError):
        await gateway.session.get(f"http://localhost:{gateway.rig.gateway_port}/v1/accounts")


@pytest.mark.parametrize("protocol", ["websocket", "h2c", "TLS/1.3", "nosuch"])
async def test_the_gateway_ignores_upgrade(gateway: Gateway, protocol: str) -> None:
    """The gateway ignores Upgrade (RFC 9110, 7.8) instead of answering SCOPE_MISSING."""
    headers = {"Connection": "Upgrade", "Upgrade": protocol}
    answer = await gateway.call("GET", "/v1/balances/a", headers=headers)
    assert (answer.status, answer.json["accountId"]) == (200, "a")


async def test_a_connection_without_a_handshake_is_ended(gateway: Gateway) -> None:
    """The timeout applies to gateway and sidecars. By default, Envoy only ends idle connections. On
    a slow host the test might wait that long, so it checks Envoy's counter instead.
    """
    ports = {"gateway": gateway.rig.gateway_port, "customers": gateway.rig.mtls["customers"]}
    before = {name: await _handshakes_ended(gateway, name) for name in ports}
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    ended = [_ended(port, said) for port in ports.values() for said in (b"", hello)]
    await asyncio.gather(*ended)
    after = {name: await _handshakes_ended(gateway, name) for name in ports}
    assert {name: after[name] - before[name] for name in ports} == dict.fromkeys(ports, 2)


async def _handshakes_ended(gateway: Gateway, name: str) -> int:
    """Return how many connections a proxy has ended because their handshake took too long."""
    counter = "downstream_cx_transport_socket_connect_timeout"
    stats = await gateway.rig.stats(name, counter)
    return sum(
        value
        for each, value in stats.items()
        if each.startswith("listener.") and "worker" not in each
    )


async def _ended(port: int, said: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    try:
        async with asyncio.timeout(scaled_s(15)):
            assert await reader.read() == b""
    finally:
        writer.transport.abort()
