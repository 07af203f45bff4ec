"""HTTP/2 frames that no client library sends: an error affects only its own stream."""

import asyncio
import json
import re

import pytest

from ops.waiting import until
from sandbox.stack.home import REPO
from tests.contract.gateway.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    INTERNAL_ERROR,
    PROTOCOL_ERROR,
    RST,
    SETTINGS,
    Fields,
    block,
    connected,
    frame,
    head,
    request,
)
from tests.rigs.mesh.gateway import BODY, TRANSFER, Gateway

LIMITS = REPO / "mesh" / "config" / "gateway.yaml"


def malformed(gateway: Gateway) -> dict[str, Fields]:
    """Return requests that RFC 9113, 8.1.1 calls malformed."""
    good = head(gateway)
    return {
        "a method twice": [(":method", "POST"), *good],
        "a path twice": [(":path", "/v1/webhooks/ach"), *good],
        "a response's pseudo-field": [(":status", "200"), *good],
        "an unknown pseudo-field": [(":other", "x"), *good],
        "a pseudo-field behind a field": [good[-1], *good[:-1]],
        "no method": good[1:],
        "no path": [each for each in good if each[0] != ":path"],
        "an empty path": head(gateway, path=""),
        "a path that ends the line": head(gateway, "GET", "/v1/balances/a\r\nx: y"),
        "no scheme": [each for each in good if each[0] != ":scheme"],
        "a name in capitals": [*good, ("X-Upper", "1")],
        "a line's end in a value": [*good, ("x", "a\r\nx-bp-subject: b")],
        "NUL in a value": [*good, ("x", "a\0b")],
        "a name with a colon": [*good, ("x:y", "1")],
        "an HTTP/1.1 field": [*good, ("connection", "close")],
        "a transfer coding": [*good, ("transfer-encoding", "chunked")],
        "te that is not trailers": [*good, ("te", "gzip")],
        "a tunnel for web sockets": [(":protocol", "websocket"), *head(gateway, "CONNECT")],
        "two lengths": [*good, ("content-length", "1"), ("content-length", "2")],
    }


async def test_an_answer_that_its_caller_does_not_read_is_dropped(gateway: Gateway) -> None:
    """Otherwise one address fills the gateway's memory, and everybody gets 503."""
    dropped = await _dropped(gateway)
    async with connected(gateway) as connection:
        no_window = (4).to_bytes(2, "big") + bytes(4)
        connection.writer.write(frame(SETTINGS, 0, 0, no_window))
        for stream in range(1, 20, 2):
            connection.writer.write(request(stream, head(gateway, "GET", "/v1/nothing")))

        async def all_dropped() -> bool:
            return await _dropped(gateway) == dropped + 10

        # The idle timeout would drop them too. Envoy's clock decides, so the limit does not scale.
        earlier_s = _idle_timeout_s() - 10
        async with asyncio.timeout(earlier_s):
            await until(all_dropped, earlier_s, "the gateway drops the answers")


def _idle_timeout_s() -> float:
    found = re.search(r"idleTimeout: (\d+)s$", LIMITS.read_text(), re.MULTILINE)
    assert found is not None
    return float(found[1])


async def _dropped(gateway: Gateway) -> int:
    stats = await gateway.rig.stats("gateway", "tx_flush_timeout")
    return stats.get("http2.tx_flush_timeout", 0)


async def test_a_malformed_request_ends_its_stream_and_harms_no_other(gateway: Gateway) -> None:
    """By default Envoy ends the whole connection, which a proxy may share between many callers."""
    calls = gateway.seen.calls
    for what, fields in malformed(gateway).items():
        async with connected(gateway) as connection:
            order = head(
                gateway,
                "POST",
                TRANSFER,
                "content-type",
                "application/json",
                "idempotency-key",
                "k",
            )
            connection.writer.write(
                frame(HEADERS, END_HEADERS, 1, block(order)) + request(3, fields)
            )
            try:
                assert await connection.reset(3) == PROTOCOL_ERROR, what
                assert gateway.seen.calls == calls, what
                connection.writer.write(frame(DATA, END_STREAM, 1, json.dumps(BODY).encode()))
                assert json.loads(await connection.answer(1))["state"] == "SUBMITTED", what
            except asyncio.IncompleteReadError:
                pytest.fail(f"{what}: the connection ended")
        calls = gateway.seen.calls


async def test_a_length_that_is_not_the_bodys_reaches_no_service(gateway: Gateway) -> None:
    body = json.dumps(BODY).encode()
    for length in (len(body) - 5, len(body) + 5):
        calls = gateway.seen.calls
        fields = head(gateway, "POST", TRANSFER, "content-type", "application/json")
        fields += [("idempotency-key", "k"), ("content-length", str(length))]
        async with connected(gateway) as connection:
            connection.writer.write(frame(HEADERS, END_HEADERS, 1, block(fields)))
            connection.writer.write(frame(DATA, END_STREAM, 1, body))
            assert await connection.reset(1) == PROTOCOL_ERROR
        assert gateway.seen.calls == calls


async def test_endless_header_frames_are_cut_off(gateway: Gateway) -> None:
    """CONTINUATION frames without an end: above the limit for headers, and empty ones."""
    beyond, empty = block([("x", "a" * 900)]), b""
    async with connected(gateway) as connection:
        connection.writer.write(frame(HEADERS, 0, 1, block(head(gateway))))
        connection.writer.write(frame(CONTINUATION, 0, 1, beyond) * 400)
        assert await connection.reset(1) == INTERNAL_ERROR
    async with connected(gateway) as connection:
        connection.writer.write(frame(HEADERS, 0, 1, block(head(gateway))))
        connection.writer.write(frame(CONTINUATION, 0, 1, empty) * 400)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await connection.reset(1)
    assert (await gateway.call("GET", "/v1/balances/a")).status == 200


async def test_a_flood_of_reset_requests_does_not_block_other_customers(gateway: Gateway) -> None:
    """A small version of CVE-2023-44487. The flood counts only in its own customer's bucket."""
    other = gateway.issuer.token("calm")
    hasty = head(gateway)
    hasty[-1] = ("authorization", f"Bearer {gateway.issuer.token('hasty')}")
    async with connected(gateway) as connection:
        for stream in range(1, 801, 2):
            cancel = frame(RST, 0, stream, (8).to_bytes(4, "big"))
            connection.writer.write(request(stream, hasty) + cancel)
        answers = [_answered(gateway, other) for _ in range(8)]
        assert await asyncio.gather(*answers) == [200] * 8


async def _answered(gateway: Gateway, token: str) -> int:
    """Call until the gateway is not busy, as an app does; return the status."""

    async def status() -> int | None:
        answer = await gateway.call("GET", "/v1/balances/a", token=token)
        return None if answer.status == 503 else answer.status

    return await until(status, what="an answer other than 503")
