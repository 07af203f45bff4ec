"""What callers know of each host, from DestinationRule, VirtualService and ServiceEntry."""

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager

from mesh.controlplane import model
from mesh.controlplane.ingest import shapes
from mesh.controlplane.ingest.documents import Place
from mesh.controlplane.ingest.endpoints import Endpoints
from mesh.controlplane.ingest.faults import Absent, ConfigFault, Findings, MeshFault
from mesh.controlplane.ingest.fields import suggestion
from mesh.controlplane.ingest.resources import Resource, of_kind
from mesh.controlplane.resolve import bounds, policy
from mesh.controlplane.resolve.places import SERVICE_HOSTS, credential, parse_address
from mesh.controlplane.resolve.route_checks import Target, contracts_of, route_faults
from mesh.controlplane.resolve.routes import Hashed, routes
from services.contracts import GATEWAY, MethodContract

_ENTRY = "ServiceEntry"
_ROUTES = shapes.VirtualServiceSpec
_RULES = shapes.DestinationRuleSpec
_POLICY: Place = ("spec", "trafficPolicy")
_Rule = tuple[Resource, shapes.DestinationRuleSpec]
_Service = tuple[Resource, shapes.VirtualServiceSpec]


def rule_of(resources: list[Resource], host: str) -> Resource | None:
    """Return the DestinationRule that applies to a host, if there is one."""
    rules = of_kind(resources, _RULES)
    exact = [each for each, rule in rules if rule.host == host]
    wild = [each for each, rule in rules if _covers(rule.host, host)]
    return next(iter([*exact, *wild]), None)


class TrafficRules:
    """Finds the rules for a host; exact names take precedence over wildcards."""

    def __init__(
        self,
        resources: list[Resource],
        endpoints: Endpoints,
        contracts: Mapping[str, MethodContract],
        findings: Findings,
    ) -> None:
        self._rules = of_kind(resources, _RULES)
        self._routes = of_kind(resources, _ROUTES)
        self._entries = of_kind(resources, shapes.ServiceEntrySpec)
        self._endpoints = endpoints
        self._contracts = contracts
        self._findings = findings
        self._called: set[str] = set()
        self._of_services: list[tuple[_Rule, tuple[model.Grant, ...]]] = []
        self._unknown_called = False
        self.finished: list[Resource] = []
        """The resources that have been read completely for their host."""
        self._refuse_unknown_hosts()
        self._refuse_shared_credentials()

    def of_service(
        self, target: model.ServiceTarget, caller: str | None
    ) -> tuple[model.Traffic, tuple[model.Subset, ...], tuple[model.Route, ...]]:
        """Return the traffic policy, subsets and routes of a service as one caller sees it.

        None stands for a caller to which no rule for a single caller applies.
        """
        resource, rule = self._rule(target.host, caller)
        if rule.traffic_policy.tls.mode != "ISTIO_MUTUAL":
            problem = "set ISTIO_MUTUAL, which the mesh requires between services"
            self._findings.add(resource.fault((*_POLICY, "tls", "mode"), problem))
        service = self._service(target.host)
        made = routes(service[1], caller, _hashed(rule)) if service else (model.Route(),)
        self._of_services.append(((resource, rule), target.methods))
        detection = rule.traffic_policy.outlier_detection
        self._add(bounds.breaker_faults(resource, detection, partner=False))
        retried = any(each.retry for each in made) or not service
        traffic = policy.traffic(rule.traffic_policy, made[-1], retried=retried)
        subsets = self._subsets((resource, rule), target, traffic, made, retried=retried)
        self._finish(resource, service)
        return traffic, subsets, made

    def _subsets(
        self,
        rule: _Rule,
        target: model.ServiceTarget,
        base: model.Traffic,
        made: tuple[model.Route, ...],
        *,
        retried: bool,
    ) -> tuple[model.Subset, ...]:
        named = {each.subset for route in made for each in route.destinations}
        named |= {each.subset for route in made for each in route.mirrors}
        found: list[model.Subset] = []
        for index, each in enumerate(rule[1].subsets or ()):
            own, version = each.traffic_policy, each.labels["version"]
            traffic = base
            if own:
                at: Place = ("spec", "subsets", index, "trafficPolicy")
                detection = own.outlier_detection
                self._add(bounds.breaker_faults(rule[0], detection, partner=False, policy=at))
                traffic = policy.traffic(own, made[-1], retried=retried, base=base)
            instances = tuple(one for one in target.instances if one.version == version)
            if each.name in named:
                found.append(model.Subset(each.name, instances, traffic))
        return tuple(found)

    def refuse_beyond_deadlines(self) -> None:
        """Note each value that is too long for a method, once for all services of a rule."""
        for (resource, rule), _ in self._of_services:
            methods = [m for used, each in self._of_services if used[1] is rule for m in each]
            if bound := bounds.of_deadlines(methods):
                pools = [(_POLICY, rule.traffic_policy.connection_pool)]
                for index, each in enumerate(rule.subsets or ()):
                    if each.traffic_policy:
                        place = ("spec", "subsets", index, "trafficPolicy")
                        pools.append((place, each.traffic_policy.connection_pool))
                for place, pool in pools:
                    self._add(bounds.connect_faults(resource, pool, bound, place))

    @contextmanager
    def all_calls_known(self) -> Generator[None]:
        """Note that an error hides which host is called, so it may be any partner."""
        try:
            yield
        except (MeshFault, ConfigFault):
            self._unknown_called = True
            raise

    def refuse_uncalled(self) -> None:
        """Note each host of a ServiceEntry that no workload calls, if all calls are known."""
        if self._unknown_called:
            return
        for resource, spec in self._entries:
            for index, host in enumerate(spec.hosts):
                if host not in self._called:
                    self._findings.add(
                        resource.fault(
                            ("spec", "hosts", index),
                            f"no workload calls {host}; add it to a Sidecar or remove it",
                        )
                    )

    def unproxied(self, host: str) -> bool:
        """Return whether a host is called directly, and note that it is called."""
        entry = self._entry(host)
        if entry is None or entry.through_sidecar:
            return False
        self._called.add(host)
        return True

    def partner(self, host: str, workload: str) -> model.Partner:
        """Return a partner with the traffic policy of one workload."""
        with self.all_calls_known():
            if self._entry(host) is None:
                raise Absent(f"{workload} calls {host}, which has no ServiceEntry; add one", _ENTRY)
        self._called.add(host)
        place = self._endpoints.partners.get(self._address(host))
        if place is None:
            raise MeshFault(f"{workload} calls {host}; the endpoints file lacks its address")
        resource, rule = self._rule(host, workload)
        service = self._service(host)
        made = routes(service[1], workload) if service else (model.Route(),)
        last, retried = made[-1], any(each.retry for each in made) or not service
        traffic = policy.traffic(rule.traffic_policy, last, retried=retried)
        self._check_partner((resource, rule), service, made)
        tls = rule.traffic_policy.tls
        sni, names = tls.sni or host, tuple(tls.subject_alt_names or (host,))
        self._finish(resource, service)
        with resource.located((*_POLICY, "tls", "credentialName")):
            authority, client = self._credential(host, tls)
        return model.Partner(
            host=host,
            place=parse_address(place),
            authority_sent=(last.rewrite.authority if last.rewrite else None) or host,
            sni=sni,
            subject_names=names,
            authority=authority,
            client=client,
            traffic=traffic,
            routes=made,
        )

    def _check_partner(
        self, rule: _Rule, service: _Service | None, made: tuple[model.Route, ...]
    ) -> None:
        """Note the values of a partner's rule that do not fit into the shortest timeout."""
        resource, found = rule[0], rule[1].traffic_policy
        self._add(bounds.breaker_faults(resource, found.outlier_detection, partner=True))
        if rule[1].subsets:
            problem = "a partner has one address and no subsets; remove them"
            self._findings.add(resource.fault(("spec", "subsets"), problem))
        if service is None:
            problem = "add a VirtualService with a timeout: without it Envoy ends a call after 15s"
            fault = resource.fault(
                ("spec", "host"), f"{problem}, and Istio never ends it", absent="VirtualService"
            )
            self._findings.add(fault)
        limits = [each.timeout_ms for each in made if each.timeout_ms is not None]
        if limits:
            bound = bounds.of_timeout(min(limits))
            self._add(bounds.connect_faults(resource, found.connection_pool, bound, _POLICY))

    def check_routes(self, reach: Mapping[str, frozenset[str]]) -> None:
        """Note every error in the routes of every VirtualService.

        `reach` has the hosts that each workload may call.
        """
        workloads = frozenset((*self._endpoints.services, GATEWAY))
        for resource, spec in self._routes:
            host = spec.hosts[0]
            name = host.removesuffix(SERVICE_HOSTS)
            methods = None if name == host else contracts_of(name, self._contracts)
            names = {s.name for _, rule in self._rules_of(host) for s in rule.subsets or ()}
            callers = frozenset(each for each in workloads if host in reach.get(each, {host}))
            target = Target(host, methods, frozenset(names), workloads, callers)
            self._add(route_faults(resource, spec, target))

    def _add(self, faults: Iterator[ConfigFault]) -> None:
        for fault in faults:
            self._findings.add(fault)

    def _entry(self, host: str) -> shapes.ServiceEntrySpec | None:
        return next((spec for _, spec in self._entries if host in spec.hosts), None)

    def _hosts_of_partner(self, host: str) -> frozenset[str]:
        """Return the hosts of a partner; two names for one address are one partner."""
        address = self._address(host)
        entry = self._entry(address)
        return frozenset(entry.hosts) if entry else frozenset({address})

    def _address(self, host: str) -> str:
        """Return the host at whose address a partner's host is reached: itself, unless named."""
        entry = self._entry(host)
        return entry.endpoints[0].address if entry and entry.endpoints else host

    def _credential(
        self, host: str, tls: shapes.ClientTls
    ) -> tuple[model.AuthorityFile, model.CertificateFiles | None]:
        name, mutual = tls.credential_name, tls.mode == "MUTUAL"
        if name is None or tls.mode == "ISTIO_MUTUAL":
            raise MeshFault(f"{host}: a partner needs tls SIMPLE or MUTUAL and a credentialName")
        return credential(self._endpoints, name, mutual=mutual)

    def _finish(self, rule: Resource, service: _Service | None) -> None:
        self.finished += [rule, *([service[0]] if service else [])]

    def _rules_of(self, host: str) -> list[_Rule]:
        exact = [each for each in self._rules if each[1].host == host]
        return exact or [each for each in self._rules if _covers(each[1].host, host)]

    def _rule(self, host: str, workload: str | None) -> _Rule:
        """Return the rule of a caller. As in Istio, its own one comes before the others."""
        found = self._rules_of(host)
        own = [each for each in found if _selected(each[1]) == workload and _selected(each[1])]
        fitting = own or [each for each in found if _selected(each[1]) is None]
        problem = f"{host} needs exactly one DestinationRule, but has {len(fitting)}"
        if not fitting:
            raise Absent(problem, "DestinationRule")
        for another, _ in fitting[1:]:
            raise another.fault(("spec", "host"), f"{problem}; remove this one")
        return fitting[0]

    def _service(self, host: str) -> _Service | None:
        chosen = [each for each in self._routes if host in each[1].hosts]
        for another, _ in chosen[1:]:
            problem = f"{host} already has a VirtualService; put the routes there"
            raise another.fault(("spec", "hosts", 0), problem)
        return chosen[0] if chosen else None

    def _refuse_unknown_hosts(self) -> None:
        known = {host for _, spec in self._entries for host in spec.hosts if spec.through_sidecar}
        known |= {f"{name}{SERVICE_HOSTS}" for name in self._endpoints.services}
        wild = f"*{SERVICE_HOSTS}"
        named: list[tuple[Resource, Place, str]] = [
            *((each, ("spec", "hosts", 0), spec.hosts[0]) for each, spec in self._routes),
            *(
                (each, ("spec", "host"), rule.host)
                for each, rule in self._rules
                if rule.host != wild
            ),
        ]
        for resource, place, host in named:
            if host not in known:
                problem = f"{host} is unknown; {_remedy(host, known)}, or add a ServiceEntry"
                self._findings.add(resource.fault(place, problem, absent=_ENTRY))

    def _refuse_shared_credentials(self) -> None:
        """Refuse two partners with one authority: each could issue the other's certificate."""
        owners: dict[str, frozenset[str]] = {}
        for resource, rule in self._rules:
            name = rule.traffic_policy.tls.credential_name
            if name is None:
                continue
            partner = self._hosts_of_partner(rule.host)
            if owners.setdefault(name, partner) != partner:
                self._findings.add(
                    resource.fault(
                        (*_POLICY, "tls"),
                        f"credentialName {name} belongs to {min(owners[name])}; give each partner"
                        " one",
                    )
                )


def _remedy(host: str, known: Iterable[str]) -> str:
    return suggestion(host, known).removesuffix("?")


def _hashed(rule: shapes.DestinationRuleSpec) -> Hashed:
    """Return what of a host chooses instances by a hash; a subset inherits the host's balancing."""
    whole = rule.traffic_policy.load_balancer
    found: dict[str | None, shapes.LoadBalancer | None] = {None: whole}
    for each in rule.subsets or ():
        own = each.traffic_policy.load_balancer if each.traffic_policy else None
        found[each.name] = own or whole
    return frozenset(name for name, each in found.items() if each and each.consistent_hash)


def _covers(pattern: str, host: str) -> bool:
    return pattern.startswith("*") and host.endswith(pattern[1:])


def _selected(spec: shapes.DestinationRuleSpec) -> str | None:
    """Return the only workload to which a rule applies, if there is one."""
    return spec.workload_selector.match_labels["app"] if spec.workload_selector else None
