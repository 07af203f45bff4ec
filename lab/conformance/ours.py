"""The control plane's own configuration of each proxy, with invented addresses, and its facts."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from gateway.routes import gateway_routes
from lab.conformance.decoding import Json, decoded, plain
from lab.conformance.facts import listing
from lab.conformance.facts.proxy import Proxy, proxy
from lab.conformance.istio import Files
from mesh.controlplane import model
from mesh.controlplane.deliver.nodes import Translation
from mesh.controlplane.deliver.packed import Kind, NodeSnapshot
from mesh.controlplane.deliver.snapshot import Snapshot, snapshots
from mesh.controlplane.passed_on import PassedOn
from mesh.ctl import load_mesh
from mesh.istio import places
from services import contracts


@dataclass(frozen=True)
class Stated:
    """The facts of all proxies, and the questions."""

    facts: dict[str, Any]
    asked: listing.Questions


@cache
def routes() -> tuple[Any, ...]:
    """Return the gateway's routes."""
    return gateway_routes(contracts.load())


def stated(files: Files, headers: tuple[tuple[str, str], ...] = ()) -> Stated:
    """Return the facts of the control plane's own translation, and what was asked."""
    mesh, passed_on = loaded(files)
    asked = replace(questions(mesh), headers=headers)
    return Stated(facts(proxies(mesh, passed_on), asked, files.edge_policy()), asked)


def loaded(files: Files) -> tuple[model.Mesh, PassedOn]:
    """Return the model of the files, with invented addresses."""
    return load_mesh(files.config, places.invented(files.of_sres()))


def questions(mesh: model.Mesh) -> listing.Questions:
    """Return what is asked: all methods, partners and identities that the mesh has."""
    methods: dict[str, list[str]] = {}
    for contract in contracts.load().values():
        methods.setdefault(contract.deployable, []).append(contract.path)
    partners = {each.host for sidecar in mesh.sidecars for each in sidecar.partners}
    names = {*methods, contracts.GATEWAY}
    for contract in contracts.load().values():
        names.update(contract.services)
    return listing.Questions(
        {name: tuple(paths) for name, paths in sorted(methods.items())},
        tuple(sorted(partners)),
        tuple(contracts.spiffe_id(name) for name in sorted(names)),
    )


def proxies(mesh: model.Mesh, passed_on: PassedOn) -> dict[str, Proxy]:
    """Return the configuration of every proxy as its stream delivers it."""
    nodes = Translation().node_snapshots(mesh, passed_on)
    return {(made := _streamed(node)).workload: made for node in nodes.values()}


def in_files(mesh: model.Mesh, passed_on: PassedOn) -> dict[str, Proxy]:
    """Return the configuration of every proxy that starts from files."""
    made = snapshots(mesh, passed_on, lambda _: lambda _name: None)
    return {name: _proxy(name, each) for name, each in made.items()}


def facts(found: dict[str, Proxy], asked: listing.Questions, policy: Any) -> dict[str, Any]:
    """Return the facts of all proxies."""
    stated: dict[str, Any] = {}
    for name, each in found.items():
        if name == contracts.GATEWAY:
            stated.update(listing.of_gateway(each, routes(), policy))
        else:
            stated.update(listing.of_sidecar(each, asked))
    return stated


def _proxy(name: str, snapshot: Snapshot) -> Proxy:
    listeners = [plain(each.message) for each in snapshot.listeners]
    clusters = [plain(each.message) for each in snapshot.clusters]
    return proxy(name, listeners, [], clusters)


def _streamed(node: NodeSnapshot) -> Proxy:
    def of(kind: Kind) -> list[Json]:
        return [decoded(kind.value, each.body) for each in node.resources[kind].values()]

    workload = node.node.rpartition("-")[0]
    named = (of(each) for each in (Kind.LISTENER, Kind.ROUTES, Kind.CLUSTER, Kind.EXTENSION))
    return proxy(workload, *named)
