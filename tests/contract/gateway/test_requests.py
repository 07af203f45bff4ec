"""What the edge takes, and what of it reaches a service."""

import asyncio

import aiohttp
import pytest

from ops.waiting import scaled_s
from tests.rigs.mesh.edge import BODY, SUBJECT, TRANSFER, Edge


async def test_a_transfer_goes_from_json_to_grpc_and_back(edge: Edge) -> None:
    answer = await edge.call("POST", TRANSFER, json=BODY)
    assert answer.status == 200
    assert answer.json["state"] == "SUBMITTED"
    assert answer.json["amount"] == {"currencyCode": "USD", "minorUnits": "100"}
    assert answer.json["fraudReview"] is False
    assert edge.seen.request.beneficiary.routing_number == "021000021"


async def test_the_service_learns_who_calls_and_nothing_of_the_token(edge: Edge) -> None:
    await edge.call("POST", TRANSFER, json=BODY, headers={"traceparent": "00-" + "a" * 32})
    metadata = edge.seen.metadata
    assert metadata["x-bp-subject"] == SUBJECT
    assert metadata["x-bp-scope"] == "accounts:read transfers:read transfers:write"
    assert metadata["idempotency-key"] == "key-1"
    assert metadata["traceparent"] == "00-" + "a" * 32
    assert "URI=spiffe://bp.internal/ns/bp/sa/gateway" in metadata["x-forwarded-client-cert"]
    assert "authorization" not in metadata


async def test_headers_that_only_the_mesh_may_set_are_stripped(edge: Edge) -> None:
    forged = {
        "x-bp-subject": "someone-else",
        "x-bp-partner": "ach-network",
        "x-forwarded-client-cert": "URI=spiffe://bp.internal/ns/bp/sa/payments",
        "x-envoy-upstream-rq-timeout-ms": "1",
    }
    answer = await edge.call("POST", TRANSFER, json=BODY, headers=forged)
    assert answer.status == 200
    assert edge.seen.metadata["x-bp-subject"] == SUBJECT
    assert "x-bp-partner" not in edge.seen.metadata
    assert "payments" not in edge.seen.metadata["x-forwarded-client-cert"].split("URI=")[1]


async def test_an_amount_beyond_a_double_survives_both_ways(edge: Edge) -> None:
    large = "9007199254740993"
    body = BODY | {"amount": {"currencyCode": "USD", "minorUnits": large}}
    answer = await edge.call("POST", TRANSFER, json=body)
    assert answer.json["amount"]["minorUnits"] == large


async def test_a_query_reaches_the_request_under_either_spelling(edge: Edge) -> None:
    for name in ("atLeastPosition", "at_least_position"):
        answer = await edge.call("GET", f"/v1/balances/a-b-c?{name}=7")
        assert answer.json == {
            "accountId": "a-b-c",
            "available": {"currencyCode": "USD", "minorUnits": "9007199254740993"},
            "position": "7",
        }


async def test_a_custom_verb_needs_no_body(edge: Edge) -> None:
    for body in (None, b"", b"{}"):
        kind = None if body != b"{}" else "application/json"
        answer = await edge.call(
            "POST", f"{TRANSFER}/abc:cancel", data=body, headers={"Content-Type": kind}
        )
        assert (answer.status, answer.json["transferId"]) == (200, "abc")


async def test_a_page_of_a_hundred_rows_passes(edge: Edge) -> None:
    answer = await edge.call("GET", f"{TRANSFER}?accountId=a&pageSize=100")
    assert len(answer.json["transfers"]) == 100


async def test_every_answer_carries_a_request_id_and_is_not_stored(edge: Edge) -> None:
    answer = await edge.call("GET", "/v1/balances/a", headers={"x-request-id": "mine"})
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["cache-control"] == "no-store"
    assert "x-envoy-upstream-service-time" not in answer.headers


async def test_the_webhook_arrives_as_it_was_signed(edge: Edge) -> None:
    rig = edge.rig
    folder = rig.home / "partners" / "ach-webhook"
    rig.partner_ca.issue(folder, uri="spiffe://ach-network.example/webhooks")
    raw = b'{"unknown" : [1 , 2]}\n'
    answer = await edge.call(
        "POST",
        "/v1/webhooks/ach",
        token=None,
        data=raw,
        ssl=edge.trusting("ach-webhook"),
        headers={"Content-Type": "application/json", "Ach-Signature": "s"},
    )
    assert (answer.status, answer.json) == (200, {})
    assert edge.seen.request.body.data == raw
    assert edge.seen.metadata["ach-signature"] == "s"
    assert edge.seen.metadata["x-bp-partner"] == "ach-network"


async def test_preflight_and_options_say_what_is_allowed(edge: Edge) -> None:
    asked = {"Origin": "https://app.bp.example", "Access-Control-Request-Method": "POST"}
    answer = await edge.call("OPTIONS", TRANSFER, token=None, headers=asked)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "https://app.bp.example"
    assert "idempotency-key" in answer.headers["access-control-allow-headers"]
    foreign = asked | {"Origin": "https://evil.example"}
    answer = await edge.call("OPTIONS", TRANSFER, token=None, headers=foreign)
    assert "access-control-allow-origin" not in answer.headers
    answer = await edge.call("OPTIONS", TRANSFER, token=None)
    assert (answer.status, answer.headers["allow"]) == (204, "GET, POST, OPTIONS")


async def test_http2_is_offered(edge: Edge) -> None:
    context = edge.trusting()
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await asyncio.open_connection("localhost", edge.rig.edge_port, ssl=context)
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    writer.close()


async def test_plain_text_is_not_spoken(edge: Edge) -> None:
    with pytest.raises(aiohttp.ClientError):
        await edge.session.get(f"http://localhost:{edge.rig.edge_port}/v1/accounts")


@pytest.mark.parametrize("protocol", ["websocket", "h2c", "TLS/1.3", "nosuch"])
async def test_another_protocol_is_not_changed_to(edge: Edge, protocol: str) -> None:
    """The offer is ignored (RFC 9110, 7.8): it said SCOPE_MISSING to a caller with all scopes."""
    headers = {"Connection": "Upgrade", "Upgrade": protocol}
    answer = await edge.call("GET", "/v1/balances/a", headers=headers)
    assert (answer.status, answer.json["accountId"]) == (200, "a")


async def test_a_connection_without_a_handshake_is_ended(edge: Edge) -> None:
    """At the edge and at a sidecar; Envoy holds it for as long as a well one, an hour inside."""
    ports = (edge.rig.edge_port, edge.rig.mtls["customers"])
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    ended = [_ended(port, said) for port in ports for said in (b"", hello)]
    await asyncio.gather(*ended)


async def _ended(port: int, said: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    try:
        async with asyncio.timeout(scaled_s(15)):
            assert await reader.read() == b""
    finally:
        writer.transport.abort()
