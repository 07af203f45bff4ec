"""A proxy that refuses every response does not disturb others, and does not get the same twice."""

import asyncio

from ops.waiting import until
from tests.rigs.mesh.pilot import Plane
from tests.rigs.mesh.pilot_clients import TEXT, Refuser
from tests.rigs.mesh.pilot_mesh import Piloted

NODE = "audit-0"


async def _nacked(plane: Plane, kind: str) -> bool:
    status = (await plane.status(NODE))["kinds"][kind]
    return status["state"] == "NACKED" and len(status["refused"]) > 0 and status["error"] == TEXT


async def test_a_proxy_that_refuses_everything_is_nacked_and_others_get_their_updates(
    piloted: Piloted, plane: Plane
) -> None:
    """Each resource is tried alone once; later edits send only what is new."""
    number = await plane.number()
    refuser = Refuser(NODE, plane.places.ads_socket(NODE))
    running = asyncio.create_task(refuser.run())
    try:
        await until(lambda: _nacked(plane, "CLUSTER"), what="its clusters are NACKED")
        await until(lambda: _nacked(plane, "LISTENER"), what="its listeners are NACKED")
        assert set(refuser.alone.values()) == {1}
        # A search in halves sends fewer than two responses for each resource.
        tried, known = refuser.responses, set(refuser.versions)
        assert tried <= 2 * len(known) + 2
        async with piloted.load():
            plane.edit("gateway.yaml", "perSecond: 2000", "perSecond: 2001")
            await plane.in_force(number + 1)
            await piloted.synced()
        # The gateway's bucket is no resource of this proxy.
        assert refuser.responses == tried
        plane.edit("mesh.yaml", "response.code >= 500", "response.code >= 501")
        await plane.in_force(number + 2)
        await piloted.synced()
        await until(lambda: _more(refuser, tried), what="the changed listeners are sent")
        assert await _nacked(plane, "LISTENER")
        assert not {each for each in refuser.alone if refuser.alone[each] > 1}
        assert (await plane.status(NODE))["state"] == "NACKED"
        said = await plane.get("synced?timeout_s=1")
        assert said["waiting"] == [NODE]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await until(lambda: _gone(plane), what="its stream has ended")


async def _more(refuser: Refuser, than: int) -> bool:
    return refuser.responses > than


async def _gone(plane: Plane) -> bool:
    return (await plane.status(NODE))["streams"] == 0
