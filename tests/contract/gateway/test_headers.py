"""The headers in which a client describes itself: credentials, and what it sends and accepts."""

import asyncio
import gzip
import json

import pytest

from ops.waiting import scaled_s
from tests.rigs.mesh.gateway import BODY, SUBJECT, TRANSFER, Answer, Gateway

JSON = {"Content-Type": "application/json"}
ORDER = json.dumps(BODY).encode()


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "bEaReR ", "bearer    "])
async def test_the_scheme_of_a_token_is_accepted_in_any_case(gateway: Gateway, scheme: str) -> None:
    """RFC 9110, 11.1 and 11.4: the scheme is case-insensitive, and spaces follow it."""
    headers = {"Authorization": f"{scheme}{gateway.token}"}
    answer = await gateway.call("GET", "/v1/balances/a", token=None, headers=headers)
    assert answer.status == 200, answer
    assert gateway.seen.metadata["x-bp-subject"] == SUBJECT
    assert "authorization" not in gateway.seen.metadata


@pytest.mark.parametrize(
    "before", ["", "bearer", "bearer\t", "bearers ", "a Bearer ", "Basic ", "bearer ,"]
)
async def test_a_token_with_another_scheme_is_refused(gateway: Gateway, before: str) -> None:
    headers = {"Authorization": f"{before}{gateway.token}"}
    answer = await gateway.call("GET", "/v1/balances/a", token=None, headers=headers)
    assert (answer.status, answer.reason) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "deflate", "br", "identity, gzip", "x"])
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
async def test_a_body_with_a_content_coding_is_415(
    gateway: Gateway, coding: str, compressed: bool
) -> None:
    """RFC 9110, 15.5.16: `Accept-Encoding` names the codings that the caller may use instead."""
    data, calls = gzip.compress(ORDER) if compressed else ORDER, gateway.seen.calls
    answer = await _post(gateway, data, {"Content-Encoding": coding})
    assert (answer.status, answer.reason) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert answer.fields == ["Content-Encoding"]
    assert answer.headers["accept-encoding"] == "identity"
    assert gateway.seen.calls == calls


async def test_a_notice_with_a_content_coding_is_415(gateway: Gateway) -> None:
    gateway.rig.partner_ca.issue(
        gateway.rig.home / "partners" / "ach-webhook", uri="spiffe://ach-network.example/webhooks"
    )
    calls = gateway.seen.calls
    answer = await gateway.call(
        "POST",
        "/v1/webhooks/ach",
        token=None,
        data=b"{}",
        ssl=gateway.trusting("ach-webhook"),
        headers=JSON | {"Content-Encoding": "gzip"},
    )
    assert (answer.status, answer.reason) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert gateway.seen.calls == calls


@pytest.mark.parametrize("coding", ["identity", "Identity", "", "identity, identity"])
async def test_a_body_without_a_coding_is_accepted(gateway: Gateway, coding: str) -> None:
    assert (await _post(gateway, ORDER, {"Content-Encoding": coding})).status == 200


@pytest.mark.parametrize(
    "charset", ["iso-8859-1", "latin1", "utf-16", "us-ascii", "", "utf-8; charset=latin1", "utf-80"]
)
async def test_another_charset_than_utf8_is_415(gateway: Gateway, charset: str) -> None:
    """JSON between systems is UTF-8 (RFC 8259, 8.1)."""
    calls = gateway.seen.calls
    answer = await _post(gateway, ORDER, {"Content-Type": f"application/json; charset={charset}"})
    assert (answer.status, answer.reason) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert answer.fields == ["Content-Type"]
    assert answer.headers["accept"] == "application/json"
    assert gateway.seen.calls == calls


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=utf-8",
        'Application/JSON;Charset="UTF-8"',
        "application/json ; charset=utf8",
        "application/json;",
        "application/json; version=1",
    ],
)
async def test_json_in_utf8_is_accepted_in_any_spelling(gateway: Gateway, kind: str) -> None:
    assert (await _post(gateway, ORDER, {"Content-Type": kind})).status == 200


@pytest.mark.parametrize(
    "accepted",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "*/*",
        "application/*;q=0.1",
        "text/html, application/json;q=0.5",
        "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
        "application/*;q=0, application/json",
        "application/json;v=1;q=0, application/json",
        "",
        ",",
    ],
)
async def test_a_client_that_accepts_json_gets_it(gateway: Gateway, accepted: str) -> None:
    """One case is the value that Java's own client sends, which RFC 9110 does not allow."""
    answer = await gateway.call("GET", "/v1/balances/a", headers={"Accept": accepted})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")


@pytest.mark.parametrize(
    "accepted",
    [
        "text/html",
        "application/xml, text/*",
        "application/jsonp",
        "application/json;q=0",
        "application/json; q=0.000, */*",
        "application/*;q=0, */*;q=1",
        "*/*;q=0",
        "nonsense",
    ],
)
async def test_a_client_that_does_not_accept_json_gets_406(gateway: Gateway, accepted: str) -> None:
    """RFC 9110, 12.5.1: the most specific range that matches JSON decides."""
    calls = gateway.seen.calls
    for answer in (
        await gateway.call("GET", "/v1/balances/a", headers={"Accept": accepted}),
        await _post(gateway, ORDER, {"Accept": accepted}),
    ):
        assert (answer.status, answer.reason) == (406, "NOT_ACCEPTABLE")
        assert answer.fields == ["Accept"]
    assert gateway.seen.calls == calls


async def test_an_old_http_version_has_its_own_reason(gateway: Gateway) -> None:
    reader, writer = await asyncio.open_connection(
        "localhost", gateway.rig.gateway_port, ssl=gateway.trusting()
    )
    writer.write(b"GET /v1/accounts HTTP/1.0\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(scaled_s(5)):
        head, _, body = (await reader.read(65_536)).decode().partition("\r\n\r\n")
    writer.close()
    assert head.startswith("HTTP/1.1 426 ")
    assert json.loads(body)["details"][0]["reason"] == "HTTP_VERSION_UNSUPPORTED"


async def _post(gateway: Gateway, data: bytes, headers: dict[str, str]) -> Answer:
    return await gateway.call("POST", TRANSFER, data=data, headers=JSON | headers)
