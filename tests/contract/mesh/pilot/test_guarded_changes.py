"""The real process guards every way of a change: rollbacks, edits in place, limits, origins."""

import json
from typing import Any

import pytest

from ops.waiting import until
from services.contracts import GATEWAY
from tests.contract.mesh.pilot.conftest import OWN
from tests.contract.mesh.pilot.test_live_calls import ORDER, at_least, denying
from tests.rigs.mesh.gateway import BODY, SUBJECT, TRANSFER
from tests.rigs.mesh.pilot import Plane, replaced
from tests.rigs.mesh.pilot_mesh import Piloted

FILE = "frozen.yaml"
DENYING = denying("payments", ORDER)


async def ordered(piloted: Piloted) -> int:
    """Order a payment with a new token; return the status."""
    token = piloted.gateway.issuer.token(SUBJECT)
    return (await piloted.gateway.call("POST", TRANSFER, token=token, json=BODY)).status


async def paid(piloted: Piloted) -> None:
    """Order a payment, and wait until the control plane has counted it."""
    assert await ordered(piloted) in (200, 201, 202)
    await until(at_least(piloted.plane, 1, GATEWAY, "payments", ORDER), what="it is counted")


async def test_a_rollback_that_denies_a_live_payment_needs_force(
    piloted: Piloted, plane: Plane
) -> None:
    """As an application does, and with the same reason."""
    to = await plane.applied(DENYING, force=True)
    await piloted.reset(OWN)
    await paid(piloted)
    number = await plane.number()
    said = await plane.call("POST", "rollback", {"to": to})
    assert (said.status, said.error["reason"]) == (409, "LIVE_CALLS_DENIED")
    assert await plane.number() == number
    assert (await plane.call("POST", "rollback", {"to": to, "force": True})).status == 200


async def test_an_edit_in_place_that_denies_a_live_payment_is_held_back(
    piloted: Piloted, plane: Plane
) -> None:
    """Also by the next process, which has seen no calls; --force puts the folder in force."""
    await paid(piloted)
    number = await plane.number()
    plane.put(FILE, DENYING[FILE].decode())
    await plane.found("live calls would be denied")
    assert (await plane.found("held back"))[2].endswith(str(plane.places.active))
    await plane.kill()
    await plane.start()
    await plane.found("live calls would be denied")
    assert await plane.number() == number
    assert await ordered(piloted) in (200, 201, 202)
    applied = await plane.applied(plane.active(), force=True)
    await plane.in_force(applied)


async def test_the_end_of_a_limited_change_says_what_it_denies_when_it_is_made(
    piloted: Piloted, plane: Plane
) -> None:
    """The text that is added for a time is an exception; its end denies payments again."""
    await paid(piloted)
    text = DENYING[FILE].decode()
    dry = text.replace("metadata: {", 'metadata: {annotations: {"istio.io/dry-run": "true"}, ')
    added = 'annotations: {"istio.io/dry-run": "true"}, '
    body: dict[str, Any] = {
        "name": "exception",
        "files": {name: each.decode() for name, each in OWN.items()} | {FILE: dry},
        "added": [{"file": FILE, "text": added}],
        "seconds": 3600,
        "parent": await plane.number(),
    }
    said = await plane.call("POST", "apply-for", body)
    assert said.status == 200, said
    (end,) = said.body["ends"]
    assert "live calls would be denied: frozen denies it" in end
    assert (await plane.call("POST", "expire", {"name": "exception"})).status == 200
    assert (await plane.call("GET", "expiring")).body["expiring"] == []


async def test_a_limited_change_whose_end_has_errors_is_refused(
    piloted: Piloted, plane: Plane
) -> None:
    """It could never be removed. What denies a live payment needs force here too."""
    await paid(piloted)
    files = {name: each.decode() for name, each in OWN.items()}
    body: dict[str, Any] = {
        "name": "broken",
        "files": files | {FILE: DENYING[FILE].decode()},
        "added": [{"file": FILE, "text": "metadata: {name: frozen, namespace: bp}\n"}],
        "seconds": 3600,
        "parent": await plane.number(),
    }
    said = await plane.call("POST", "apply-for", body)
    assert (said.status, said.error["reason"]) == (422, "CONFIG_REFUSED")
    whole = [{"file": FILE, "text": DENYING[FILE].decode()}]
    said = await plane.call("POST", "apply-for", {**body, "added": whole})
    assert (said.status, said.error["reason"]) == (409, "LIVE_CALLS_DENIED")
    assert (await plane.call("GET", "expiring")).body["expiring"] == []


@pytest.mark.parametrize("origin", ["repository", "expiry", "edit", "rollback", "x", 7, None])
async def test_no_caller_can_claim_another_origin(plane: Plane, origin: Any) -> None:
    """The history says how a revision came about, and `make up` decides by it."""
    said = await plane.apply(OWN, origin=origin)
    assert (said.status, said.error["reason"]) == (400, "BAD_REQUEST")
    assert (await plane.apply(OWN, origin="apply")).status == 200


async def test_the_job_of_the_stack_has_its_own_way(piloted: Piloted, plane: Plane) -> None:
    """It does nothing if the repository has not changed since it was last applied."""
    files = {name: each.decode() for name, each in OWN.items()}
    changed = replaced(
        OWN, "partners/fraud.yaml", "consecutive5xxErrors: 10", "consecutive5xxErrors: 9"
    )
    await plane.applied(changed)
    said = await plane.call("POST", "apply-repository", {"files": files})
    assert said.body["revision"]["origin"] == "repository"
    number = await plane.applied(changed)
    said = await plane.call("POST", "apply-repository", {"files": files})
    assert (said.body["revision"]["number"], said.body["changed"]) == (number + 1, True)


async def test_a_change_for_another_revision_is_refused_with_its_maker(plane: Plane) -> None:
    parent = await plane.number()
    changed = replaced(
        OWN, "partners/fraud.yaml", "consecutive5xxErrors: 10", "consecutive5xxErrors: 9"
    )
    number = await plane.applied(changed, parent=parent)
    said = await plane.apply(OWN, parent=parent)
    assert (said.status, said.error["reason"]) == (409, "REVISION_CHANGED")
    assert f"revision {number} is in force, by " in said.error["message"]
    said = await plane.call("POST", "rollback", {"to": parent, "parent": parent})
    assert (said.status, said.error["reason"]) == (409, "REVISION_CHANGED")
    checked = await plane.call("POST", "check", {"files": {n: e.decode() for n, e in OWN.items()}})
    assert checked.body["revision"] == number


async def test_damaged_files_are_named_and_the_process_serves(
    piloted: Piloted, plane: Plane
) -> None:
    """All files that the process reads at its start, at once."""
    await plane.stop()
    places = plane.places
    newest = max(int(each.name) for each in places.history.iterdir() if each.name.isdigit())
    places.expiring.write_text('[{"name": "inject-fraud", "until_s": "soon"}, 7]')
    places.drained.write_text('{"customers-1": ')
    assert not places.held.exists()
    places.held.mkdir()
    meta = places.history / str(newest) / "meta.json"
    meta.write_text(json.dumps({"number": newest, "origin": ["apply"]}))
    await plane.start()

    async def served() -> bool:
        state = await plane.get("state")
        return (state["revision"] or {}).get("number") == newest + 1 and not state["findings"]

    await until(served, what="the active folder is in force")
    reports = "\n".join((await plane.get("state"))["reports"])
    for name in ("expiring.json", "drained.json", "held.json", f"history/{newest}/meta.json"):
        assert name in reports
    await piloted.synced()
    assert (await plane.call("POST", "drain", {"instance": "../x"})).status == 404
    for each in places.expiring.parent.glob("*.damaged-*"):
        each.rmdir() if each.is_dir() else each.unlink()
    assert "json was damaged" not in "\n".join((await plane.get("state"))["reports"])
