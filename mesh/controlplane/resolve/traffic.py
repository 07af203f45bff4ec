"""The traffic policy of each host, from DestinationRule, VirtualService and ServiceEntry.

A value that a rule leaves out gets its default here, so that nothing is unlimited.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager

from mesh.controlplane import model
from mesh.controlplane.drain import CALL_MS_MAX
from mesh.controlplane.ingest import shapes
from mesh.controlplane.ingest.documents import Place
from mesh.controlplane.ingest.endpoints import Endpoints
from mesh.controlplane.ingest.faults import Absent, ConfigFault, Findings, MeshFault
from mesh.controlplane.ingest.resources import Resource, of_kind
from mesh.controlplane.ingest.values import RetryCondition, milliseconds
from mesh.controlplane.resolve import bounds
from mesh.controlplane.resolve.places import (
    SERVICE_HOSTS,
    credential,
    parse_address,
)

_ENTRY = "ServiceEntry"
_ROUTES = shapes.VirtualServiceSpec
_RULES = shapes.DestinationRuleSpec
_CAUSES: dict[RetryCondition, model.RetryCause] = {
    "5xx": model.RetryCause.SERVER_ERROR,
    "gateway-error": model.RetryCause.GATEWAY_ERROR,
    "retriable-4xx": model.RetryCause.CONFLICT,
    "envoy-ratelimited": model.RetryCause.RATE_LIMITED,
    "reset": model.RetryCause.RESET,
    "reset-before-request": model.RetryCause.RESET_BEFORE_REQUEST,
    "connect-failure": model.RetryCause.CONNECT_FAILURE,
    "refused-stream": model.RetryCause.STREAM_REFUSED,
    "cancelled": model.RetryCause.GRPC_CANCELLED,
    "deadline-exceeded": model.RetryCause.GRPC_DEADLINE_EXCEEDED,
    "internal": model.RetryCause.GRPC_INTERNAL,
    "resource-exhausted": model.RetryCause.GRPC_RESOURCE_EXHAUSTED,
    "unavailable": model.RetryCause.GRPC_UNAVAILABLE,
}
_RETRY_ON = (model.RetryCause.CONNECT_FAILURE, model.RetryCause.STREAM_REFUSED)
_BACKOFF_MS = 25
_CONNECT_MS = 1000
_CONNECTIONS_MAX = 256
_REQUESTS_MAX = 1024
_RETRIES_MAX = 32
_Rule = tuple[Resource, shapes.DestinationRuleSpec]
_Route = tuple[Resource, shapes.HttpRoute]


def rule_of(resources: list[Resource], host: str) -> Resource | None:
    """Return the DestinationRule that applies to a host, if there is one."""
    rules = of_kind(resources, _RULES)
    exact = [each for each, rule in rules if rule.host == host]
    wild = [each for each, rule in rules if _covers(rule.host, host)]
    return next(iter([*exact, *wild]), None)


class TrafficRules:
    """Finds the rules for a host; exact names take precedence over wildcards."""

    def __init__(self, resources: list[Resource], endpoints: Endpoints, findings: Findings) -> None:
        self._rules = of_kind(resources, _RULES)
        self._routes = of_kind(resources, _ROUTES)
        self._entries = of_kind(resources, shapes.ServiceEntrySpec)
        self._endpoints = endpoints
        self._findings = findings
        self._called: set[str] = set()
        self._of_services: list[tuple[_Rule, _Route | None, tuple[model.Grant, ...]]] = []
        self._unknown_called = False
        self.finished: list[Resource] = []
        """The resources that have been read completely for their host."""
        self._refuse_unknown_hosts()
        self._refuse_shared_credentials()

    def of_service(self, host: str, methods: tuple[model.Grant, ...]) -> model.Traffic:
        """Return the traffic policy for a service of the mesh, which has these methods."""
        resource, rule = self._rule(host, host)
        if rule.traffic_policy.tls.mode != "ISTIO_MUTUAL":
            self._findings.add(
                resource.fault(
                    ("spec", "trafficPolicy", "tls", "mode"),
                    "set ISTIO_MUTUAL, which the mesh requires between services",
                )
            )
        route = self._route(host)
        traffic = _traffic(rule.traffic_policy, route[1] if route else None, timeout_ms=None)
        self._of_services.append(((resource, rule), route, methods))
        self._add(
            bounds.breaker_faults(resource, rule.traffic_policy.outlier_detection, partner=False)
        )
        self._finish(resource, route)
        return traffic

    def refuse_beyond_deadlines(self) -> None:
        """Note each value that is too long for a method, once for all services of a rule."""
        for (resource, rule), _, _ in self._of_services:
            methods = [m for used, _, each in self._of_services if used[1] is rule for m in each]
            if bound := bounds.of_deadlines(methods):
                pool = rule.traffic_policy.connection_pool
                self._add(bounds.connect_faults(resource, pool, bound))
        found = [(route, methods) for _, route, methods in self._of_services if route]
        for (resource, route), _ in found:
            methods = [m for used, each in found if used[1] is route for m in each]
            if bound := bounds.of_deadlines(methods):
                self._add(bounds.retry_faults(resource, route.retries, bound))

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
        found = self._route(host)
        route = found[1] if found else None
        timeout_ms = self._timeout_ms((resource, rule), found)
        traffic = _traffic(rule.traffic_policy, route, timeout_ms=timeout_ms)
        tls = rule.traffic_policy.tls
        sni, names = tls.sni or host, tuple(tls.subject_alt_names or (host,))
        self._finish(resource, found)
        with resource.located(("spec", "trafficPolicy", "tls", "credentialName")):
            authority, client = self._credential(host, tls)
        return model.Partner(
            host=host,
            place=parse_address(place),
            authority_sent=route.rewrite.authority if route and route.rewrite else host,
            sni=sni,
            subject_names=names,
            authority=authority,
            client=client,
            traffic=traffic,
        )

    def _timeout_ms(self, rule: _Rule, route: _Route | None) -> int | None:
        """Return the timeout of a partner; note the values that do not fit into it."""
        resource, policy = rule[0], rule[1].traffic_policy
        self._add(bounds.breaker_faults(resource, policy.outlier_detection, partner=True))
        without = "without it Envoy ends a call after 15s, and Istio never ends it"
        if route is None:
            problem = f"add a VirtualService with a timeout: {without}"
            fault = resource.fault(("spec", "host"), problem, absent="VirtualService")
            self._findings.add(fault)
            return None
        if route[1].timeout is None:
            self._findings.add(route[0].fault(("spec", "http", 0), f"set a timeout: {without}"))
            return None
        bound = bounds.of_timeout(milliseconds(route[1].timeout))
        self._add(bounds.connect_faults(resource, policy.connection_pool, bound))
        self._add(bounds.retry_faults(route[0], route[1].retries, bound))
        return bound.ms

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

    def _finish(self, rule: Resource, route: _Route | None) -> None:
        self.finished += [rule, *([route[0]] if route else [])]

    def _rule(self, host: str, workload: str) -> _Rule:
        exact = [each for each in self._rules if each[1].host == host]
        chosen = exact or [each for each in self._rules if _covers(each[1].host, host)]
        fitting = [each for each in chosen if _for_workload(each[1], workload)]
        if len(fitting) != 1:
            problem = f"{host} needs exactly one DestinationRule, but has {len(fitting)}"
            raise MeshFault(problem) if fitting else Absent(problem, "DestinationRule")
        return fitting[0]

    def _route(self, host: str) -> _Route | None:
        exact = [each for each in self._routes if host in each[1].hosts]
        wild = [each for each in self._routes if any(_covers(h, host) for h in each[1].hosts)]
        chosen = exact or wild
        if len(chosen) > 1:
            raise MeshFault(f"{host} has {len(chosen)} VirtualServices; keep one")
        return (chosen[0][0], chosen[0][1].http[0]) if chosen else None

    def _refuse_unknown_hosts(self) -> None:
        known = {host for _, spec in self._entries for host in spec.hosts}
        known |= {f"{name}{SERVICE_HOSTS}" for name in self._endpoints.services}
        known.add(f"*{SERVICE_HOSTS}")
        for resource, rule in self._rules:
            if rule.host not in known:
                self._findings.add(
                    resource.fault(
                        ("spec", "host"),
                        f"{rule.host} is unknown; correct it or add a ServiceEntry",
                        absent=_ENTRY,
                    )
                )
        for resource, spec in self._routes:
            for place, problem in _route_problems(spec, known):
                absent = _ENTRY if place == ("spec", "hosts") else None
                self._findings.add(resource.fault(place, problem, absent=absent))

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
                        ("spec", "trafficPolicy", "tls"),
                        f"credentialName {name} belongs to {min(owners[name])}; give each partner"
                        " one",
                    )
                )


def _route_problems(
    spec: shapes.VirtualServiceSpec, known: set[str]
) -> Iterator[tuple[Place, str]]:
    to = {each.destination.host for route in spec.http for each in route.route}
    if not known >= {*spec.hosts, *to}:
        yield ("spec", "hosts"), "a host is unknown; correct it or add a ServiceEntry"
    if to != set(spec.hosts):
        yield ("spec", "http"), "routing to another host is not supported"
    timeout = spec.http[0].timeout
    if timeout and any(host.endswith(SERVICE_HOSTS) for host in spec.hosts):
        problem = "remove it: the contracts have the timeouts of the bank's services"
        yield ("spec", "http", 0, "timeout"), problem
    elif timeout and milliseconds(timeout) > CALL_MS_MAX:
        seconds = CALL_MS_MAX // 1000
        problem = f"set at most {seconds}s: an edit ends calls that take longer"
        yield ("spec", "http", 0, "timeout"), problem


def _covers(pattern: str, host: str) -> bool:
    return pattern.startswith("*") and host.endswith(pattern[1:])


def _for_workload(spec: shapes.DestinationRuleSpec, workload: str) -> bool:
    selector = spec.workload_selector
    return selector is None or selector.match_labels == {"app": workload}


def _traffic(
    policy: shapes.TrafficPolicy, route: shapes.HttpRoute | None, *, timeout_ms: int | None
) -> model.Traffic:
    balancer = policy.load_balancer
    retry = _retry(route.retries) if route and route.retries else None
    return model.Traffic(
        timeout_ms=timeout_ms,
        retry=retry,
        breaker=_breaker(policy.outlier_detection),
        # Without a route its VirtualService may have an error, so retries may be meant.
        pool=_pool(
            policy.connection_pool or shapes.ConnectionPool(), retried=bool(retry or not route)
        ),
        least_request=balancer is not None and balancer.simple == "LEAST_REQUEST",
    )


def _retry(retries: shapes.Retries) -> model.Retry | None:
    if retries.attempts == 0:
        return None
    per_try, on = retries.per_try_timeout, retries.retry_on
    return model.Retry(
        attempts=retries.attempts,
        on=_RETRY_ON if on is None else tuple(_CAUSES[each] for each in on),
        per_try_timeout_ms=None if per_try is None else milliseconds(per_try),
        backoff_ms=_BACKOFF_MS if retries.backoff is None else milliseconds(retries.backoff),
    )


def _breaker(detection: shapes.OutlierDetection | None) -> model.Breaker | None:
    if detection is None:
        return None
    split = detection.split_external_local_origin_errors
    return model.Breaker(
        failures=detection.consecutive_5xx_errors,
        reach_failures=detection.consecutive_local_origin_failures if split else None,
        open_ms=milliseconds(detection.base_ejection_time),
        interval_ms=milliseconds(detection.interval),
        ejected_percent_max=detection.max_ejection_percent,
    )


def _pool(pool: shapes.ConnectionPool, *, retried: bool) -> model.Pool:
    # Without retries nothing reads maxRetries, so the check reports that it has no effect.
    tcp, http = pool.tcp or shapes.TcpPool(), pool.http or shapes.HttpPool()
    connect = tcp.connect_timeout
    return model.Pool(
        connect_timeout_ms=_CONNECT_MS if connect is None else milliseconds(connect),
        connections_max=tcp.max_connections or _CONNECTIONS_MAX,
        pending_max=http.http1_max_pending_requests or _REQUESTS_MAX,
        requests_max=http.http2_max_requests or _REQUESTS_MAX,
        retries_max=(http.max_retries if retried else None) or _RETRIES_MAX,
    )
