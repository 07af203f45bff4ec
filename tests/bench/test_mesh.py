"""The mesh's bench on the running bank: edits in place, changes under load, simulated proxies."""

import json
from pathlib import Path
from typing import Any

import pytest

from lab.bench.bench import Bench
from lab.bench.variants.mesh import edits, hop, nodes, unharmed
from lab.bench.variants.mesh.nodes_server import FIRST, FULL, TO_ALL, TO_ONE, TO_SOME
from sandbox.stack import pinning
from sandbox.stack.home import Home
from sandbox.stack.parts import proxy_start

FEW = 12
"""So the first services have one instance each, and the others none."""


async def test_edits_in_place_reach_every_proxy_and_the_files_are_restored(bench: Bench) -> None:
    active = bench.test_bench.stack.home.root / "mesh" / "config"
    files = [active / each.file for each in edits.PLACES]
    before = [each.read_text() for each in files]
    await edits.edits(bench)
    assert [each.read_text() for each in files] == before
    assert bench.found.reasons == []
    counted = bench.found.details["edits"]["ms"]
    assert sum(map(len, counted.values())) == edits.QUICK_EDITS
    assert bench.found.figures["control_plane.edit.p99_ms"] > 0


async def test_a_restart_of_the_control_plane_fails_no_transfer(bench: Bench) -> None:
    assert await unharmed.failed(bench, "restart", unharmed.CHANGES["restart"]) == 0
    (result,) = bench.found.results
    assert result.void == []
    assert result.outcome.accepted > 0


async def test_every_push_reaches_the_simulated_proxies_that_it_concerns(bench: Bench) -> None:
    places = bench.test_bench.stack.home.root / "mesh" / "endpoints.json"
    bench.say("a few simulated proxies")
    rounds: dict[str, int] = dict.fromkeys((FIRST, FULL, TO_ALL, TO_SOME, TO_ONE), 1)
    found = await nodes.measured(places, FEW, rounds)
    reached = {command: some[0].nodes for command, some in found.items()}
    assert reached == {FIRST: FEW, FULL: FEW, TO_ALL: FEW, TO_SOME: 1, TO_ONE: 1}
    assert all(push.cpu_s > 0 for some in found.values() for push in some)


async def test_each_variant_of_a_pass_is_called_and_the_sidecars_are_restored(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    shortest = (hop.VARIANTS[0], hop.VARIANTS[-1])
    monkeypatch.setattr(hop, "WIDTHS", hop.WIDTHS[:1])
    monkeypatch.setattr(hop, "VARIANTS", shortest)
    await hop.hop(bench)
    figures = {name: value for name, value in bench.found.figures.items() if "hop." in name}
    assert figures.keys() == {"hop.c1_us", *(f"hop.{one.name}_us" for one in shortest)}
    assert all(value > 0 for value in figures.values())
    home = bench.test_bench.stack.home
    for sidecar in hop.SIDECARS:
        start = home.envoy / sidecar / proxy_start.START
        assert start.readlink() == Path(proxy_start.STREAM)


def test_a_variant_leaves_its_part_out_of_the_real_sidecars(bench: Bench) -> None:
    home = bench.test_bench.stack.home
    authorised = {"all", "no_counters", "no_log_and_counters"}
    for variant in hop.VARIANTS:
        bench.say(variant.name)
        text = json.dumps(_listeners(home, variant))
        assert ("access_loggers.stats" in text) is (variant.name in {"all", "no_authorisation"})
        assert ("http.rbac" in text) is (variant.name in authorised)
        assert ("transport_sockets.tls" in text) is not variant.plaintext


def _listeners(home: Home, variant: hop.Variant) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def listeners(content: dict[str, Any]) -> dict[str, Any]:
        found.update(hop.without(content, variant))
        return found

    pinning.pin(home, hop.SIDECARS[1], listeners, lambda clusters: clusters)
    pinning.unpin(home, hop.SIDECARS[1])
    return found
