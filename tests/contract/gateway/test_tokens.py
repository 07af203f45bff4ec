"""Claims of a correctly signed token that no provider should issue get a 401, never a 503."""

import asyncio
import json
import time
from typing import Any

import pytest

from gateway.replies import INVALID_TOKEN
from tests.rigs.mesh.gateway import BODY, SUBJECT, TRANSFER, Gateway
from tests.rigs.mesh.issuer import AUDIENCE, ISSUER

GET, POST = "/v1/balances/a", TRANSFER
DISTANT = [
    *("4611686018427387904", "9223372036854775807", "9223372036854775808", "18446744073709551616"),
    *("9.3e18", "1.8e19", "1e19", "1e308", "1e400", "-1", "-9223372036854775808", "0", "1.5"),
]
NO_NUMBERS = ['"123"', "true", "false", "null", "[]", "[4102444800]", "{}"]
UNPRINTABLE = ["\n", "\r\n", "\t", "\0", "\x1b", "\x7f", "\x85", "\u00e9", "\u202e"]


def _payload(gateway: Gateway, **claims: str | None) -> str:
    """Return the payload of a valid token with some claims replaced by JSON text, or omitted."""
    usual = gateway.issuer.claims(SUBJECT, "accounts:read transfers:write", 300, {})
    texts = {name: json.dumps(value) for name, value in usual.items()} | claims
    return ",".join(f'"{name}":{text}' for name, text in texts.items() if text is not None)


def _token(gateway: Gateway, **claims: str | None) -> str:
    return gateway.issuer.signed("{" + _payload(gateway, **claims) + "}")


async def _statuses(gateway: Gateway, token: str) -> list[int]:
    answers = await asyncio.gather(
        gateway.call("GET", GET, token=token),
        gateway.call("HEAD", GET, token=token),
        gateway.call("POST", POST, token=token, json=BODY),
    )
    for answer in answers:
        if answer.status == 401:
            assert answer.headers.getall("www-authenticate") == [INVALID_TOKEN]
            assert answer.text == "" or answer.reason == "UNAUTHENTICATED"
    return [answer.status for answer in answers]


async def _accepted(gateway: Gateway, claim: str, texts: list[str | None]) -> dict[str | None, int]:
    """Return the values of a claim that did not get a 401 from every method."""
    statuses = [await _statuses(gateway, _token(gateway, **{claim: text})) for text in texts]
    pairs = zip(texts, statuses, strict=True)
    return {text: max(set(found) - {401}) for text, found in pairs if set(found) != {401}}


async def test_a_token_without_a_near_integer_expiry_is_refused(gateway: Gateway) -> None:
    """Envoy adds a tolerance to the expiry; near 2^63 the sum overflows and passes its limit."""
    now = int(time.time())
    odd = [f"{now + 100}.5", str(now - 60), str(now + 7_200), f'"{now + 100}"']
    assert await _accepted(gateway, "exp", [*DISTANT, *NO_NUMBERS, *odd, None]) == {}
    for text in (str(now + 100), f"{now + 100}.0", f"{(now + 100) / 1e9:.9f}e9"):
        assert await _statuses(gateway, _token(gateway, exp=text)) == [200, 200, 200], text


@pytest.mark.parametrize("claim", ["iat", "nbf"])
async def test_a_token_with_a_malformed_time_is_refused(gateway: Gateway, claim: str) -> None:
    malformed = ["1.5", "-1", "1e300", "9223372036854775808", *NO_NUMBERS]
    assert await _accepted(gateway, claim, [*malformed]) == {}
    assert await _statuses(gateway, _token(gateway, **{claim: None})) == [200, 200, 200]
    assert await _statuses(gateway, _token(gateway, **{claim: "1"})) == [200, 200, 200]


async def test_a_token_for_another_audience_is_refused_however_similar_it_is(
    gateway: Gateway,
) -> None:
    """Envoy compares audiences without their scheme and without a slash at the end."""
    similar = [
        AUDIENCE + "/",
        AUDIENCE.replace("https://", "http://"),
        AUDIENCE.replace("https://", ""),
        AUDIENCE.replace("https://", "") + "/",
        AUDIENCE.replace("https://", "HTTPS://"),
        AUDIENCE + " ",
        f"{AUDIENCE} other",
        "",
    ]
    others: list[Any] = [*similar, similar, [], [similar], {"0": AUDIENCE}, {AUDIENCE: 1}]
    texts = [*map(json.dumps, [*others, [AUDIENCE + "/", "other"]]), *NO_NUMBERS[1:], "7", None]
    assert await _accepted(gateway, "aud", texts) == {}
    for audience in (["other", AUDIENCE], [AUDIENCE, AUDIENCE + "/"], [AUDIENCE]):
        token = _token(gateway, aud=json.dumps(audience))
        assert await _statuses(gateway, token) == [200, 200, 200], audience


async def test_a_token_of_another_issuer_is_refused_however_similar_it_is(
    gateway: Gateway,
) -> None:
    similar = [
        ISSUER + "/",
        ISSUER.replace("https://", "http://"),
        ISSUER.replace("https://", ""),
        ISSUER.upper(),
        ISSUER + " ",
        "",
    ]
    texts = [*map(json.dumps, [*similar, [ISSUER], {"0": ISSUER}]), *NO_NUMBERS[1:], "7", None]
    assert await _accepted(gateway, "iss", texts) == {}


async def test_a_token_issued_in_the_future_is_refused_beyond_the_tolerance_for_clocks(
    gateway: Gateway,
) -> None:
    """The issuer's clock may be two minutes ahead of the gateway's."""
    now = int(time.time())
    lasting = str(now + 700)
    for ahead_s, statuses in ((110, [200, 200, 200]), (300, [401, 401, 401]), (800, [401] * 3)):
        token = _token(gateway, iat=str(now + ahead_s), exp=lasting)
        assert await _statuses(gateway, token) == statuses, ahead_s


async def test_a_subject_that_no_header_can_carry_is_refused(gateway: Gateway) -> None:
    spelled = [SUBJECT + each for each in (*UNPRINTABLE, " ")] + ["\n" + SUBJECT, "", "x" * 256]
    texts = [*map(json.dumps, spelled), *NO_NUMBERS[1:], "7", None]
    assert await _accepted(gateway, "sub", texts) == {}
    assert await _statuses(gateway, _token(gateway, sub=json.dumps("x" * 255))) == [200, 200, 200]


async def test_a_scope_that_no_header_can_carry_is_refused(gateway: Gateway) -> None:
    both = "accounts:read transfers:write"
    spelled = [f"{both} x{each}" for each in UNPRINTABLE] + [f"x{each} {both}" for each in "\n\0"]
    assert await _accepted(gateway, "scope", [json.dumps(each) for each in spelled]) == {}
