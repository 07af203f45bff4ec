"""The mesh's bench on the running bank: edits in place, changes under load, simulated proxies."""

from lab.bench.bench import Bench
from lab.bench.variants.mesh import edits, nodes, unharmed
from lab.bench.variants.mesh.nodes_server import FIRST, FULL, TO_ALL, TO_ONE, TO_SOME

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
