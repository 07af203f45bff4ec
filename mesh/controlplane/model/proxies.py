"""Workloads and their proxies, the services and partners that they reach, and the gateway."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from gateway.open_bodies import PoolLimits
from gateway.routes import GatewayRoute
from mesh.controlplane.model.access import Grant, Policy
from mesh.controlplane.model.routes import Route
from mesh.controlplane.model.traffic import Traffic
from services.contracts import MethodContract


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address."""

    host: str
    port: int


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
    routes: tuple[Route, ...] = ()
    """In the order in which they are tried; the last one applies to every request."""


class InstanceState(Enum):
    """Whether an instance gets new calls."""

    READY = auto()
    DRAINING = auto()
    """It finishes its calls and gets no new ones."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One process of a service, with the address of its sidecar."""

    place: Address
    version: str = ""
    """The label `version`; empty means that it has none."""
    state: InstanceState = InstanceState.READY
    number: int = 0
    """The number in the name of its proxy."""


@dataclass(frozen=True, slots=True)
class Subset:
    """Some instances of a service, with the traffic policy that applies to them."""

    name: str
    instances: tuple[Instance, ...]
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class ServiceTarget:
    """A service of the mesh, as one caller sees it. Equal targets of callers are one object."""

    name: str
    identity: str
    host: str
    """The name in config/, such as "customers.bp.svc.cluster.local"."""
    place: Address
    """The address of the first instance."""
    methods: tuple[Grant, ...]
    grpc_services: tuple[str, ...]
    traffic: Traffic
    instances: tuple[Instance, ...] = ()
    subsets: tuple[Subset, ...] = ()
    """Only those that a route names."""
    routes: tuple[Route, ...] = ()
    """In the order in which they are tried; the last one applies to every request."""


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
    instance: int = 0
    """The number of the process, if a service has several."""

    @property
    def node(self) -> str:
        """The id of the proxy, as Envoy has it in `node.id`."""
        return f"{self.name}-{self.instance}"

    @property
    def folder(self) -> str:
        """The name of the proxy's folder: the service's, or the node's for further instances."""
        return self.node if self.instance else self.name


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
    policies: tuple[Policy, ...] = ()
    """What SREs deny in addition to the grants."""
    unproxied: tuple[str, ...] = ()
    """Databases and brokers that the service calls directly, not through its proxy."""


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
    instances: Mapping[str, tuple[Instance, ...]] = field(
        default_factory=dict[str, tuple[Instance, ...]]
    )
    """By service, also of one that no workload calls. A service without calls in has none."""
