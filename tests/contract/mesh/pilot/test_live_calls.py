"""The control plane counts the calls of real proxies, and rehearses edits on them."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from ops.waiting import until
from services.contracts import GATEWAY
from tests.contract.mesh.pilot.conftest import OWN
from tests.rigs.mesh.gateway import BODY, TRANSFER
from tests.rigs.mesh.pilot import Plane, replaced
from tests.rigs.mesh.pilot_mesh import Piloted

GET_BALANCE = "/bp.customers.v1.CustomersService/GetBalance"
ORDER = "/bp.payments.v1.PaymentsService/CreateInterbankTransfer"
POLICY = """apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: frozen, namespace: bp}}
spec:
  selector: {{matchLabels: {{app: {app}}}}}
  action: DENY
  rules:
    - to: [{{operation: {{paths: ["{path}"]}}}}]
"""
DRY_RUN = 'annotations: {istio.io/dry-run: "true"}'
Edge = dict[str, Any]


def denying(app: str, path: str) -> dict[str, bytes]:
    """Return the bank's configuration with a policy that denies a method."""
    return {**OWN, "frozen.yaml": POLICY.format(app=app, path=path).encode()}


async def edge(plane: Plane, caller: str, callee: str, method: str = "") -> Edge | None:
    """Return an edge of the live traffic, or None."""
    found = (await plane.get(f"traffic?by={'method' if method else 'callee'}"))["edges"]
    return next(
        (e for e in found if (e["caller"], e["callee"], e["method"]) == (caller, callee, method)),
        None,
    )


def at_least(
    plane: Plane, calls: int, *name: str, timed: bool = False
) -> Callable[[], Awaitable[Edge | None]]:
    """Return a condition: an edge has this many calls, and their times if `timed`."""

    async def found() -> Edge | None:
        one = await edge(plane, *name)
        enough = one is not None and one["calls"] >= calls
        return one if one and enough and (one["p99_ms"] or not timed) else None

    return found


async def test_calls_are_counted_by_edge_with_their_times(piloted: Piloted, plane: Plane) -> None:
    """Envoy adds up times every five seconds."""
    async with piloted.load() as load:
        await load.more(20)
    for name in ((GATEWAY, "customers", GET_BALANCE), ("clients", GATEWAY)):
        one = await until(at_least(plane, 20, *name, timed=True), what=f"{name} has times")
        assert one["failed"] == one["denied"] == 0
        assert 0 < one["p50_ms"] <= one["p95_ms"] <= one["p99_ms"]
        assert one["per_second"] > 0
    one = await edge(plane, GATEWAY, "customers")
    assert one is not None
    assert (one["breaker"], one["retries"]) == ("closed", 0)


async def test_a_restarted_proxy_loses_no_call(piloted: Piloted, plane: Plane) -> None:
    """It counts from 0 again; a proxy that does not run is no error."""
    name = GATEWAY, "customers", GET_BALANCE
    async with piloted.load() as load:
        await load.more(10)
    before = await until(at_least(plane, 10, *name), what="calls are counted")
    await piloted.rig.kill("customers")
    stopped = await edge(plane, *name)
    assert stopped is not None
    assert stopped["calls"] >= before["calls"]
    await piloted.rig.start(["customers"])
    async with piloted.load() as load:
        await load.more(10)
    await until(at_least(plane, stopped["calls"] + 10, *name), what="later calls are counted")


async def test_an_edit_that_denies_a_live_payment_needs_force(
    piloted: Piloted, plane: Plane
) -> None:
    """Rehearsal shows it, the application is refused, and nothing has changed."""
    answer = await piloted.gateway.call("POST", TRANSFER, json=BODY)
    assert answer.status in (200, 201, 202), answer
    await until(at_least(plane, 1, GATEWAY, "payments", ORDER), what="the order is counted")
    number = await plane.number()
    files = {name: body.decode() for name, body in denying("payments", ORDER).items()}
    found = (await plane.call("POST", "rehearse", {"files": files})).body
    assert [(e["effect"], e["callee"], e["method"], e["payment"]) for e in found["effects"]] == [
        ("denied", "payments", ORDER, True)
    ]
    said = await plane.apply(denying("payments", ORDER))
    assert (said.status, said.error["reason"]) == (409, "LIVE_CALLS_DENIED")
    assert await plane.number() == number
    assert (await plane.apply(denying("payments", ORDER), force=True)).status == 200


async def test_a_restarted_control_plane_still_protects_live_payments(
    piloted: Piloted, plane: Plane
) -> None:
    """Its window is empty, but the proxies have counted before."""
    answer = await piloted.gateway.call("POST", TRANSFER, json=BODY)
    assert answer.status in (200, 201, 202), answer
    await until(at_least(plane, 1, GATEWAY, "payments", ORDER), what="the order is counted")
    await plane.kill()
    await plane.start()
    files = {name: body.decode() for name, body in denying("payments", ORDER).items()}
    found = (await plane.call("POST", "rehearse", {"files": files})).body
    assert [(e["effect"], e["payment"]) for e in found["effects"]] == [("denied", True)]
    assert found["earlier"]
    said = await plane.apply(denying("payments", ORDER))
    assert (said.status, said.error["reason"]) == (409, "LIVE_CALLS_DENIED")


async def test_an_edit_that_denies_a_live_read_is_rehearsed_and_applied(
    piloted: Piloted, plane: Plane
) -> None:
    """Only payments need force. The way back shows the calls that are denied now."""
    async with piloted.load() as load:
        await load.more(5)
    policy = denying("customers", GET_BALANCE)
    texts = {name: body.decode() for name, body in policy.items()}
    found = (await plane.call("POST", "rehearse", {"files": texts})).body["effects"]
    assert [(e["effect"], e["method"]) for e in found] == [("denied", GET_BALANCE)]
    assert found[0]["calls"] >= 5
    assert not found[0]["payment"]
    await plane.applied(policy)
    own = {name: body.decode() for name, body in OWN.items()}
    found = (await plane.call("POST", "rehearse", {"files": own})).body["effects"]
    assert [(e["effect"], e["method"]) for e in found] == [("newly allowed", GET_BALANCE)]


async def test_a_dry_run_shows_whose_calls_it_would_deny(piloted: Piloted, plane: Plane) -> None:
    """The proxies count these calls and deny none."""
    policy = denying("customers", GET_BALANCE)
    dry = replaced(policy, "frozen.yaml", "namespace: bp", f"namespace: bp, {DRY_RUN}")
    await plane.applied(dry)
    await piloted.synced()
    async with piloted.load() as load:
        await load.more(5)

    async def counted() -> Any:
        (one,) = (await plane.get("dry-runs"))["policies"]
        return one if one["calls"] >= 5 else None

    one = await until(counted, what="the dry run is counted")
    assert (one["policy"], one["service"], one["verdict"]) == ("frozen", "customers", "DENY")
    assert [(each["caller"], each["method"]) for each in one["met"]] == [(GATEWAY, GET_BALANCE)]
    await plane.applied(OWN)
    assert (await plane.get("dry-runs"))["policies"] == []


async def test_the_gateways_token_filter_stays_while_the_issuer_is_down(
    piloted: Piloted, plane: Plane
) -> None:
    """Its successor could not fetch the keys. Other edits are applied."""
    issuer, rig = piloted.gateway.issuer, piloted.rig
    filtered = replaced(OWN, "gateway.yaml", "tokenLifetime: 10m", "tokenLifetime: 9m")
    await issuer.close()
    try:

        async def refused() -> bool:
            texts = {name: body.decode() for name, body in filtered.items()}
            found = (await plane.call("POST", "rehearse", {"files": texts})).body["effects"]
            return any("loses the token issuer's keys" in each["effect"] for each in found)

        await until(refused, what="a fetch of the keys has failed")
        said = await plane.apply(filtered)
        assert (said.status, said.error["reason"]) == (409, "TOKEN_KEYS_LOST")
    finally:
        host = "oauth.example"
        await issuer.start(rig.partner_port[host], rig.home / "partners" / host)

    async def accepted() -> bool:
        return (await plane.apply(filtered)).status == 200

    await until(accepted, what="the keys are fetched again")


async def test_a_partner_that_does_not_run_has_errors_and_an_open_breaker(
    piloted: Piloted, plane: Plane
) -> None:
    """The sidecar of payments counts its tries; the edge needs no method."""
    host = "ach-network.example"
    connector = aiohttp.UnixConnector(str(piloted.rig.socket_out("payments")))

    async with aiohttp.ClientSession(connector=connector) as session:

        async def opened() -> Edge | None:
            async with session.post(f"http://{host}/x", data=b"{}") as answer:
                assert answer.status == 503
            one = await edge(plane, "payments", host)
            return one if one and one["breaker"] == "open" and one["retries"] else None

        one = await until(opened, what="the circuit breaker is open")
    assert one["failed"] == one["calls"] > 0
