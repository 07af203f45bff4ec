"""The intended state of the mesh, resolved: every name has an address, every reference an object.

Plain frozen values that use neither Istio's nor Envoy's types. `resolve` creates them and
`translate` reads them. Times are in milliseconds; addresses are host and port, or a socket path.
Text that SREs write in Envoy's own language is in `passed_on`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from gateway.open_bodies import PoolLimits
from gateway.routes import GatewayRoute
from services.contracts import MethodContract


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Grant:
    """One method and the only mesh identities that may call it."""

    path: str
    deadline_ms: int
    principals: tuple[str, ...]


class RetryCause(Enum):
    """An outcome after which a call is retried. GRPC_… are the status codes of gRPC."""

    SERVER_ERROR = auto()
    """A 5xx response, or no response."""
    GATEWAY_ERROR = auto()
    """A response with status 502, 503 or 504."""
    CONFLICT = auto()
    """A response with status 409."""
    RATE_LIMITED = auto()
    """A proxy's rate limit rejected the call."""
    RESET = auto()
    """No response: the connection or the stream broke, or the call timed out."""
    RESET_BEFORE_REQUEST = auto()
    """The stream broke before the request was sent."""
    CONNECT_FAILURE = auto()
    """The connection failed."""
    STREAM_REFUSED = auto()
    """The server refused the stream before it processed anything."""
    GRPC_CANCELLED = auto()
    GRPC_DEADLINE_EXCEEDED = auto()
    GRPC_INTERNAL = auto()
    GRPC_RESOURCE_EXHAUSTED = auto()
    GRPC_UNAVAILABLE = auto()


@dataclass(frozen=True, slots=True)
class Retry:
    """How a call is retried. `backoff_ms` is the base of the wait before each retry."""

    attempts: int
    on: tuple[RetryCause, ...]
    per_try_timeout_ms: int | None
    backoff_ms: int


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failures` in a row eject the address for `open_ms`; an open breaker answers at once.

    A failure is a 5xx response or no response; 0 means that failures do not count. `reach_failures`
    is the limit for failures to connect, which are then counted separately.
    """

    failures: int
    reach_failures: int | None
    open_ms: int
    interval_ms: int
    ejected_percent_max: int


@dataclass(frozen=True, slots=True)
class Pool:
    """Limits on connections and requests to one destination."""

    connect_timeout_ms: int
    connections_max: int
    pending_max: int
    requests_max: int
    retries_max: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """Traffic policy for one destination. Without a timeout, each route has its own."""

    timeout_ms: int | None
    retry: Retry | None
    breaker: Breaker | None
    pool: Pool
    least_request: bool


class TlsVersion(Enum):
    """A version of TLS that the bank supports."""

    V1_2 = auto()
    V1_3 = auto()


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate chain and its key. A rename in the folder `watched` signals a new one."""

    name: str
    cert: Path
    key: Path
    watched: Path


@dataclass(frozen=True, slots=True)
class AuthorityFile:
    """The certificates of trusted issuers, in one PEM file."""

    name: str
    ca: Path
    watched: Path


@dataclass(frozen=True, slots=True)
class Partner:
    """An outside host that workloads call through their sidecar, which adds TLS."""

    host: str
    place: Address
    authority_sent: str
    """The host that the partner sees in a request."""
    sni: str
    subject_names: tuple[str, ...]
    authority: AuthorityFile
    client: CertificateFiles | None
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class ServiceTarget:
    """A service of the mesh, as its callers see it."""

    name: str
    identity: str
    host: str
    """The name in config/, such as "customers.bp.svc.cluster.local"."""
    place: Address
    methods: tuple[Grant, ...]
    grpc_services: tuple[str, ...]
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class Workload:
    """The part that all proxies share: an identity, certificates and an admin address."""

    name: str
    identity: str
    certificate: CertificateFiles
    authority: AuthorityFile
    admin_socket: Path
    """The Unix socket of the admin page, which can stop the proxy. Only its user can open it."""
    rotating: frozenset[str]
    """Names of the secrets that are renewed while the proxy runs."""
    connections_max: int
    """The connections that the proxy accepts."""
    heap_bytes_max: int | None = None
    """The memory with which the proxy refuses requests; None means no limit."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The proxy of one service."""

    workload: Workload
    peer_prefix: str
    """A peer may connect if its identity has this prefix; grants then decide on each call."""
    listen: Address | None
    app_sockets: tuple[Path, ...]
    outbound_socket: Path
    grants: tuple[Grant, ...]
    services: tuple[ServiceTarget, ...]
    partners: tuple[Partner, ...]


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket: `per_second` refill, `burst` size."""

    per_second: int
    burst: int


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """The accepted issuer of customer tokens, and the claims that become headers."""

    issuer: str
    audiences: tuple[str, ...]
    jwks_uri: str
    jwks_partner: str
    timeout_ms: int
    """The timeout of one fetch of the keys, with all its retries."""
    lifetime_ms_max: int
    """A token is refused if it is still valid for longer than this when a request presents it."""
    claim_headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Cors:
    """The web origins that may call the gateway."""

    allow_origins: tuple[str, ...]
    allow_headers: tuple[str, ...]
    expose_headers: tuple[str, ...]
    max_age_s: int


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """How large one request may be and how long it may take to arrive."""

    body_bytes: int
    public_body_bytes: int
    """The largest body of a public method that has no limit of its own."""
    headers_kib: int
    headers_count: int
    request_timeout_ms: int
    idle_timeout_ms: int


@dataclass(frozen=True, slots=True)
class Edge:
    """The gateway's proxy."""

    workload: Workload
    listen: Address
    certificate: CertificateFiles
    webhook_authority: AuthorityFile
    """Signs the client certificates with which partners call the gateway."""
    tls_versions: tuple[TlsVersion, TlsVersion]
    """The lowest and the highest accepted version."""
    issuer: TokenIssuer
    per_address: Bucket
    classes: tuple[tuple[str, Bucket], ...]
    large_bodies_per_address: Bucket
    large_bodies_total: Bucket
    open_small: PoolLimits
    open_large: PoolLimits
    tracked_max: int
    cors: Cors
    limits: EdgeLimits
    partner_principals: tuple[tuple[str, tuple[str, ...]], ...]
    routes: tuple[GatewayRoute, ...]
    services: tuple[ServiceTarget, ...]
    partners: tuple[Partner, ...]
    contracts: Mapping[str, MethodContract]
    """The contracts with which bodies and queries are checked."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """All proxies of the mesh."""

    sidecars: tuple[Sidecar, ...]
    edge: Edge
