"""Builds the model from resources, contracts and addresses; rejects inconsistencies.

Pure. Access is not configured here: it follows from the contracts, and everything else is denied.
The config only has to state this (AuthorizationPolicy with an empty spec, PeerAuthentication
STRICT).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.routes import gateway_routes
from mesh.controlplane import model
from mesh.controlplane.ingest import shapes
from mesh.controlplane.ingest.endpoints import Endpoints, ServicePlace
from mesh.controlplane.ingest.faults import MeshFault
from mesh.controlplane.ingest.resources import Resource, of_kind
from mesh.controlplane.resolve.edge import resolve_edge
from mesh.controlplane.resolve.places import SERVICE_HOSTS, authority, certificate, parse_address
from mesh.controlplane.resolve.traffic import TrafficRules
from services.contracts import (
    GATEWAY,
    SPIFFE_PREFIX,
    Audience,
    MethodContract,
    deployables,
    spiffe_id,
)


@dataclass(frozen=True)
class Inputs:
    """The inputs from which the mesh is built."""

    resources: list[Resource]
    contracts: Mapping[str, MethodContract]
    endpoints: Endpoints


def resolve(inputs: Inputs) -> model.Mesh:
    """Return the model. Raises MeshFault or ConfigFault."""
    _require_closed_mesh(inputs.resources)
    traffic = TrafficRules(inputs.resources, inputs.endpoints)
    targets = _targets(inputs, traffic)
    sidecars = tuple(
        _sidecar(name, place, inputs, targets, traffic)
        for name, place in sorted(inputs.endpoints.services.items())
    )
    routes = gateway_routes(inputs.contracts)
    reached = {route.deployable for route in routes}
    missing = sorted(reached - targets.keys())
    if missing:
        raise MeshFault(
            f"the endpoints file lacks {', '.join(missing)}, to which the gateway routes"
        )
    gateway = resolve_edge(
        inputs.resources,
        inputs.endpoints,
        _workload(GATEWAY, inputs, inputs.endpoints.gateway.admin_socket),
        routes,
        tuple(targets[name] for name in sorted(reached)),
        traffic,
        inputs.contracts,
    )
    return model.Mesh(sidecars, gateway)


def _require_closed_mesh(resources: list[Resource]) -> None:
    for spec in (shapes.PeerAuthenticationSpec, shapes.AuthorizationPolicySpec):
        if len(of_kind(resources, spec)) != 1:
            raise MeshFault(f"mesh/config needs exactly one {spec.__name__.removesuffix('Spec')}")


def _targets(inputs: Inputs, traffic: TrafficRules) -> dict[str, model.ServiceTarget]:
    served = deployables(dict(inputs.contracts))
    targets: dict[str, model.ServiceTarget] = {}
    for name, place in inputs.endpoints.services.items():
        if place.mtls is None:
            continue
        targets[name] = model.ServiceTarget(
            name=name,
            identity=spiffe_id(name),
            host=f"{name}{SERVICE_HOSTS}",
            place=parse_address(place.mtls),
            methods=_grants(name, inputs.contracts),
            grpc_services=served.get(name, ()),
            traffic=traffic.of_service(f"{name}{SERVICE_HOSTS}"),
        )
    return targets


def _grants(name: str, contracts: Mapping[str, MethodContract]) -> tuple[model.Grant, ...]:
    return tuple(
        model.Grant(contract.path, contract.deadline_ms, _principals(contract))
        for contract in contracts.values()
        if contract.deployable == name
    )


def _principals(contract: MethodContract) -> tuple[str, ...]:
    edge_too = () if contract.audience is Audience.INTERNAL else (GATEWAY,)
    return tuple(spiffe_id(name) for name in sorted({*contract.services, *edge_too}))


def _sidecar(
    name: str,
    place: ServicePlace,
    inputs: Inputs,
    targets: dict[str, model.ServiceTarget],
    traffic: TrafficRules,
) -> model.Sidecar:
    services: list[model.ServiceTarget] = []
    partners: list[model.Partner] = []
    for host, resource in egress_hosts(inputs.resources, name):
        if host.endswith(SERVICE_HOSTS):
            target = targets.get(host.removesuffix(SERVICE_HOSTS))
            if target is None:
                raise resource.fault(("spec", "egress"), f"{host} is not a service of the mesh")
            services.append(target)
        else:
            partners.append(traffic.partner(host, name))
    return model.Sidecar(
        workload=_workload(name, inputs, place.admin_socket),
        peer_prefix=SPIFFE_PREFIX,
        listen=None if place.mtls is None else parse_address(place.mtls),
        app_sockets=tuple(place.app_sockets),
        outbound_socket=place.outbound_socket,
        grants=_grants(name, inputs.contracts),
        services=tuple(services),
        partners=tuple(partners),
    )


def egress_hosts(resources: list[Resource], workload: str) -> list[tuple[str, Resource]]:
    """Return the hosts that a workload may call: those of its Sidecar, or of the default one."""
    found = of_kind(resources, shapes.SidecarSpec)
    own = [(one, spec) for one, spec in found if _selects(spec, workload)]
    chosen = own or [(one, spec) for one, spec in found if spec.workload_selector is None]
    if len(chosen) != 1:
        raise MeshFault(f"{workload} needs exactly one Sidecar or a default, but has {len(chosen)}")
    resource, spec = chosen[0]
    hosts: list[tuple[str, Resource]] = []
    for host in spec.egress[0].hosts:
        if host == "~/*":
            continue
        if not host.startswith("./") or "*" in host:
            raise resource.fault(("spec", "egress"), f"{host}: name one host, written as ./host")
        hosts.append((host.removeprefix("./"), resource))
    return hosts


def _selects(spec: shapes.SidecarSpec, workload: str) -> bool:
    return spec.workload_selector is not None and spec.workload_selector.labels == {"app": workload}


def _workload(name: str, inputs: Inputs, admin: Path) -> model.Workload:
    return model.Workload(
        name=name,
        identity=spiffe_id(name),
        certificate=certificate(inputs.endpoints, name),
        authority=authority(inputs.endpoints, name),
        admin_socket=admin,
        rotating=frozenset({name}),
    )
