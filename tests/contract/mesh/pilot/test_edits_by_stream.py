"""Edits reach every proxy by its stream while calls are in flight: no call fails."""

import asyncio

import pytest

from ops.waiting import until
from tests.rigs.mesh.pilot import Plane, replaced
from tests.rigs.mesh.pilot_mesh import Piloted

CUSTOMERS = "services/customers.yaml"
DENIAL = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-notices, namespace: bp}
spec:
  selector: {matchLabels: {app: customers}}
  action: DENY
  rules:
    - from: [{source: {principals: ["bp.internal/ns/bp/sa/notifications"]}}]
"""
EDITS = {
    "a route": (CUSTOMERS, "timeout: 6s", "timeout: 7s"),
    "a pool": (CUSTOMERS, "http2MaxRequests: 4096", "http2MaxRequests: 4095"),
    "a partner's timeout": ("partners/ach-network.yaml", "timeout: 30s", "timeout: 29s"),
    "a token bucket": ("gateway.yaml", "perSecond: 2000", "perSecond: 2001"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
async def test_an_edit_in_place_fails_no_call_and_replaces_no_listener(
    piloted: Piloted, plane: Plane, edit: tuple[str, str, str]
) -> None:
    number, listeners = await plane.number(), await piloted.listeners()
    calls, held = piloted.first.calls, asyncio.create_task(piloted.held())
    try:
        async with piloted.load():
            await until(lambda: _arrived(piloted, calls), what="the slow call has arrived")
            plane.edit(*edit)
            await plane.in_force(number + 1)
            await piloted.synced()
    finally:
        piloted.first.release.set()
    assert await held == 200
    piloted.first.release.clear()
    assert await piloted.listeners() == listeners
    revision = (await plane.get("state"))["revision"]
    assert (revision["origin"], revision["who"]) == ("edit", "root")


async def _arrived(piloted: Piloted, calls: int) -> bool:
    return piloted.first.calls > calls


async def test_a_policy_is_applied_and_rolled_back_without_a_failed_call(
    piloted: Piloted, plane: Plane
) -> None:
    number, listeners = await plane.number(), await piloted.listeners()
    files = plane.active()
    async with piloted.load() as load:
        assert await plane.applied({**files, "denial.yaml": DENIAL.encode()}) == number + 1
        await piloted.synced()
        await load.more()
        said = await plane.call("POST", "rollback", {"to": number, "why": "a test"})
        assert said.body["revision"]["number"] == number + 2
        await piloted.synced()
    assert plane.active() == files
    assert await piloted.listeners() == listeners


async def test_the_same_files_again_are_no_new_revision(piloted: Piloted, plane: Plane) -> None:
    number = await plane.number()
    said = await plane.apply(plane.active())
    assert (said.body["revision"]["number"], said.body["changed"]) == (number, False)
    await piloted.synced()


async def test_two_applications_of_one_parent_do_not_overwrite_each_other(plane: Plane) -> None:
    number, files = await plane.number(), plane.active()
    one = replaced(files, *EDITS["a route"])
    other = replaced(files, *EDITS["a pool"])
    answers = await asyncio.gather(
        plane.apply(one, parent=number), plane.apply(other, parent=number)
    )
    assert sorted(each.status for each in answers) == [200, 409]
    assert await plane.number() == number + 1
