"""Instances of a service come, drain and die: their callers follow the endpoints file."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mesh.pilot.places import NAME
from ops.waiting import until
from tests.rigs.mesh.pilot import Plane
from tests.rigs.mesh.pilot_mesh import PROXIES, SECOND, Load, Piloted
from tests.rigs.mesh.upstream import Customers, serve


@pytest.fixture
async def two(piloted: Piloted, plane: Plane) -> AsyncIterator[Piloted]:
    """Return the mesh with two instances of customers."""
    rig = piloted.rig
    services: Any = rig.places["services"]
    one = services["customers"]
    piloted.with_second()
    server = await serve(rig.socket_in(SECOND), Customers(piloted.second))
    try:
        start = plane.places.proxy(SECOND) / "stream.json"

        async def written() -> bool:
            return start.exists()

        await until(written, what="the second instance has a bootstrap")
        await rig.start([SECOND])
        await piloted.synced((*PROXIES, SECOND))
        yield piloted
    finally:
        if SECOND in rig.envoys and rig.envoys[SECOND].returncode is None:
            await rig.kill(SECOND)
        services["customers"] = one
        rig.write_endpoints()
        await server.stop(None)


async def _shared(two: Piloted, load: Load) -> None:
    first, second = two.first.calls, two.second.calls

    async def both() -> bool:
        return two.first.calls > first and two.second.calls > second

    await until(both, what="both instances get calls")


async def _removed(plane: Plane, node: str = SECOND) -> bool:
    nodes = {each["node"] for each in (await plane.get("proxies"))["proxies"]}
    return node not in nodes


async def test_instances_share_the_calls_drain_and_die_without_a_failed_call(
    two: Piloted, plane: Plane
) -> None:
    number, listeners = await plane.number(), await two.listeners()
    async with two.load() as load:
        await _shared(two, load)
        two.with_second("DRAINING")
        await until(lambda: _drained(two, load), what="the draining instance gets no call")
        two.with_second("READY")
        await _shared(two, load)
        # A killed process ends the calls that it has; all later ones go to the other instance.
        await load.pause()
        await two.rig.kill(SECOND)
        load.resume()
        await load.more(20)
    assert await plane.number() == number
    assert await two.listeners() == listeners


async def _drained(two: Piloted, load: Load) -> bool:
    calls = two.second.calls
    await load.more(10)
    return two.second.calls == calls


async def test_a_removed_instance_leaves_no_socket(two: Piloted, plane: Plane) -> None:
    path = plane.places.ads_socket(SECOND)
    assert path.exists()
    two.instances({"address": f"127.0.0.1:{two.rig.mtls['customers']}"})
    async with two.load():
        await until(lambda: _removed(plane), what="the second instance is forgotten")
    assert not path.exists()


async def test_addresses_that_change_while_the_control_plane_starts_are_seen(
    piloted: Piloted, plane: Plane
) -> None:
    """They may change after they were read, and before they are watched."""
    services: Any = piloted.rig.places["services"]
    one = services["customers"]
    async with piloted.load():
        await plane.kill()
        shutil.rmtree(plane.places.run / NAME / "validator", ignore_errors=True)
        await plane.begin()
        await until(lambda: _exists(plane.places.run / NAME / "validator"), what="it starts")
        piloted.with_second("DRAINING")
        await until(plane.probe.check, what="the control plane answers")
        await until(lambda: _has(plane, SECOND), what="the second instance is known")
        services["customers"] = one
        piloted.rig.write_endpoints()
        await until(lambda: _removed(plane), what="the second instance is forgotten")
        await piloted.synced()


async def _exists(path: Path) -> bool:
    return path.exists()


async def _has(plane: Plane, node: str) -> bool:
    return not await _removed(plane, node)


async def test_half_written_addresses_keep_the_last_good_ones(
    piloted: Piloted, plane: Plane
) -> None:
    number, path = await plane.number(), plane.places.endpoints
    text = path.read_text()
    async with piloted.load() as load:
        path.write_text(text[: len(text) // 2])
        assert (await plane.found(""))[0].endswith("endpoints.json")
        await load.more()
        path.write_text(text)
        await plane.in_force(number)
        await piloted.synced()
