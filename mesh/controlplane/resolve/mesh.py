"""Builds the model from resources, contracts and addresses; rejects inconsistencies.

Pure. Access follows from the contracts, and everything else is denied. The config has to state this
(AuthorizationPolicy with an empty spec, PeerAuthentication STRICT), and it can only narrow it.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace

from gateway.routes import gateway_routes
from mesh.controlplane import model
from mesh.controlplane.drain import CALL_MS_MAX
from mesh.controlplane.ingest import shapes
from mesh.controlplane.ingest.endpoints import Endpoints, ServicePlace
from mesh.controlplane.ingest.faults import Absent, ConfigFault, Findings, MeshFault
from mesh.controlplane.ingest.fields import suggestion
from mesh.controlplane.ingest.resources import Resource, of_kind, refuse_unread, the_only
from mesh.controlplane.resolve.edge import Around, resolve_edge
from mesh.controlplane.resolve.places import (
    SERVICE_HOSTS,
    parse_address,
    service_instances,
    workload,
)
from mesh.controlplane.resolve.policies import Known, Policies
from mesh.controlplane.resolve.policy import NO_TRAFFIC
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
    with findings.noted():
        the_only(inputs.resources, shapes.PeerAuthenticationSpec)
    with findings.noted():
        _refuse_long_calls(inputs.contracts)
    traffic = TrafficRules(inputs.resources, inputs.endpoints, inputs.contracts, findings)
    traffic.check_routes(_reaches(inputs))
    targets = Targets(inputs, traffic, findings)
    policies = Policies(inputs.resources, _known(inputs), findings)
    sidecars = tuple(
        sidecar
        for name, place in sorted(inputs.endpoints.services.items())
        for sidecar in _sidecars(name, place, inputs, targets, traffic, policies, findings)
    )
    edge = _edge(inputs, targets, traffic, findings)
    traffic.refuse_beyond_deadlines()
    for fault in _telemetry_faults(inputs):
        findings.add(fault)
    if not (before.may_lack("Sidecar") or before.may_lack("RequestAuthentication")):
        traffic.refuse_uncalled()
    complete = before.complete and findings.complete
    refuse_unread(_finished(inputs.resources, traffic, complete=complete), findings)
    before.followed_by(findings).end()
    if edge is None:
        raise MeshFault("the gateway has no configuration; add it")
    return model.Mesh(sidecars, edge, _instances(inputs))


def _instances(inputs: Inputs) -> dict[str, tuple[model.Instance, ...]]:
    return {name: service_instances(place) for name, place in inputs.endpoints.services.items()}


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
    inputs: Inputs, targets: "Targets", traffic: TrafficRules, findings: Findings
) -> model.Edge | None:
    routes = gateway_routes(inputs.contracts)
    reached = {route.deployable for route in routes}
    with findings.noted():
        if missing := sorted(reached - targets.names):
            raise MeshFault(
                f"the gateway routes to {', '.join(missing)}; add it to the endpoints file"
            )
    services = (targets.of(name, GATEWAY) for name in sorted(reached & targets.names))
    around = Around(
        inputs.resources,
        inputs.endpoints,
        workload(GATEWAY, inputs.endpoints, inputs.endpoints.gateway.admin_socket),
        routes,
        tuple(each for each in services if each),
        inputs.contracts,
    )
    return resolve_edge(around, traffic, findings)


def _reaches(inputs: Inputs) -> dict[str, frozenset[str]]:
    """Return the hosts that workloads may call, without workloads whose Sidecar has an error."""
    found: dict[str, frozenset[str]] = {}
    for name in inputs.endpoints.services:
        with suppress(MeshFault, ConfigFault):
            hosts = egress_hosts(inputs.resources, name)
            found[name] = frozenset(each.host for each in hosts)
    return found


def _known(inputs: Inputs) -> Known:
    """Return the identities and grants to which policies may refer."""
    served = sorted({each.deployable for each in inputs.contracts.values()})
    named = {name for each in inputs.contracts.values() for name in each.services}
    names = {*inputs.endpoints.services, *served, *named, GATEWAY}
    grants = {name: grants_of(name, inputs.contracts) for name in served}
    return Known(grants, frozenset(spiffe_id(name) for name in names))


def _telemetry_faults(inputs: Inputs) -> Iterator[ConfigFault]:
    """Yield an error for each Telemetry of a workload that does not exist."""
    names = {*inputs.endpoints.services, GATEWAY}
    for resource, spec in of_kind(inputs.resources, shapes.TelemetrySpec):
        name = spec.selector.match_labels["app"] if spec.selector else GATEWAY
        if name not in names:
            problem = f"no workload is called {name}; {suggestion(name, names)}"
            yield resource.fault(("spec", "selector", "matchLabels", "app"), problem)


def _refuse_long_calls(contracts: Mapping[str, MethodContract]) -> None:
    for contract in contracts.values():
        if contract.deadline_ms > CALL_MS_MAX:
            raise MeshFault(
                f"{contract.path}: set a deadline of at most {CALL_MS_MAX // 1000} s, because an "
                "edit of the mesh ends calls that take longer"
            )


class Targets:
    """The services of the mesh, each as its callers see it. Equal views are one object."""

    def __init__(self, inputs: Inputs, traffic: TrafficRules, findings: Findings) -> None:
        self._traffic = traffic
        self._findings = findings
        self._made: dict[tuple[str, str | None], model.ServiceTarget | None] = {}
        served = deployables(dict(inputs.contracts))
        self._bare: dict[str, model.ServiceTarget] = {}
        for name, place in inputs.endpoints.services.items():
            if instances := service_instances(place):
                self._bare[name] = model.ServiceTarget(
                    name=name,
                    identity=spiffe_id(name),
                    host=f"{name}{SERVICE_HOSTS}",
                    place=instances[0].place,
                    methods=grants_of(name, inputs.contracts),
                    grpc_services=served.get(name, ()),
                    traffic=NO_TRAFFIC,
                    instances=instances,
                )
        for name in self._bare:
            self.of(name, None)

    @property
    def names(self) -> set[str]:
        """The names of the services that take calls."""
        return set(self._bare)

    def of(self, name: str, caller: str | None) -> model.ServiceTarget | None:
        """Return a service as one caller sees it; None if its rules have an error."""
        key = (name, caller)
        if key not in self._made:
            self._made[key] = None
            with self._findings.noted():
                self._made[key] = self._resolved(name, caller)
        return self._made[key]

    def _resolved(self, name: str, caller: str | None) -> model.ServiceTarget:
        bare = self._bare[name]
        traffic, subsets, routes = self._traffic.of_service(bare, caller)
        made = replace(bare, traffic=traffic, subsets=subsets, routes=routes)
        common = self._made.get((name, None))
        return common if common and common == made else made


def grants_of(name: str, contracts: Mapping[str, MethodContract]) -> tuple[model.Grant, ...]:
    """Return the methods of a service with their callers, as the contracts have them."""
    return tuple(
        model.Grant(contract.path, contract.deadline_ms, _principals(contract))
        for contract in contracts.values()
        if contract.deployable == name
    )


def _principals(contract: MethodContract) -> tuple[str, ...]:
    edge_too = () if contract.audience is Audience.INTERNAL else (GATEWAY,)
    return tuple(spiffe_id(name) for name in sorted({*contract.services, *edge_too}))


@dataclass
class _Reach:
    """The hosts that a workload may call, by their sort."""

    services: list[model.ServiceTarget]
    partners: list[model.Partner]
    unproxied: list[str]


def _reach(
    name: str, inputs: Inputs, targets: Targets, traffic: TrafficRules, findings: Findings
) -> _Reach:
    found = _Reach([], [], [])
    hosts: list[_Egress] = []
    with findings.noted(), traffic.all_calls_known():
        hosts = egress_hosts(inputs.resources, name)
    for each in hosts:
        with findings.noted(), each.located():
            with traffic.all_calls_known():
                each.check()
            called = each.host.removesuffix(SERVICE_HOSTS)
            if called in targets.names and called != each.host:
                if target := targets.of(called, name):
                    found.services.append(target)
            elif called != each.host:
                if called not in inputs.endpoints.services:
                    remedy = suggestion(called, inputs.endpoints.services)
                    raise MeshFault(f"{each.host} is not a service of the mesh; {remedy}")
            elif traffic.unproxied(each.host):
                found.unproxied.append(each.host)
            else:
                found.partners.append(traffic.partner(each.host, name))
    return found


def _sidecars(
    name: str,
    place: ServicePlace,
    inputs: Inputs,
    targets: Targets,
    traffic: TrafficRules,
    policies: Policies,
    findings: Findings,
) -> Iterator[model.Sidecar]:
    """Yield the proxy of each instance that runs on this machine; the first one always does."""
    reach = _reach(name, inputs, targets, traffic, findings)
    instances = place.numbered()
    first = model.Sidecar(
        workload=workload(name, inputs.endpoints, place.admin_socket),
        peer_prefix=SPIFFE_PREFIX,
        listen=parse_address(instances[0][1].address) if instances else None,
        app_sockets=tuple(place.app_sockets),
        outbound_socket=place.outbound_socket,
        grants=grants_of(name, inputs.contracts),
        services=tuple(reach.services),
        partners=tuple(reach.partners),
        policies=policies.of(name),
        unproxied=tuple(reach.unproxied),
    )
    yield first
    for number, each in instances[1:]:
        if each.admin_socket and each.outbound_socket:
            own = replace(first.workload, admin_socket=each.admin_socket, instance=number)
            yield replace(
                first,
                workload=own,
                listen=parse_address(each.address),
                app_sockets=tuple(each.app_sockets),
                outbound_socket=each.outbound_socket,
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
    defaults = [(one, spec) for one, spec in found if spec.workload_selector is None]
    # A default is useful for workloads of the future too, so its hosts always count as read.
    _ = [spec.egress[0].hosts for _, spec in defaults]
    chosen = own or defaults
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
