"""The snapshots of nodes are consistent and shared; an edit translates only what it changes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import betterproto2
import pytest
from envoy_data_plane.message_pool import default_message_pool

from mesh.controlplane import model
from mesh.controlplane.deliver.memory import Memory
from mesh.controlplane.deliver.nodes import Translation
from mesh.controlplane.deliver.packed import Kind, NodeSnapshot, Packed
from mesh.controlplane.deliver.snapshot import SnapshotFault
from tests.rigs.mesh.fixed_places import mesh, passed_on

Nodes = dict[str, NodeSnapshot]


@pytest.fixture(scope="module")
def bank() -> model.Mesh:
    """Return the bank's own mesh."""
    return mesh()


@pytest.fixture(scope="module")
def nodes(bank: model.Mesh) -> Nodes:
    """Return the snapshots of the bank's own nodes."""
    return Translation().node_snapshots(bank, passed_on())


def test_the_same_model_has_the_same_versions(bank: model.Mesh, nodes: Nodes) -> None:
    again = Translation().node_snapshots(bank, passed_on())
    assert {name: each.version for name, each in again.items()} == {
        name: each.version for name, each in nodes.items()
    }


def test_equal_resources_of_several_nodes_are_one_object(nodes: Nodes) -> None:
    cluster = "service/customers"
    found = [
        each.resources[Kind.CLUSTER][cluster]
        for each in nodes.values()
        if cluster in each.resources[Kind.CLUSTER]
    ]
    assert len(found) >= 3
    assert len({id(each) for each in found}) == 1


def test_uses_has_every_cluster_and_secret_that_the_json_of_a_resource_names(nodes: Nodes) -> None:
    """The messages are searched by type; this search is by the names of fields."""
    for each in nodes.values():
        for resource in _all(each):
            said = _json(resource)
            named = {(Kind.CLUSTER, name) for name in _found(said, "cluster")}
            named |= {(Kind.ROUTES, name) for name in _found(said, "route_config_name")}
            named |= {(Kind.SECRET, one["name"]) for one in _secrets(said)}
            assert named == {
                (kind, name)
                for kind, name in resource.uses
                if kind in (Kind.CLUSTER, Kind.ROUTES, Kind.SECRET)
            }, resource.name


def test_every_node_has_its_listeners_with_what_they_wait_for(nodes: Nodes) -> None:
    edge = nodes["gateway-0"].resources[Kind.LISTENER]["edge"]
    kinds = [kind for kind, _ in edge.uses]
    assert kinds.count(Kind.EXTENSION) == len(nodes["gateway-0"].resources[Kind.EXTENSION]) == 8
    assert (Kind.ROUTES, "edge") in edge.uses
    assert nodes["payments-0"].resources[Kind.LISTENER].keys() == {"inbound", "outbound"}


EDITS = [
    ("a partner's timeout", "payments", {("payments-0", Kind.ROUTES, "outbound")}),
    ("a bucket", "edge", {("gateway-0", Kind.EXTENSION, "bp.filters.limit_address")}),
    ("a worker", "app", {("payments-0", Kind.ENDPOINTS, "app")}),
    (
        "a pool",
        "pool",
        {(f"{name}-0", Kind.CLUSTER, "service/customers") for name in ("payments", "gateway")},
    ),
]


@pytest.mark.parametrize(("case", "edit", "expected"), EDITS, ids=[each[0] for each in EDITS])
def test_an_edit_changes_only_the_resources_that_it_concerns(
    bank: model.Mesh, case: str, edit: str, expected: set[tuple[str, Kind, str]]
) -> None:
    translation = Translation()
    before = translation.node_snapshots(bank, passed_on())
    after = translation.node_snapshots(_edited(bank, edit), passed_on())
    changed = _changed(before, after)
    assert expected <= changed, case
    assert {(kind, name) for _, kind, name in changed} == {each[1:] for each in expected}


def test_an_unchanged_model_translates_nothing(bank: model.Mesh) -> None:
    translation = Translation()
    before = translation.node_snapshots(bank, passed_on())
    computed = translation.memory.computed
    after = translation.node_snapshots(bank, passed_on())
    assert translation.memory.computed == computed
    assert all(after[name] is each for name, each in before.items())


def test_equal_models_share_their_parts(bank: model.Mesh) -> None:
    translation = Translation()
    before = translation.node_snapshots(bank, passed_on())
    after = translation.node_snapshots(mesh(), passed_on())
    assert all(after[name] is each for name, each in before.items())


def test_the_memory_forgets_what_is_no_longer_used(bank: model.Mesh) -> None:
    translation = Translation()
    memory = translation.memory = Memory(room=1_000)
    before = translation.node_snapshots(bank, passed_on())
    for number in range(1_001):
        memory.of(str, number)
    assert memory.crowded
    after = translation.node_snapshots(bank, passed_on())
    assert not memory.crowded
    assert {name: each.version for name, each in after.items()} == {
        name: each.version for name, each in before.items()
    }
    computed = memory.computed
    memory.of(str, 1_000)
    assert memory.computed == computed + 1


def test_the_memory_keeps_the_parts_of_what_it_keeps() -> None:
    """An edit after the forgetting computes only what it changes."""
    memory = Memory(room=1)

    def whole(*numbers: int) -> str:
        return " ".join(memory.of(part, each) for each in numbers)

    def part(number: int) -> str:
        return str(number)

    memory.of(whole, 1_001, 1_002)
    assert memory.crowded
    with memory.forgetting():
        memory.of(whole, 1_001, 1_002)
    computed = memory.computed
    assert memory.of(whole, 1_001, 1_003) == "1001 1003"
    assert memory.computed == computed + 2


def test_a_secret_of_one_name_with_two_contents_is_refused(bank: model.Mesh) -> None:
    payments = _sidecar(bank, "payments")
    first, second, *rest = payments.partners
    other = replace(second.authority, name=first.authority.name, ca=Path("/other.pem"))
    mixed = replace(payments, partners=(first, replace(second, authority=other), *rest))
    with pytest.raises(SnapshotFault, match="share the name"):
        Translation().node_snapshots(_with(bank, mixed), passed_on())


def test_no_resource_contains_a_private_key(nodes: Nodes) -> None:
    for each in nodes.values():
        for secret in each.resources[Kind.SECRET].values():
            said = _json(secret)
            assert not set(_found(said, "inline_bytes")) | set(_found(said, "inline_string"))
            assert "watched_directory" in str(said)


def _edited(bank: model.Mesh, edit: str) -> model.Mesh:
    payments = _sidecar(bank, "payments")
    if edit == "edge":
        bucket = replace(bank.edge.per_address, burst=1)
        return replace(bank, edge=replace(bank.edge, per_address=bucket))
    if edit == "app":
        more = (*payments.app_sockets, Path("/bp/run/payments/in-2.sock"))
        return _with(bank, replace(payments, app_sockets=more))
    if edit == "payments":
        first, *rest = payments.partners
        routes = tuple(replace(each, timeout_ms=1234) for each in first.routes)
        return _with(bank, replace(payments, partners=(replace(first, routes=routes), *rest)))
    smaller = {
        each.name: replace(
            each,
            traffic=replace(each.traffic, pool=replace(each.traffic.pool, requests_max=7)),
        )
        for each in bank.edge.services
    }
    customers = smaller["customers"]
    return replace(
        bank,
        sidecars=tuple(
            replace(each, services=_swap(each.services, customers)) for each in bank.sidecars
        ),
        edge=replace(bank.edge, services=_swap(bank.edge.services, customers)),
    )


def _swap(
    services: tuple[model.ServiceTarget, ...], new: model.ServiceTarget
) -> tuple[model.ServiceTarget, ...]:
    return tuple(new if each.name == new.name else each for each in services)


def _sidecar(bank: model.Mesh, name: str) -> model.Sidecar:
    return next(each for each in bank.sidecars if each.workload.name == name)


def _with(bank: model.Mesh, new: model.Sidecar) -> model.Mesh:
    name = new.workload.name
    return replace(
        bank,
        sidecars=tuple(new if each.workload.name == name else each for each in bank.sidecars),
    )


def _all(node: NodeSnapshot) -> list[Packed]:
    return [each for kind in Kind for each in node.resources[kind].values()]


def _changed(before: Nodes, after: Nodes) -> set[tuple[str, Kind, str]]:
    return {
        (node, each.kind, each.name)
        for node, snapshot in after.items()
        for each in _all(snapshot)
        if before[node].resources[each.kind].get(each.name) is not each
    }


def _json(resource: Packed) -> Any:
    message = default_message_pool.url_to_type[resource.kind.value].parse(resource.body)
    said = message.to_dict(casing=betterproto2.Casing.SNAKE)
    if resource.kind is Kind.ENDPOINTS:
        return {}
    return said


def _found(value: Any, key: str) -> list[str]:
    if isinstance(value, dict):
        own = [value[key]] if isinstance(value.get(key), str) else []
        return own + [name for part in value.values() for name in _found(part, key)]
    if isinstance(value, list):
        return [name for part in value for name in _found(part, key)]
    return []


def _secrets(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        one = value.get("validation_context_sds_secret_config")
        own = [*([one] if one else []), *(value.get("tls_certificate_sds_secret_configs") or [])]
        return own + [each for part in value.values() for each in _secrets(part)]
    if isinstance(value, list):
        return [each for part in value for each in _secrets(part)]
    return []
