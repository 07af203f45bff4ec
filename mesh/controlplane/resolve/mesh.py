"""Builds the model from resources, contracts and addresses; rejects inconsistencies.

Pure. Access is not configured here: it follows from the contracts, and everything else is denied.
The config only has to state this (AuthorizationPolicy with an empty spec, PeerAuthentication
STRICT).
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from gateway.routes import gateway_routes
from mesh.controlplane import model
from mesh.controlplane.drain import CALL_MS_MAX
from mesh.controlplane.ingest import shapes
from mesh.controlplane.ingest.endpoints import Endpoints, ServicePlace
from mesh.controlplane.ingest.faults import Absent, Findings, MeshFault
from mesh.controlplane.ingest.resources import Resource, of_kind, refuse_unread, the_only
from mesh.controlplane.resolve.edge import Around, resolve_edge
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


def resolve(inputs: Inputs, findings: Findings | None = None) -> model.Mesh:
    """Return the model. Raises MeshFault or ConfigFault, or Faults if there are several.

    A field or a host that nothing needs is an error too. It is reported only if no step that might
    use it ended early. `findings` has the errors of the earlier steps; a resource may be absent
    only because of one of these errors.
    """
    before, findings = findings or Findings(), Findings()
    for spec in (shapes.PeerAuthenticationSpec, shapes.AuthorizationPolicySpec):
        with findings.noted():
            the_only(inputs.resources, spec)
    with findings.noted():
        _refuse_long_calls(inputs.contracts)
    traffic = TrafficRules(inputs.resources, inputs.endpoints, findings)
    targets = _targets(inputs, traffic, findings)
    sidecars = tuple(
        _sidecar(name, place, inputs, targets, traffic, findings)
        for name, place in sorted(inputs.endpoints.services.items())
    )
    edge = _edge(inputs, targets, traffic, findings)
    if not (before.may_lack("Sidecar") or before.may_lack("RequestAuthentication")):
        traffic.refuse_uncalled()
    complete = before.complete and findings.complete
    refuse_unread(_finished(inputs.resources, traffic, complete=complete), findings)
    before.followed_by(findings).end()
    if edge is None:
        raise MeshFault("the gateway has no configuration; add it")
    return model.Mesh(sidecars, edge)


def _finished(
    resources: list[Resource], traffic: TrafficRules, *, complete: bool
) -> list[Resource]:
    """Return the resources that are read completely."""
    if complete:
        # Only ingest/telemetry.py reads Telemetry.
        return [each for each in resources if not isinstance(each.spec, shapes.TelemetrySpec)]
    sidecars = [each for each, _ in of_kind(resources, shapes.SidecarSpec)]
    return [*traffic.finished, *sidecars]


def _edge(
    inputs: Inputs,
    targets: dict[str, model.ServiceTarget],
    traffic: TrafficRules,
    findings: Findings,
) -> model.Edge | None:
    routes = gateway_routes(inputs.contracts)
    reached = {route.deployable for route in routes}
    served = {name for name, place in inputs.endpoints.services.items() if place.mtls}
    with findings.noted():
        if missing := sorted(reached - served):
            raise MeshFault(
                f"the gateway routes to {', '.join(missing)}; add it to the endpoints file"
            )
    around = Around(
        inputs.resources,
        inputs.endpoints,
        _workload(GATEWAY, inputs, inputs.endpoints.gateway.admin_socket),
        routes,
        tuple(targets[name] for name in sorted(reached & targets.keys())),
        inputs.contracts,
    )
    return resolve_edge(around, traffic, findings)


def _refuse_long_calls(contracts: Mapping[str, MethodContract]) -> None:
    for contract in contracts.values():
        if contract.deadline_ms > CALL_MS_MAX:
            raise MeshFault(
                f"{contract.path}: set a deadline of at most {CALL_MS_MAX // 1000} s, because an "
                "edit of the mesh ends calls that take longer"
            )


def _targets(
    inputs: Inputs, traffic: TrafficRules, findings: Findings
) -> dict[str, model.ServiceTarget]:
    served = deployables(dict(inputs.contracts))
    targets: dict[str, model.ServiceTarget] = {}
    for name, place in inputs.endpoints.services.items():
        if place.mtls is None:
            continue
        methods = _grants(name, inputs.contracts)
        with findings.noted():
            targets[name] = model.ServiceTarget(
                name=name,
                identity=spiffe_id(name),
                host=f"{name}{SERVICE_HOSTS}",
                place=parse_address(place.mtls),
                methods=methods,
                grpc_services=served.get(name, ()),
                traffic=traffic.of_service(f"{name}{SERVICE_HOSTS}", methods),
            )
    traffic.refuse_beyond_deadlines()
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
    findings: Findings,
) -> model.Sidecar:
    services: list[model.ServiceTarget] = []
    partners: list[model.Partner] = []
    hosts: list[_Egress] = []
    with findings.noted(), traffic.all_calls_known():
        hosts = egress_hosts(inputs.resources, name)
    for each in hosts:
        with findings.noted(), each.located():
            with traffic.all_calls_known():
                each.check()
            called = each.host.removesuffix(SERVICE_HOSTS)
            if called == each.host:
                partners.append(traffic.partner(each.host, name))
            elif called in targets:
                services.append(targets[called])
            elif called not in inputs.endpoints.services:
                raise MeshFault(f"{each.host} is not a service of the mesh")
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


@dataclass(frozen=True)
class _Egress:
    """One line of a Sidecar: a host that a workload may call."""

    resource: Resource
    index: int
    text: str

    @property
    def host(self) -> str:
        """The host without its namespace."""
        return self.text.removeprefix("./")

    def check(self) -> None:
        """Refuse a line that does not name one host."""
        if not self.text.startswith("./") or "*" in self.text:
            raise MeshFault(f"{self.text}: name one host, written as ./host")

    def located(self) -> AbstractContextManager[None]:
        """Add the file and line to an error about the host."""
        return self.resource.located(("spec", "egress", 0, "hosts", self.index))


def egress_hosts(resources: list[Resource], workload: str) -> list[_Egress]:
    """Return the hosts that a workload may call: those of its Sidecar, or of the default one."""
    found = of_kind(resources, shapes.SidecarSpec)
    own = [(one, spec) for one, spec in found if _selects(spec, workload)]
    chosen = own or [(one, spec) for one, spec in found if spec.workload_selector is None]
    if not chosen:
        raise Absent(f"{workload} has neither a Sidecar nor a default one; add one", "Sidecar")
    lines = [
        _Egress(resource, index, text)
        for resource, spec in chosen
        for index, text in enumerate(spec.egress[0].hosts)
    ]
    for another, _ in chosen[1:]:
        raise another.fault(("spec",), f"{workload} already has a Sidecar; remove one of them")
    return [each for each in lines if each.text != "~/*"]


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
        connections_max=inputs.endpoints.connections_max,
    )
