"""Cross-origin requests of the web app: the browser lets the app read every answer."""

import asyncio

import pytest

from tests.rigs.mesh.gateway import TRANSFER, Gateway

APP = "https://app.bp.example"
ORIGIN = {"Origin": APP}
REFUSED = [
    ("GET", "/v1/nothing", {}, 404),
    ("POST", "/v1/nothing", {}, 404),
    ("DELETE", "/v1/accounts", {}, 405),
    ("HEAD", "/v1/webhooks/ach", {}, 405),
    ("HEAD", "/v1/accounts", {"Authorization": "Bearer x"}, 401),
    ("GET", "/v1/accounts/a%2Fb", {}, 400),
    ("GET", "/v1/accounts", {"Host": "a,b"}, 400),
    ("GET", "/v1/accounts", {"Authorization": "Bearer x"}, 401),
    ("GET", "/v1/balances/a", {"Accept": "text/html"}, 406),
    ("POST", TRANSFER, {"Content-Type": "text/plain"}, 415),
    ("GET", "/v1/balances/slow", {}, 504),
    ("GET", "/v1/transfers/internal?accountId=a", {}, 503),
]


@pytest.mark.parametrize(("verb", "path", "headers", "status"), REFUSED)
async def test_a_refusal_has_the_same_cors_headers_as_any_answer(
    gateway: Gateway, verb: str, path: str, headers: dict[str, str], status: int
) -> None:
    data = b"x" if verb == "POST" else None
    foreign = ("https://app.bp.example.evil.example", "https://appxbp.example", "null")
    answer, *others = await asyncio.gather(
        gateway.call(verb, path, data=data, headers=ORIGIN | headers),
        *(
            gateway.call(verb, path, data=data, headers=headers | {"Origin": origin})
            for origin in foreign
        ),
    )
    assert answer.status == status
    assert answer.headers.getall("access-control-allow-origin") == [APP]
    assert answer.headers.getall("access-control-expose-headers") == [
        "etag, idempotent-replayed, retry-after, x-request-id"
    ]
    for other in others:
        assert other.status == status
        assert "access-control-allow-origin" not in other.headers


async def test_a_preflight_of_an_unknown_path_lets_the_browser_read_the_404(
    gateway: Gateway,
) -> None:
    asked = {"Access-Control-Request-Method": "GET"}
    answer = await gateway.call("OPTIONS", "/v1/nothing", token=None, headers=ORIGIN | asked)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, APP)
    assert answer.headers["access-control-allow-methods"] == "DELETE, GET, POST"
    foreign = asked | {"Origin": "https://evil.example"}
    for headers in (foreign, ORIGIN, ORIGIN | {"Access-Control-Request-Method": ""}):
        answer = await gateway.call("OPTIONS", "/v1/nothing", token=None, headers=headers)
        assert (answer.status, answer.reason) == (404, "ROUTE_NOT_FOUND")


async def test_a_preflight_uses_the_bucket_of_its_address(gateway: Gateway) -> None:
    counter = "edge_address.http_local_rate_limit.ok"
    before = await gateway.rig.stats("gateway", counter)
    asked = ORIGIN | {"Access-Control-Request-Method": "POST"}
    for path in (TRANSFER, "/v1/nothing"):
        answer = await gateway.call("OPTIONS", path, token=None, headers=asked)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, APP)
    after = await gateway.rig.stats("gateway", counter)
    assert sum(after.values()) == sum(before.values()) + 2
