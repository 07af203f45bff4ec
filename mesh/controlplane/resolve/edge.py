"""The gateway's part of the model, built from Gateway, RequestAuthentication and EdgePolicy."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar
from urllib.parse import urlsplit

from gateway.routes import GatewayRoute
from mesh.controlplane import model
from mesh.controlplane.drain import ARRIVAL_MS_MAX
from mesh.controlplane.ingest import shapes
from mesh.controlplane.ingest.endpoints import Endpoints
from mesh.controlplane.ingest.faults import Absent, Fault, Faults, MeshFault
from mesh.controlplane.ingest.resources import Resource, of_kind
from mesh.controlplane.resolve.places import certificate, parse_address, webhook_authority
from mesh.controlplane.resolve.traffic import TrafficRules, milliseconds
from services.contracts import MethodContract

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


def resolve_edge(
    resources: list[Resource],
    endpoints: Endpoints,
    workload: model.Workload,
    routes: tuple[GatewayRoute, ...],
    services: tuple[model.ServiceTarget, ...],
    traffic: TrafficRules,
    contracts: Mapping[str, MethodContract],
) -> model.Edge:
    """Return the gateway. Raises MeshFault for a rate-limit class or partner without config."""
    server = _only(resources, shapes.GatewaySpec).servers[0]
    policy = _only(resources, shapes.EdgePolicySpec)
    rule = _only(resources, shapes.RequestAuthenticationSpec).jwt_rules[0]
    issuer = _issuer(rule, policy.limits)
    provider = traffic.partner(issuer.jwks_partner, workload.name)
    _refuse_other_fetches(resources, issuer, provider.traffic)
    _refuse_slow_arrivals(resources, policy.limits)
    limits = policy.rate_limits
    classes = {**limits.per_customer, **limits.per_partner}
    partners = {each.name: tuple(each.principals) for each in policy.partners}
    _refuse_unknown(routes, set(classes), set(partners))
    _refuse_unneeded(resources, routes)
    public = certificate(endpoints, server.tls.credential_name)
    return model.Edge(
        workload=replace(workload, rotating=workload.rotating | {public.name}),
        listen=parse_address(endpoints.gateway.listen),
        certificate=public,
        webhook_authority=webhook_authority(endpoints),
        tls_versions=(_TLS[server.tls.min_protocol_version], _TLS[server.tls.max_protocol_version]),
        issuer=issuer,
        per_address=_bucket(limits.per_address),
        classes=tuple((name, _bucket(bucket)) for name, bucket in sorted(classes.items())),
        tracked_max=limits.tracked_max,
        cors=_cors(policy.cors),
        limits=_limits(policy.limits),
        partner_principals=tuple(sorted(partners.items())),
        routes=routes,
        services=services,
        partners=(provider,),
        contracts=contracts,
    )


def _refuse_slow_arrivals(resources: list[Resource], limits: shapes.Limits) -> None:
    if milliseconds(limits.request_timeout) > ARRIVAL_MS_MAX:
        [(resource, _)] = of_kind(resources, shapes.EdgePolicySpec)
        raise resource.fault(
            ("spec", "limits", "requestTimeout"),
            f"set at most {ARRIVAL_MS_MAX // 1000}s: an edit ends requests that arrive more slowly",
        )


def _only(resources: list[Resource], spec: type[_SpecT]) -> _SpecT:
    found = of_kind(resources, spec)
    if len(found) != 1:
        raise Absent(f"mesh/config needs exactly one {spec.__name__.removesuffix('Spec')}")
    (_, only), *_ = found
    return only


def _refuse_unknown(
    routes: tuple[GatewayRoute, ...], classes: set[str], partners: set[str]
) -> None:
    for route in routes:
        if route.rate_limit_class not in classes:
            raise MeshFault(
                f"{route.method}: add to EdgePolicy the bucket {route.rate_limit_class}"
            )
        unknown = set(route.partners) - partners
        if unknown:
            raise MeshFault(f"{route.method}: add to EdgePolicy the partner {sorted(unknown)[0]}")


def _refuse_unneeded(resources: list[Resource], routes: tuple[GatewayRoute, ...]) -> None:
    """Refuse buckets and partners of EdgePolicy that no contract names: they have no effect."""
    [(resource, policy)] = of_kind(resources, shapes.EdgePolicySpec)
    classes = {each.rate_limit_class for each in routes}
    named = {partner for each in routes for partner in each.partners}
    limits = policy.rate_limits
    buckets = [("perCustomer", each) for each in limits.per_customer]
    buckets += [("perPartner", each) for each in limits.per_partner]
    faults: list[Fault] = [
        resource.fault(("spec", "rateLimits", kind, each), f"no contract has the class {each}")
        for kind, each in buckets
        if each not in classes
    ]
    faults += [
        resource.fault(("spec", "partners", index), f"no contract has the partner {each.name}")
        for index, each in enumerate(policy.partners)
        if each.name not in named
    ]
    if faults:
        raise Faults(faults)


def _issuer(rule: shapes.JwtRule, limits: shapes.Limits) -> model.TokenIssuer:
    return model.TokenIssuer(
        issuer=rule.issuer,
        audiences=tuple(rule.audiences),
        jwks_uri=rule.jwks_uri,
        jwks_partner=urlsplit(rule.jwks_uri).netloc,
        timeout_ms=milliseconds(rule.timeout),
        lifetime_ms_max=milliseconds(limits.token_lifetime),
        claim_headers=tuple((each.claim, each.header) for each in rule.output_claim_to_headers),
    )


def _refuse_other_fetches(
    resources: list[Resource], issuer: model.TokenIssuer, traffic: model.Traffic
) -> None:
    """Refuse settings that Envoy cannot apply to a fetch of keys, which passes through no route.

    A fetch has one timeout, set by RequestAuthentication, and retries after every server error.
    """
    resource = next(
        each
        for each, spec in of_kind(resources, shapes.VirtualServiceSpec)
        if issuer.jwks_partner in spec.hosts
    )
    at = ("spec", "http", 0)
    if traffic.timeout_ms != issuer.timeout_ms:
        raise resource.fault((*at, "timeout"), "set the timeout of the jwtRules; only it applies")
    if traffic.retry is None:
        return
    causes = set(traffic.retry.on)
    if model.RetryCause.SERVER_ERROR not in causes or not causes <= _SERVER_ERRORS:
        raise resource.fault(
            (*at, "retries", "retryOn"),
            "set 5xx: keys are fetched again after every server error and after nothing else",
        )
    if (traffic.retry.per_try_timeout_ms or 0) < traffic.retry.backoff_ms:
        raise resource.fault(
            (*at, "retries"), "set a perTryTimeout that is not shorter than backoff"
        )


def _bucket(bucket: shapes.Bucket) -> model.Bucket:
    return model.Bucket(bucket.per_second, bucket.burst)


def _cors(cors: shapes.Cors) -> model.Cors:
    return model.Cors(
        allow_origins=tuple(cors.allow_origins),
        allow_headers=tuple(cors.allow_headers),
        expose_headers=tuple(cors.expose_headers),
        max_age_s=milliseconds(cors.max_age) // 1000,
    )


def _limits(limits: shapes.Limits) -> model.EdgeLimits:
    return model.EdgeLimits(
        body_bytes=limits.body_bytes,
        headers_kib=limits.headers_kib,
        headers_count=limits.headers_count,
        request_timeout_ms=milliseconds(limits.request_timeout),
        idle_timeout_ms=milliseconds(limits.idle_timeout),
    )
