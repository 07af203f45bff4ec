"""The Istio kinds that this control plane supports, field by field.

Names and meanings are Istio's own. Any other field is rejected with file and line: a cluster would
apply it, but one machine would not. The bank's own kind, EdgePolicy, is in edge_policy.py.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mesh.controlplane.ingest.edge_policy import EdgePolicySpec
from mesh.controlplane.ingest.expression import logged
from mesh.controlplane.ingest.shape import Shape
from mesh.controlplane.ingest.values import (
    Count,
    CountOrZero,
    Duration,
    Host,
    HostPattern,
    HttpsUri,
    Name,
    RetryCondition,
    Visible,
    once,
    split,
)

_NO_HOST = "~/*"


class Metadata(Shape):
    """The metadata of every resource. All resources are in the bank's one namespace."""

    name: Name
    namespace: Literal["bp"]


class GatewayPort(Shape):
    """The gateway's public port. The endpoints file has the port on which it listens."""

    number: Literal[443]
    name: Literal["https"]
    protocol: Literal["HTTPS"]


class PartnerPort(Shape):
    """The port of a partner: services send plain HTTP to their sidecar, which adds TLS."""

    number: Literal[80]
    name: Literal["http"]
    protocol: Literal["HTTP"]
    target_port: Literal[443]


class Selector(Shape):
    """The workload to which a rule applies, by its label `app`."""

    match_labels: Annotated[dict[Literal["app"], Name], Field(min_length=1)]


class OfGateway(Shape):
    """The gateway as the workload to which a rule applies."""

    match_labels: Annotated[dict[Literal["app"], Literal["gateway"]], Field(min_length=1)]


class GatewayTls(Shape):
    """The gateway's TLS; a client certificate is optional and identifies a partner."""

    mode: Literal["OPTIONAL_MUTUAL"]
    credential_name: Literal["edge"]
    min_protocol_version: Literal["TLSV1_2", "TLSV1_3"]
    max_protocol_version: Literal["TLSV1_2", "TLSV1_3"]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_protocol_version > self.max_protocol_version:
            raise ValueError("minProtocolVersion is above maxProtocolVersion")
        return self


class GatewayServer(Shape):
    """One listener of the gateway."""

    port: GatewayPort
    hosts: Annotated[list[Literal["*"]], Field(min_length=1, max_length=1)]
    tls: GatewayTls


class GatewaySpec(Shape):
    """The gateway: one server for all hosts."""

    selector: Annotated[dict[Literal["app"], Literal["gateway"]], Field(min_length=1)]
    servers: Annotated[list[GatewayServer], Field(min_length=1, max_length=1)]


RetryConditions = Annotated[
    tuple[RetryCondition, ...], Field(min_length=1), AfterValidator(once), BeforeValidator(split)
]


class Retries(Shape):
    """How often a request is retried, after which outcomes and with which back-off."""

    attempts: Annotated[int, Field(ge=0, le=10)]
    per_try_timeout: Duration | None = None
    retry_on: RetryConditions | None = None
    backoff: Duration | None = None


class Destination(Shape):
    """A host of the mesh or a partner."""

    host: HostPattern


class HttpDestination(Shape):
    """The destination of a route. Weights are not supported."""

    destination: Destination


class Rewrite(Shape):
    """The host that a partner sees in a request instead of the name by which the mesh calls it."""

    authority: Host


class HttpRoute(Shape):
    """One route with its timeout and retries."""

    route: Annotated[list[HttpDestination], Field(min_length=1, max_length=1)]
    rewrite: Rewrite | None = None
    timeout: Duration | None = None
    retries: Retries | None = None


class VirtualServiceSpec(Shape):
    """The route of some hosts; the timeouts of methods come from the contracts."""

    hosts: Annotated[list[HostPattern], Field(min_length=1), AfterValidator(once)]
    http: Annotated[list[HttpRoute], Field(min_length=1, max_length=1)]


class TcpPool(Shape):
    """Limits on connections to a host."""

    max_connections: Count | None = None
    connect_timeout: Duration | None = None


class HttpPool(Shape):
    """Limits on requests to a host; a request above a limit fails at once.

    Istio reads 0 as no limit, so here it is an error.
    """

    http1_max_pending_requests: Count | None = None
    http2_max_requests: Count | None = None
    max_retries: Count | None = None


class ConnectionPool(Shape):
    """Limits on connections and on requests."""

    tcp: TcpPool | None = None
    http: HttpPool | None = None


class OutlierDetection(Shape):
    """The circuit breaker: after how many failures it opens, and for how long.

    Istio replaces maxEjectionPercent 0 by Envoy's default of 10, so here it is an error.
    """

    consecutive_5xx_errors: Annotated[CountOrZero, Field(alias="consecutive5xxErrors")]
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: Count | None = None
    interval: Duration
    base_ejection_time: Duration
    max_ejection_percent: Annotated[int, Field(ge=1, le=100)]
    min_health_percent: Literal[0]


SubjectAltNames = Annotated[list[Host], Field(min_length=1), AfterValidator(once)]


class ClientTls(Shape):
    """How a proxy connects: TLS, TLS with a client certificate, or the mesh's own mTLS."""

    mode: Literal["SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]
    credential_name: Name | None = None
    sni: Host | None = None
    subject_alt_names: SubjectAltNames | None = None


class LoadBalancer(Shape):
    """The load balancing between several endpoints."""

    simple: Literal["ROUND_ROBIN", "LEAST_REQUEST"]


class TrafficPolicy(Shape):
    """The traffic policy for connections to one host."""

    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTls


class DestinationRuleSpec(Shape):
    """The traffic policy of a host, for all callers or for one workload."""

    host: HostPattern
    workload_selector: Selector | None = None
    traffic_policy: TrafficPolicy


class Endpoint(Shape):
    """The host at whose address a partner is reached."""

    address: Host


class ServiceEntrySpec(Shape):
    """The hosts of a partner outside the mesh; each is at its own address, or all at one."""

    hosts: Annotated[list[Host], Field(min_length=1), AfterValidator(once)]
    ports: Annotated[list[PartnerPort], Field(min_length=1, max_length=1)]
    location: Literal["MESH_EXTERNAL"]
    resolution: Literal["DNS"]
    endpoints: Annotated[list[Endpoint], Field(min_length=1, max_length=1)] | None = None


def _none_or_some(hosts: list[str]) -> list[str]:
    if _NO_HOST in hosts and len(hosts) > 1:
        raise ValueError(f"{_NO_HOST} allows no host; remove it, or the other hosts")
    return hosts


class SidecarEgress(Shape):
    """The hosts that a workload may call; "~/*" allows none. Istio refuses an empty list."""

    hosts: Annotated[
        list[Visible], Field(min_length=1), AfterValidator(once), AfterValidator(_none_or_some)
    ]


class OutboundTrafficPolicy(Shape):
    """A workload cannot call a host that is not listed."""

    mode: Literal["REGISTRY_ONLY"]


class WorkloadSelector(Shape):
    """The workload of a Sidecar, by its label `app`."""

    labels: Annotated[dict[Literal["app"], Name], Field(min_length=1)]


class SidecarSpec(Shape):
    """The outgoing calls that one workload's proxy allows."""

    workload_selector: WorkloadSelector | None = None
    egress: Annotated[list[SidecarEgress], Field(min_length=1, max_length=1)]
    outbound_traffic_policy: OutboundTrafficPolicy


class Mtls(Shape):
    """STRICT: sidecars reject plain-text connections."""

    mode: Literal["STRICT"]


class PeerAuthenticationSpec(Shape):
    """The policy by which sidecars accept only mutual TLS."""

    mtls: Mtls


class AuthorizationPolicySpec(Shape):
    """Empty: only the access that the control plane derives from the contracts is allowed."""


class ClaimToHeader(Shape):
    """A claim of the token that the gateway passes to services as a header."""

    claim: Literal["sub", "scope", "sid", "device", "auth_time"]
    header: Literal["x-bp-subject", "x-bp-scope", "x-bp-session", "x-bp-device", "x-bp-auth-time"]

    @model_validator(mode="after")
    def _is_read(self) -> Self:
        if _CLAIM_HEADERS[self.claim] != self.header:
            raise ValueError(f"services read {self.claim} from {_CLAIM_HEADERS[self.claim]}")
        return self


_CLAIM_HEADERS = {
    "sub": "x-bp-subject",
    "scope": "x-bp-scope",
    "sid": "x-bp-session",
    "device": "x-bp-device",
    "auth_time": "x-bp-auth-time",
}
"""The gateway sets the other x-bp- headers itself, and services read no header but these."""


def _all_claims(found: list[ClaimToHeader]) -> list[ClaimToHeader]:
    claims = once([each.claim for each in found])
    for each in sorted(_CLAIM_HEADERS.keys() - claims):
        raise ValueError(f"add the claim {each}, which services need")
    return found


class JwtRule(Shape):
    """One issuer of tokens, its keys and its audience."""

    issuer: HttpsUri
    audiences: Annotated[list[Visible], Field(min_length=1), AfterValidator(once)]
    jwks_uri: HttpsUri
    forward_original_token: Literal[False] = False
    output_claim_to_headers: Annotated[list[ClaimToHeader], AfterValidator(_all_claims)]
    timeout: Duration


class RequestAuthenticationSpec(Shape):
    """The issuer whose tokens a workload accepts."""

    selector: OfGateway
    jwt_rules: Annotated[list[JwtRule], Field(min_length=1, max_length=1)]


class LogFilter(Shape):
    """Which requests are logged, as a CEL expression."""

    expression: Annotated[str, AfterValidator(logged)]


class LogProvider(Shape):
    """The program that writes the access log."""

    name: Literal["envoy"]


class AccessLogging(Shape):
    """The access log and its filter."""

    providers: Annotated[list[LogProvider], Field(min_length=1, max_length=1)]
    filter: LogFilter


class TelemetrySpec(Shape):
    """The telemetry of the proxies."""

    access_logging: Annotated[list[AccessLogging], Field(min_length=1, max_length=1)]


SPECS: dict[tuple[str, str], type[Shape]] = {
    ("networking.istio.io/v1", "Gateway"): GatewaySpec,
    ("networking.istio.io/v1", "VirtualService"): VirtualServiceSpec,
    ("networking.istio.io/v1", "DestinationRule"): DestinationRuleSpec,
    ("networking.istio.io/v1", "ServiceEntry"): ServiceEntrySpec,
    ("networking.istio.io/v1", "Sidecar"): SidecarSpec,
    ("security.istio.io/v1", "PeerAuthentication"): PeerAuthenticationSpec,
    ("security.istio.io/v1", "AuthorizationPolicy"): AuthorizationPolicySpec,
    ("security.istio.io/v1", "RequestAuthentication"): RequestAuthenticationSpec,
    ("telemetry.istio.io/v1", "Telemetry"): TelemetrySpec,
    ("mesh.bp.internal/v1", "EdgePolicy"): EdgePolicySpec,
}
