"""The mesh as it shall be, resolved: every name has a place, every reference an object.

Plain frozen values, without Istio's words and without Envoy's; `resolve` makes them and
`translate` reads them. Times are milliseconds, addresses are host and port or a socket path.
Text that SREs write in Envoy's own language is not here but in `passed_on`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from gateway.routes import GatewayRoute
from services.contracts import MethodContract


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Grant:
    """One method and the mesh identities that may call it; nobody else may."""

    path: str
    deadline_ms: int
    principals: tuple[str, ...]


class RetryCause(Enum):
    """An outcome after which a call is repeated. GRPC_… are the codes of a gRPC answer."""

    SERVER_ERROR = auto()
    """An answer of 5xx, or none."""
    GATEWAY_ERROR = auto()
    """An answer of 502, 503 or 504."""
    CONFLICT = auto()
    """An answer of 409."""
    RATE_LIMITED = auto()
    """A proxy's rate limit."""
    RESET = auto()
    """No answer: the connection or the stream broke, or time ran out."""
    RESET_BEFORE_REQUEST = auto()
    """The stream broke before the request was sent."""
    CONNECT_FAILURE = auto()
    """No connection."""
    STREAM_REFUSED = auto()
    """The other side refused the stream before it did anything."""
    GRPC_CANCELLED = auto()
    GRPC_DEADLINE_EXCEEDED = auto()
    GRPC_INTERNAL = auto()
    GRPC_RESOURCE_EXHAUSTED = auto()
    GRPC_UNAVAILABLE = auto()


@dataclass(frozen=True, slots=True)
class Retry:
    """How a call is repeated. `backoff_ms` is the base of the wait before each repetition."""

    attempts: int
    on: tuple[RetryCause, ...]
    per_try_timeout_ms: int | None
    backoff_ms: int


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failures` in a row eject the address for `open_ms`; an open breaker answers at once.

    A failure is an answer of 5xx or none; 0 means that none counts. With `reach_failures` the
    failures to connect are counted apart, and that many eject.
    """

    failures: int
    reach_failures: int | None
    open_ms: int
    interval_ms: int
    ejected_percent_max: int


@dataclass(frozen=True, slots=True)
class Pool:
    """Limits towards one destination."""

    connect_timeout_ms: int
    connections_max: int
    pending_max: int
    requests_max: int
    retries_max: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """Traffic policy towards one destination. Without a time-out the routes have their own."""

    timeout_ms: int | None
    retry: Retry | None
    breaker: Breaker | None
    pool: Pool
    least_request: bool


class TlsVersion(Enum):
    """A version of TLS that the bank speaks."""

    V1_2 = auto()
    V1_3 = auto()


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate chain and its key. `watched` is the folder whose renames mean a new one."""

    name: str
    cert: Path
    key: Path
    watched: Path


@dataclass(frozen=True, slots=True)
class AuthorityFile:
    """Certificates that are trusted as issuers, in one PEM file."""

    name: str
    ca: Path
    watched: Path


@dataclass(frozen=True, slots=True)
class Partner:
    """An outside host that workloads reach through their sidecar, by TLS that the sidecar makes."""

    host: str
    place: Address
    sni: str
    subject_names: tuple[str, ...]
    authority: AuthorityFile
    client: CertificateFiles | None
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class ServiceTarget:
    """A service of the mesh as its callers see it."""

    name: str
    identity: str
    host: str
    """The name by which SREs call it, "customers.bp.svc.cluster.local"."""
    place: Address
    methods: tuple[Grant, ...]
    grpc_services: tuple[str, ...]
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class Workload:
    """What every proxy has: its identity, its certificates and its admin address."""

    name: str
    identity: str
    certificate: CertificateFiles
    authority: AuthorityFile
    admin: Address | Path
    """Where the operator's page listens; a sidecar's on a Unix socket of its own user."""
    rotating: frozenset[str]
    """Names of the secrets that are renewed while the proxy runs."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The proxy beside one service."""

    workload: Workload
    peer_prefix: str
    """A peer may connect if its identity begins with this; grants then decide on each call."""
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
    """Whose customer tokens are accepted, and which claims become headers."""

    issuer: str
    audiences: tuple[str, ...]
    jwks_uri: str
    jwks_partner: str
    timeout_ms: int
    claim_headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Cors:
    """Which browser pages may call."""

    allow_origins: tuple[str, ...]
    allow_headers: tuple[str, ...]
    expose_headers: tuple[str, ...]
    max_age_s: int


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """What one request may weigh and how long it may take to arrive."""

    body_bytes: int
    headers_kib: int
    headers_count: int
    request_timeout_ms: int
    idle_timeout_ms: int


@dataclass(frozen=True, slots=True)
class Contracts:
    """The contracts as `services.contracts` reads them, and the descriptor set they come from."""

    methods: Mapping[str, MethodContract]
    descriptor_set: bytes


@dataclass(frozen=True, slots=True)
class Edge:
    """The gateway."""

    workload: Workload
    listen: Address
    certificate: CertificateFiles
    partner_authority: AuthorityFile
    tls_versions: tuple[TlsVersion, TlsVersion]
    """The lowest and the highest."""
    issuer: TokenIssuer
    per_address: Bucket
    classes: tuple[tuple[str, Bucket], ...]
    tracked_max: int
    cors: Cors
    limits: EdgeLimits
    partner_principals: tuple[tuple[str, tuple[str, ...]], ...]
    routes: tuple[GatewayRoute, ...]
    services: tuple[ServiceTarget, ...]
    partners: tuple[Partner, ...]
    contracts: Contracts
    """What bodies and queries are checked and transcoded by."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """Everything."""

    sidecars: tuple[Sidecar, ...]
    edge: Edge
