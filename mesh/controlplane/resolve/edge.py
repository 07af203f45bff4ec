"""The gateway's part of the model, built from Gateway, RequestAuthentication and EdgePolicy."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import urlsplit

from gateway.open_bodies import REQUEST_BYTES, PoolLimits
from gateway.routes import GatewayRoute
from mesh.controlplane import model
from mesh.controlplane.drain import ARRIVAL_MS_MAX
from mesh.controlplane.ingest import edge_policy, shapes
from mesh.controlplane.ingest.endpoints import Endpoints
from mesh.controlplane.ingest.faults import ConfigFault, Findings, MeshFault
from mesh.controlplane.ingest.resources import Resource, of_kind, the_only
from mesh.controlplane.ingest.values import milliseconds
from mesh.controlplane.resolve.bounds import shown
from mesh.controlplane.resolve.places import (
    AUTHORITY_OF,
    ISSUER_CREDENTIAL,
    certificate,
    parse_address,
    webhook_authority,
)
from mesh.controlplane.resolve.traffic import TrafficRules
from services.contracts import MethodContract

_KIB, _MIB = 1024, 1024 * 1024
_TLS = {"TLSV1_2": model.TlsVersion.V1_2, "TLSV1_3": model.TlsVersion.V1_3}
_SERVER_ERRORS = {
    model.RetryCause.SERVER_ERROR,
    model.RetryCause.GATEWAY_ERROR,
    model.RetryCause.RESET,
    model.RetryCause.RESET_BEFORE_REQUEST,
    model.RetryCause.CONNECT_FAILURE,
    model.RetryCause.STREAM_REFUSED,
}
"""The outcomes that "5xx" contains."""
_SpecT = TypeVar("_SpecT", bound=shapes.Shape)


@dataclass(frozen=True)
class Around:
    """The inputs of the gateway's part, apart from the traffic policies."""

    resources: list[Resource]
    endpoints: Endpoints
    workload: model.Workload
    routes: tuple[GatewayRoute, ...]
    services: tuple[model.ServiceTarget, ...]
    contracts: Mapping[str, MethodContract]


def resolve_edge(around: Around, traffic: TrafficRules, findings: Findings) -> model.Edge | None:
    """Return the gateway. Notes every error in `findings`; returns None if a part is absent."""
    gateway = _only(around.resources, shapes.GatewaySpec, findings)
    policy = _only(around.resources, edge_policy.EdgePolicySpec, findings)
    rule = None
    with findings.noted(), traffic.all_calls_known():
        rule = the_only(around.resources, shapes.RequestAuthenticationSpec)
    provider = _provider(rule, around, traffic, findings) if rule else None
    if policy:
        for fault in _policy_faults(*policy, around.routes):
            findings.add(fault)
    if not (gateway and policy and rule and provider):
        return None
    return _edge(around, gateway[1], policy[1], rule[1], provider)


def _only(
    resources: list[Resource], spec: type[_SpecT], findings: Findings
) -> tuple[Resource, _SpecT] | None:
    with findings.noted():
        return the_only(resources, spec)
    return None


def _provider(
    found: tuple[Resource, shapes.RequestAuthenticationSpec],
    around: Around,
    traffic: TrafficRules,
    findings: Findings,
) -> model.Partner | None:
    resource, spec = found
    rule = spec.jwt_rules[0]
    with findings.noted():
        with resource.located(("spec", "jwtRules", 0, "jwksUri")):
            provider = traffic.partner(_host(rule), around.workload.name)
            _require_issuer(provider)
        for fault in _fetch_faults(around.resources, rule, provider.traffic):
            findings.add(fault)
        return provider
    return None


def _require_issuer(provider: model.Partner) -> None:
    """Raise MeshFault unless this partner is the provider of customers' tokens.

    The holder of the keys can act as every customer, so an edit cannot name another partner.
    """
    if provider.authority.name != f"{ISSUER_CREDENTIAL}{AUTHORITY_OF}":
        raise MeshFault(
            f"{provider.host} would sign customers' tokens; fetch the keys from the host whose"
            f" credentialName is {ISSUER_CREDENTIAL}"
        )


def _edge(
    around: Around,
    gateway: shapes.GatewaySpec,
    policy: edge_policy.EdgePolicySpec,
    rule: shapes.RequestAuthenticationSpec,
    provider: model.Partner,
) -> model.Edge:
    tls, limits = gateway.servers[0].tls, policy.rate_limits
    classes = {**limits.per_customer, **limits.per_public_address, **limits.per_partner}
    partners = {each.name: tuple(each.principals) for each in policy.partners}
    workload = around.workload
    public = certificate(around.endpoints, tls.credential_name, tls.credential_name)
    return model.Edge(
        workload=replace(
            workload,
            rotating=workload.rotating | {public.name},
            heap_bytes_max=policy.limits.heap_mib * _MIB,
        ),
        listen=parse_address(around.endpoints.gateway.listen),
        certificate=public,
        webhook_authority=webhook_authority(around.endpoints, public.name),
        tls_versions=(_TLS[tls.min_protocol_version], _TLS[tls.max_protocol_version]),
        issuer=_issuer(rule.jwt_rules[0], policy.limits),
        per_address=_bucket(limits.per_address),
        classes=tuple((name, _bucket(bucket)) for name, bucket in sorted(classes.items())),
        large_bodies_per_address=_bucket(limits.large_bodies.per_address),
        large_bodies_total=_bucket(limits.large_bodies.total),
        open_small=_pool(policy.limits.open_bodies.small),
        open_large=_pool(policy.limits.open_bodies.large),
        tracked_max=limits.tracked_max,
        cors=_cors(policy.cors),
        limits=_limits(policy.limits),
        partner_principals=tuple(sorted(partners.items())),
        routes=around.routes,
        services=around.services,
        partners=(provider,),
        contracts=around.contracts,
    )


def _policy_faults(
    resource: Resource, policy: edge_policy.EdgePolicySpec, routes: tuple[GatewayRoute, ...]
) -> Iterator[ConfigFault]:
    if milliseconds(policy.limits.request_timeout) > ARRIVAL_MS_MAX:
        yield resource.fault(
            ("spec", "limits", "requestTimeout"),
            f"set at most {ARRIVAL_MS_MAX // 1000}s: an edit ends requests that arrive more slowly",
        )
    idle_ms = milliseconds(policy.limits.idle_timeout)
    slow = [each for each in routes if each.deadline_ms >= idle_ms]
    for longest in sorted(slow, key=lambda each: (-each.deadline_ms, each.method))[:1]:
        deadline = f"{shown(longest.deadline_ms)}, the deadline of {longest.method}"
        yield resource.fault(
            ("spec", "limits", "idleTimeout"),
            f"idleTimeout {shown(idle_ms)} must be longer than {deadline}: a call that waits for"
            " its answer is idle",
        )
    yield from _memory_faults(resource, policy.limits, routes)
    yield from _unknown(resource, policy, routes)
    yield from _unneeded(resource, policy, routes)


def _memory_faults(
    resource: Resource, limits: edge_policy.Limits, routes: tuple[GatewayRoute, ...]
) -> Iterator[ConfigFault]:
    """Yield pools of open bodies that are larger than the heap, or too small for one body."""
    at = ("spec", "limits", "openBodies")
    pools = limits.open_bodies
    if (pools.small.total_kib + pools.large.total_kib) * _KIB >= limits.heap_mib * _MIB:
        yield resource.fault(at, "both totalKiB together must be less than heapMiB")
    largest = max(each.body_bytes_max for each in routes)
    for name, pool, body in (
        ("small", pools.small, limits.public_body_bytes),
        ("large", pools.large, largest),
    ):
        needed = -(-(REQUEST_BYTES + body) // _KIB)
        if min(pool.per_address_kib, pool.per_site_kib, pool.total_kib) < needed:
            yield resource.fault((*at, name), f"set at least {needed}, the size of one request")


def _unknown(
    resource: Resource, policy: edge_policy.EdgePolicySpec, routes: tuple[GatewayRoute, ...]
) -> Iterator[ConfigFault]:
    """Yield an error for each bucket and partner that a contract names and EdgePolicy lacks."""
    limits = policy.rate_limits
    classes = {*limits.per_customer, *limits.per_public_address, *limits.per_partner}
    for needed in sorted({each.rate_limit_class for each in routes} - classes):
        method = next(each.method for each in routes if each.rate_limit_class == needed)
        problem = f"{method}: add the bucket {needed} to EdgePolicy"
        yield resource.fault(("spec", "rateLimits"), problem)
    named = {partner for each in routes for partner in each.partners}
    for needed in sorted(named - {each.name for each in policy.partners}):
        method = next(each.method for each in routes if needed in each.partners)
        problem = f"{method}: add the partner {needed} to EdgePolicy"
        yield resource.fault(("spec", "partners"), problem)


def _unneeded(
    resource: Resource, policy: edge_policy.EdgePolicySpec, routes: tuple[GatewayRoute, ...]
) -> Iterator[ConfigFault]:
    """Yield an error for each bucket and partner that no contract names: it has no effect."""
    classes = {each.rate_limit_class for each in routes}
    named = {partner for each in routes for partner in each.partners}
    limits = policy.rate_limits
    buckets = [("perCustomer", each) for each in limits.per_customer]
    buckets += [("perPublicAddress", each) for each in limits.per_public_address]
    buckets += [("perPartner", each) for each in limits.per_partner]
    for kind, each in buckets:
        if each not in classes:
            place = ("spec", "rateLimits", kind, each)
            yield resource.fault(place, f"no contract has the class {each}")
    for index, partner in enumerate(policy.partners):
        if partner.name not in named:
            place = ("spec", "partners", index)
            yield resource.fault(place, f"no contract has the partner {partner.name}")


def _host(rule: shapes.JwtRule) -> str:
    return urlsplit(rule.jwks_uri).netloc


def _issuer(rule: shapes.JwtRule, limits: edge_policy.Limits) -> model.TokenIssuer:
    return model.TokenIssuer(
        issuer=rule.issuer,
        audiences=tuple(rule.audiences),
        jwks_uri=rule.jwks_uri,
        jwks_partner=_host(rule),
        timeout_ms=milliseconds(rule.timeout),
        lifetime_ms_max=milliseconds(limits.token_lifetime),
        claim_headers=tuple((each.claim, each.header) for each in rule.output_claim_to_headers),
    )


def _fetch_faults(
    resources: list[Resource], rule: shapes.JwtRule, traffic: model.Traffic
) -> Iterator[ConfigFault]:
    """Yield settings that Envoy cannot apply to a fetch of keys, which does not use a route.

    A fetch has one timeout, set by RequestAuthentication, and retries after every server error.
    """
    routes = of_kind(resources, shapes.VirtualServiceSpec)
    resource = next((each for each, spec in routes if _host(rule) in spec.hosts), None)
    if resource is None:
        return
    at = ("spec", "http", 0)
    if traffic.timeout_ms != milliseconds(rule.timeout):
        yield resource.fault((*at, "timeout"), "set the timeout of the jwtRules; only it applies")
    if traffic.retry is None:
        return
    causes = set(traffic.retry.on)
    if model.RetryCause.SERVER_ERROR not in causes or not causes <= _SERVER_ERRORS:
        yield resource.fault(
            (*at, "retries", "retryOn"),
            "set 5xx: keys are fetched again after every server error and after nothing else",
        )
    if (traffic.retry.per_try_timeout_ms or 0) < traffic.retry.backoff_ms:
        yield resource.fault(
            (*at, "retries"), "set a perTryTimeout that is not shorter than backoff"
        )


def _bucket(bucket: edge_policy.Bucket) -> model.Bucket:
    return model.Bucket(bucket.per_second, bucket.burst)


def _pool(found: edge_policy.OpenBodiesPool) -> PoolLimits:
    limits = (found.per_address_kib, found.per_site_kib, found.total_kib)
    return PoolLimits(*(kib * _KIB for kib in limits))


def _cors(cors: edge_policy.Cors) -> model.Cors:
    return model.Cors(
        allow_origins=tuple(cors.allow_origins),
        allow_headers=tuple(cors.allow_headers),
        expose_headers=tuple(cors.expose_headers),
        max_age_s=milliseconds(cors.max_age) // 1000,
    )


def _limits(limits: edge_policy.Limits) -> model.EdgeLimits:
    return model.EdgeLimits(
        body_bytes=limits.body_bytes,
        public_body_bytes=limits.public_body_bytes,
        headers_kib=limits.headers_kib,
        headers_count=limits.headers_count,
        request_timeout_ms=milliseconds(limits.request_timeout),
        idle_timeout_ms=milliseconds(limits.idle_timeout),
    )
