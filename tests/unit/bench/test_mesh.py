"""Pure functions of the mesh's bench: simulated proxies, edited values, figures."""

import pytest

from lab.bench.variants.mesh import edits, nodes, population
from lab.bench.variants.mesh.edits import PLACES, Edited
from lab.bench.variants.mesh.nodes import Push
from lab.bench.variants.mesh.nodes_server import FIRST, FULL, TO_ALL, TO_ONE, TO_SOME
from mesh.controlplane.deliver.packed import Kind
from mesh.ctl import CONFIG
from tests.rigs.mesh.fixed_places import mesh, passed_on

SERVICES, NODES = 3, 7


@pytest.fixture(scope="module")
def made() -> population.Nodes:
    """Three services: one has three instances, the others two."""
    return population.of(mesh(), passed_on(), NODES, SERVICES)


def test_every_simulated_proxy_may_call_every_service(made: population.Nodes) -> None:
    assert len(made) == NODES
    assert {"service-000-0", "service-000-2", "service-002-1"} <= made.keys()
    clusters = {f"service/service-{number:03}" for number in range(SERVICES)}
    for each in made.values():
        assert clusters <= each.resources[Kind.CLUSTER].keys()
        assert each.resources.keys() == set(Kind)
    assert len({id(each.resources) for each in made.values()}) == SERVICES


def test_a_push_changes_what_it_names_and_shares_equal_resources(made: population.Nodes) -> None:
    pushes = population.Edits()
    everything = pushes.everything(made)
    again = pushes.everything(everything)
    one = pushes.one_cluster(made, ["service-001-1"])
    for name, each in made.items():
        assert len({each.version, everything[name].version, again[name].version}) == 3
        assert (one[name] is each) == (name != "service-001-1")
    clusters = [each.resources[Kind.CLUSTER]["app"] for each in everything.values()]
    assert len({id(each) for each in clusters}) == 1
    before, after = (each["service-001-1"].resources for each in (made, one))
    changed = [
        (kind, name)
        for kind in Kind
        for name, each in after[kind].items()
        if before[kind][name] is not each
    ]
    assert [kind for kind, _ in changed] == [Kind.CLUSTER]


@pytest.mark.parametrize("place", PLACES, ids=[each.name for each in PLACES])
def test_each_edit_puts_a_value_in_force_that_was_not_there_before(place: edits.Place) -> None:
    text = (CONFIG / place.file).read_text()
    seen = {text}
    for number in range(edits.EDITS // len(PLACES)):
        edited = place.edited(text, 9_999 + number)
        assert edited not in seen
        assert place.edited(edited, 9_999 + number) == edited
        seen.add(edited)


def test_an_edit_of_a_value_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="no consecutive"):
        PLACES[0].edited("spec: {}\n", 1)


def test_the_figures_of_edits_are_given_as_measured_and_for_the_documented_host() -> None:
    found = Edited({"breaker": [30.0, 10.0], "retry": [20.0]}, [2.0, 2.0, 8.0], 0.3)
    figures = edits.figures(found)
    assert figures["control_plane.edit.p50_ms"] == 20.0
    assert figures["control_plane.edit.p99_ms"] == 30.0
    assert figures["control_plane.edit.documented_p99_ms"] == 15.0
    assert figures["control_plane.edit.cpu_ms"] == 100.0


def _pushes(size: int, full_s: float) -> nodes.Pushes:
    def push(cpu_s: float) -> list[Push]:
        return [Push(size, cpu_s, 2 * cpu_s, 2.0, 100.0)]

    parts = {TO_ALL: full_s / 2, TO_SOME: full_s / 20, TO_ONE: full_s / 40}
    return {FIRST: push(full_s), FULL: push(full_s)} | {k: push(v) for k, v in parts.items()}


def test_the_figures_of_many_proxies_compare_sizes_and_pushes() -> None:
    figures = nodes.figures({250: _pushes(250, 0.5), 1_000: _pushes(1_000, 1.6)})
    assert figures["control_plane.full_push.cpu_s"] == 0.8
    assert figures["control_plane.full_push.measured_cpu_s"] == 1.6
    assert figures["control_plane.to_one.times_cheaper"] == 40.0
    assert figures["control_plane.cpu_growth"] == 0.8
    short = nodes.figures({100: _pushes(100, 0.1), 200: _pushes(200, 0.2)})
    assert "control_plane.of_200.full_push.cpu_s" in short
    assert not any(name in figures for name in short)
