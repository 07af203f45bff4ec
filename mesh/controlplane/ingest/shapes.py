"""The Istio kinds that this control plane supports, field by field.

Names and meanings are Istio's own. Any other field is rejected with file and line: a cluster would
apply it, but one machine would not. `EdgePolicy` is the only kind that the bank defines,
because Istio has no field for token buckets by customer or for a partner's identity.
"""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mesh.controlplane.ingest.shape import CLUSTER_ONLY, Shape
from mesh.controlplane.ingest.values import Duration, Name, RetryCondition, SpiffeId, split


class Metadata(Shape):
    """The metadata of every resource. All resources are in the bank's one namespace."""

    name: Name
    namespace: Literal["bp"]


class GatewayPort(Shape):
    """The port of the gateway, which always uses TLS."""

    number: Annotated[int, Field(ge=1, le=65535), CLUSTER_ONLY]
    name: Annotated[str, CLUSTER_ONLY]
    protocol: Literal["HTTPS"]


class PartnerPort(Shape):
    """The port of a partner: services send plain HTTP to their sidecar, which adds TLS."""

    number: Literal[80]
    name: Annotated[str, CLUSTER_ONLY]
    protocol: Literal["HTTP"]
    target_port: Literal[443]


class Selector(Shape):
    """The workload to which a rule applies, by its label `app`."""

    match_labels: dict[Literal["app"], str]


class OfGateway(Shape):
    """The gateway as the workload to which a rule applies."""

    match_labels: dict[Literal["app"], Literal["gateway"]]


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

    selector: dict[Literal["app"], Literal["gateway"]]
    servers: Annotated[list[GatewayServer], Field(min_length=1, max_length=1)]


class Retries(Shape):
    """How often a request is retried, after which outcomes and with which back-off."""

    attempts: Annotated[int, Field(ge=0, le=10)]
    per_try_timeout: Duration | None = None
    retry_on: Annotated[tuple[RetryCondition, ...] | None, BeforeValidator(split)] = None
    backoff: Duration | None = None


class Destination(Shape):
    """A host of the mesh or a partner."""

    host: str


class HttpDestination(Shape):
    """The destination of a route. Weights are not supported."""

    destination: Destination


class HttpRoute(Shape):
    """One route with its timeout and retries."""

    route: Annotated[list[HttpDestination], Field(min_length=1, max_length=1)]
    timeout: Duration | None = None
    retries: Retries | None = None

    @model_validator(mode="after")
    def _tries_fit(self) -> Self:
        per_try = self.retries.per_try_timeout if self.retries else None
        if self.timeout and per_try and per_try > self.timeout:
            raise ValueError("retries.perTryTimeout is longer than timeout and has no effect")
        return self


class VirtualServiceSpec(Shape):
    """The route of some hosts; the timeouts of methods come from the contracts."""

    hosts: Annotated[list[str], Field(min_length=1)]
    http: Annotated[list[HttpRoute], Field(min_length=1, max_length=1)]


class TcpPool(Shape):
    """Limits on connections to a host."""

    max_connections: Annotated[int, Field(ge=1)] | None = None
    connect_timeout: Duration | None = None


class HttpPool(Shape):
    """Limits on requests to a host; a request above a limit fails at once."""

    http1_max_pending_requests: Annotated[int, Field(ge=1)] | None = None
    http2_max_requests: Annotated[int, Field(ge=1)] | None = None
    max_retries: Annotated[int, Field(ge=0)] | None = None


class ConnectionPool(Shape):
    """Limits on connections and on requests."""

    tcp: TcpPool | None = None
    http: HttpPool | None = None


class OutlierDetection(Shape):
    """The circuit breaker: after how many failures it opens, and for how long."""

    consecutive_5xx_errors: Annotated[int, Field(ge=0, alias="consecutive5xxErrors")]
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: Annotated[int, Field(ge=1)] | None = None
    interval: Duration
    base_ejection_time: Duration
    max_ejection_percent: Annotated[int, Field(ge=0, le=100)]
    min_health_percent: Literal[0]


class ClientTls(Shape):
    """How a proxy connects: TLS, TLS with a client certificate, or the mesh's own mTLS."""

    mode: Literal["SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]
    credential_name: str | None = None
    sni: str | None = None
    subject_alt_names: list[str] = Field(default_factory=list)


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

    host: str
    workload_selector: Selector | None = None
    traffic_policy: TrafficPolicy


class ServiceEntrySpec(Shape):
    """The hosts of a partner outside the mesh."""

    hosts: Annotated[list[str], Field(min_length=1)]
    ports: Annotated[list[PartnerPort], Field(min_length=1, max_length=1)]
    location: Literal["MESH_EXTERNAL"]
    resolution: Literal["DNS"]


class SidecarEgress(Shape):
    """The hosts that a workload may call."""

    hosts: list[str]


class OutboundTrafficPolicy(Shape):
    """A workload cannot call a host that is not listed."""

    mode: Literal["REGISTRY_ONLY"]


class WorkloadSelector(Shape):
    """The workload of a Sidecar, by its label `app`."""

    labels: dict[Literal["app"], str]


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

    claim: str
    header: Annotated[str, Field(pattern=r"^x-bp-[a-z-]+$")]


class JwtRule(Shape):
    """One issuer of tokens, its keys and its audience."""

    issuer: str
    audiences: Annotated[list[str], Field(min_length=1)]
    jwks_uri: Annotated[str, Field(pattern=r"^https://[a-z0-9.-]+(/\S*)?$")]
    forward_original_token: Literal[False] = False
    output_claim_to_headers: list[ClaimToHeader]
    timeout: Duration


class RequestAuthenticationSpec(Shape):
    """The issuer whose tokens a workload accepts."""

    selector: OfGateway
    jwt_rules: Annotated[list[JwtRule], Field(min_length=1, max_length=1)]


class LogFilter(Shape):
    """Which requests are logged, as a CEL expression."""

    expression: str


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


class Bucket(Shape):
    """A token bucket."""

    per_second: Annotated[int, Field(ge=1)]
    burst: Annotated[int, Field(ge=1)]


class RateLimits(Shape):
    """The gateway's buckets, by address, customer and partner, for each class of the contracts."""

    per_address: Bucket
    per_customer: dict[Literal["READ", "WRITE"], Bucket]
    per_partner: dict[Literal["WEBHOOK"], Bucket]
    tracked_max: Annotated[int, Field(ge=1, le=1_000_000)]


class Cors(Shape):
    """The web origins that may call the gateway."""

    allow_origins: list[str]
    allow_headers: list[str]
    expose_headers: list[str]
    max_age: Duration


class Limits(Shape):
    """The largest request, the longest wait and the longest-lived token at the gateway."""

    body_bytes: Annotated[int, Field(ge=1024)]
    headers_kib: Annotated[int, Field(ge=1, le=96, alias="headersKiB")]
    headers_count: Annotated[int, Field(ge=10)]
    request_timeout: Duration
    token_lifetime: Duration
    idle_timeout: Duration


class PartnerIdentity(Shape):
    """A partner and the certificate names that it may use."""

    name: str
    principals: Annotated[list[SpiffeId], Field(min_length=1)]


class EdgePolicySpec(Shape):
    """Rules for which Istio has no kind: token buckets, CORS, limits, partners."""

    rate_limits: RateLimits
    cors: Cors
    limits: Limits
    partners: list[PartnerIdentity]


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
