"""Entity tags (RFC 9110, 8.8.3 and 13.1.2): a caller with the current transfer gets no body."""

import asyncio
import json

import pytest

from ops.waiting import scaled_s
from tests.contract.gateway.http2 import connected, head, request
from tests.rigs.mesh.gateway import TRANSFER, Gateway
from tests.rigs.mesh.upstream import ETAG

PATH = f"{TRANSFER}/0190a8a0-0000-7000-8000-000000000001"


async def test_a_transfer_has_its_entity_tag_in_a_header(gateway: Gateway) -> None:
    origin = {"Origin": "https://app.bp.example"}
    answer = await gateway.call("GET", PATH, headers=origin)
    assert (answer.status, answer.headers["etag"]) == (200, ETAG)
    assert answer.json["etag"] == ETAG
    assert "etag" in answer.headers["access-control-expose-headers"].split(", ")
    asked = {"Access-Control-Request-Method": "GET"}
    preflight = await gateway.call("OPTIONS", PATH, token=None, headers=origin | asked)
    assert "if-none-match" in preflight.headers["access-control-allow-headers"].split(", ")


@pytest.mark.parametrize("known", [ETAG, f"W/{ETAG}", f'"1", {ETAG}', f'"x",{ETAG},"y"', "*"])
async def test_a_caller_that_has_the_newest_transfer_gets_304(gateway: Gateway, known: str) -> None:
    """RFC 9110, 15.4.5: with the tag, without a body or its type, and with the length of a 200."""
    whole = await gateway.call("GET", PATH)
    for _ in range(2):
        answer = await gateway.call("GET", PATH, headers={"If-None-Match": known})
        assert (answer.status, answer.text, answer.headers["etag"]) == (304, "", ETAG)
        assert "content-type" not in answer.headers
        assert answer.headers["content-length"] == str(len(whole.text))
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("known", ["", '"1"', '"22"', "2", '"2', "**", 'W/"1", "3"'])
async def test_a_caller_that_has_an_older_transfer_or_a_malformed_tag_gets_the_newest(
    gateway: Gateway, known: str
) -> None:
    answer = await gateway.call("GET", PATH, headers={"If-None-Match": known})
    assert (answer.status, answer.json["etag"]) == (200, ETAG)


async def test_only_a_successful_read_of_a_transfer_can_be_304(gateway: Gateway) -> None:
    headers = {"If-None-Match": "*"}
    missing = await gateway.call("GET", f"{TRANSFER}/missing", headers=headers)
    assert (missing.status, missing.reason) == (404, "TRANSFER_NOT_FOUND")
    cancelled = await gateway.call("POST", f"{PATH}:cancel", headers=headers)
    assert (cancelled.status, cancelled.json["state"]) == (200, "CANCELLED")
    balance = await gateway.call("GET", "/v1/balances/a", headers=headers)
    assert (balance.status, balance.json["accountId"]) == (200, "a")


async def test_a_304_ends_its_stream_and_the_connection_continues(gateway: Gateway) -> None:
    """A 304 ends with its header section, so it has no trailers (RFC 9110, 15.4.5)."""
    async with connected(gateway) as connection:
        known = head(gateway, "GET", PATH, "if-none-match", ETAG)
        connection.writer.write(request(1, known) + request(3, head(gateway, "GET", PATH)))
        answers = await connection.answers((1, 3))
    assert {answer.status: answer.text != "" for answer in answers} == {304: False, 200: True}
    assert [answer.trailers for answer in answers if answer.status == 304] == [{}]


async def test_a_304_of_http_1_has_no_byte_of_a_body(gateway: Gateway) -> None:
    """The next answer on the connection begins where the head of the 304 ends."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        gateway.rig.gateway_port,
        ssl=gateway.trusting(),
        server_hostname="localhost",
    )
    lines = [
        f"GET {PATH} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {gateway.token}",
        "{}\r\n\r\n",
    ]
    text = "\r\n".join(lines)
    writer.write(
        (text.format(f"If-None-Match: {ETAG}") + text.format("Connection: close")).encode()
    )
    async with asyncio.timeout(scaled_s(5)):
        answers = (await reader.read()).decode()
    writer.close()
    first, _, rest = answers.partition("\r\n\r\n")
    assert first.startswith("HTTP/1.1 304 Not Modified\r\n")
    assert "transfer-encoding" not in first
    assert rest.startswith("HTTP/1.1 200 OK\r\n")
    assert json.loads(rest.partition("\r\n\r\n")[2])["etag"] == ETAG
