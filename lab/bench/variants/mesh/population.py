"""A mesh of many proxies, made from one service of the bank: 100 services in many instances.

Every proxy may call every service, so each of them gets the clusters, endpoints and routes of all.
The resources are the control plane's own translation. A push changes their bytes by one more field,
which no simulated proxy reads, so a push costs no translation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mesh import ctl
from mesh.controlplane import model
from mesh.controlplane.deliver.nodes import Translation
from mesh.controlplane.deliver.packed import Kind, NodeSnapshot, Packed, pack, snapshot
from mesh.controlplane.deliver.wire import nested
from mesh.controlplane.ingest import endpoints
from mesh.controlplane.passed_on import PassedOn

SERVICES = 100
CALLER, CALLED = "payments", "customers"
"""The service whose sidecar is multiplied, and the one that it calls."""
_GENERATION = 20_000
"""The number of a field that no message of Envoy has."""
Nodes = dict[str, NodeSnapshot]


def of_stack(places: Path, nodes: int) -> Nodes:
    """Return the snapshots of many proxies, with the addresses of a stack."""
    return of(*ctl.load_mesh(ctl.CONFIG, endpoints.read(places)), nodes)


def of(bank: model.Mesh, passed_on: PassedOn, nodes: int, services: int = SERVICES) -> Nodes:
    """Return the snapshots of many proxies, whose instances share their services evenly."""
    caller = next(each for each in bank.sidecars if each.workload.name == CALLER)
    called = next(each for each in caller.services if each.name == CALLED)
    names = [f"service-{number:03}" for number in range(services)]
    targets = tuple(_target(called, name) for name in names)
    sidecars = tuple(replace(_sidecar(caller, name), services=targets) for name in names)
    made = Translation().node_snapshots(replace(bank, sidecars=sidecars), passed_on)
    first = [made[each.workload.node] for each in sidecars]
    found: Nodes = {}
    for number in range(nodes):
        one, name = first[number % services], names[number % services]
        node = f"{name}-{number // services}"
        found[node] = NodeSnapshot(node, one.version, one.resources)
    return found


def _target(called: model.ServiceTarget, name: str) -> model.ServiceTarget:
    return replace(called, name=name, host=called.host.replace(called.name, name, 1))


def _sidecar(caller: model.Sidecar, name: str) -> model.Sidecar:
    return replace(caller, workload=replace(caller.workload, name=name), partners=())


def names_of(nodes: Mapping[str, NodeSnapshot]) -> dict[Kind, list[str]]:
    """Return the names of each kind that a proxy has; they are the same for all proxies."""
    one = next(iter(nodes.values()))
    return {kind: sorted(named) for kind, named in one.resources.items() if named}


class Edits:
    """Changes the resources of nodes; equal resources stay one object."""

    def __init__(self) -> None:
        self._number = 0

    def everything(self, nodes: Nodes) -> Nodes:
        """Return all nodes with every resource changed."""
        return self._edited(nodes, list(nodes), tuple(Kind), None)

    def one_cluster(self, nodes: Nodes, of: Sequence[str]) -> Nodes:
        """Return all nodes; those that are named have one changed cluster."""
        name = names_of(nodes)[Kind.CLUSTER][-1]
        return self._edited(nodes, of, (Kind.CLUSTER,), name)

    def _edited(
        self, nodes: Nodes, of: Sequence[str], kinds: Sequence[Kind], name: str | None
    ) -> Nodes:
        self._number += 1
        generation = nested(_GENERATION, f"{self._number:08}".encode())
        packed: dict[int, Packed] = {}
        whole: dict[int, NodeSnapshot] = {}

        def changed(each: Packed) -> Packed:
            if each.kind not in kinds or name not in (None, each.name):
                return each
            if id(each) not in packed:
                body = each.body + generation
                packed[id(each)] = pack(each.kind, each.name, body, each.uses)
            return packed[id(each)]

        def edited(node: str) -> NodeSnapshot:
            before = nodes[node]
            key = id(before.resources)
            if key not in whole:
                every = (one for named in before.resources.values() for one in named.values())
                whole[key] = snapshot(node, map(changed, every))
            return NodeSnapshot(node, whole[key].version, whole[key].resources)

        return {**nodes, **{node: edited(node) for node in of}}
