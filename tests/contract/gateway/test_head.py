"""HEAD (RFC 9110, 9.3.2): the answer to a GET, without its body."""

import asyncio
import json

import pytest

from ops.waiting import scaled_s
from tests.contract.gateway.http2 import connected, head, request
from tests.rigs.mesh.gateway import TRANSFER, Gateway
from tests.rigs.mesh.upstream import ETAG

PATH = f"{TRANSFER}/0190a8a0-0000-7000-8000-000000000001"
OF_ONE_ANSWER = {"date", "x-request-id", "x-envoy-upstream-service-time"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/accounts", 501),
        ("/v1/balances/a", 200),
        (PATH, 200),
        (f"{TRANSFER}?accountId=a&pageSize=3", 200),
        (f"{TRANSFER}/missing", 404),
        ("/v1/accounts?unknown=1", 400),
        ("/v1/nothing", 404),
        ("/v1/webhooks/ach", 405),
    ],
)
async def test_head_is_answered_like_get(gateway: Gateway, path: str, status: int) -> None:
    whole, answer = await asyncio.gather(gateway.call("GET", path), gateway.call("HEAD", path))
    assert (whole.status, answer.status, answer.text) == (status, status, "")
    assert _lasting(answer.headers) == _lasting(whole.headers)
    assert answer.headers["content-length"] == str(len(whole.text.encode()))


def _lasting(headers: dict[str, str]) -> dict[str, str]:
    lower = {name.lower(): value for name, value in headers.items()}
    return {name: value for name, value in lower.items() if name not in OF_ONE_ANSWER}


async def test_head_needs_the_same_rights(gateway: Gateway) -> None:
    other = gateway.issuer.token("0190a8a0-0000-7000-8000-000000000042", "transfers:write")
    for token, status in ((None, 401), ("x", 401), (other, 403)):
        answer = await gateway.call("HEAD", "/v1/accounts", token=token)
        assert (answer.status, answer.text) == (status, "")


async def test_head_of_a_known_transfer_is_304(gateway: Gateway) -> None:
    whole = await gateway.call("GET", PATH)
    answer = await gateway.call("HEAD", PATH, headers={"If-None-Match": ETAG})
    assert (answer.status, answer.text, answer.headers["etag"]) == (304, "", ETAG)
    assert answer.headers["content-length"] == str(len(whole.text))


async def test_head_ends_its_stream_and_the_connection_continues(gateway: Gateway) -> None:
    async with connected(gateway) as connection:
        paths = {1: PATH, 3: f"{TRANSFER}/missing", 5: "/v1/nothing"}
        connection.writer.write(
            b"".join(request(at, head(gateway, "HEAD", path)) for at, path in paths.items())
            + request(7, head(gateway, "GET", PATH))
        )
        answers = await connection.answers((*paths, 7))
    assert sorted((a.status, bool(a.text)) for a in answers) == [
        (200, False),
        (200, True),
        (404, False),
        (404, False),
    ]
    assert [answer.trailers for answer in answers if not answer.text] == [{}] * 3
    lengths = {a.headers["content-length"] for a in answers if a.status == 200}
    assert lengths == {str(len(next(a.text for a in answers if a.text)))}


async def test_a_head_of_http_1_has_no_byte_of_a_body(gateway: Gateway) -> None:
    """The next answer on the connection begins where the head of the first ends."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        gateway.rig.gateway_port,
        ssl=gateway.trusting(),
        server_hostname="localhost",
    )
    for verb, path, last in (
        ("HEAD", PATH, ""),
        ("HEAD", f"{TRANSFER}/missing", ""),
        ("GET", PATH, "Connection: close\r\n"),
    ):
        lines = f"Host: localhost\r\nAuthorization: Bearer {gateway.token}\r\n{last}\r\n"
        writer.write(f"{verb} {path} HTTP/1.1\r\n{lines}".encode())
    async with asyncio.timeout(scaled_s(5)):
        answers = (await reader.read()).decode().split("\r\n\r\n")
    writer.close()
    starts = [answer.partition("\r\n")[0] for answer in answers[:3]]
    assert starts == ["HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found", "HTTP/1.1 200 OK"]
    assert "transfer-encoding" not in "".join(answers[:2]).lower()
    assert json.loads(answers[3])["etag"] == ETAG
