"""DestinationRule: connections to one host, its circuit breaker, and subsets of its instances."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mesh.controlplane.ingest.shape import Shape
from mesh.controlplane.ingest.shapes.metadata import ExportTo, Selector
from mesh.controlplane.ingest.values import (
    Count,
    CountOrZero,
    Duration,
    Host,
    HostPattern,
    LowerName,
    Name,
    once,
)

_RING_MAX = 65_536
"""Enough for hundreds of instances. With 8,388,608, which Envoy accepts, each cluster takes 200 MiB
in each proxy, and a second of CPU whenever an instance comes or goes."""
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$")]


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
    idle_timeout: Duration | None = None
    max_requests_per_connection: Count | None = None
    max_concurrent_streams: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None


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


class RingHash(Shape):
    """The ring on which values are placed."""

    minimum_ring_size: Annotated[int, Field(ge=1, le=_RING_MAX)]


class ConsistentHash(Shape):
    """Requests with the same value of a header go to the same instance."""

    http_header_name: LowerName
    ring_hash: RingHash | None = None


class LoadBalancer(Shape):
    """The load balancing between several instances."""

    simple: Literal["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM"] | None = None
    consistent_hash: ConsistentHash | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.simple is None) == (self.consistent_hash is None):
            raise ValueError("set either simple or consistentHash")
        return self


class SubsetPolicy(Shape):
    """What differs for a subset. As in Istio, each field replaces the same field of the host."""

    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("set a field or remove trafficPolicy")
        return self


class Subset(Shape):
    """The instances of a service that have a version."""

    name: Name
    labels: Annotated[dict[Literal["version"], Label], Field(min_length=1)]
    traffic_policy: SubsetPolicy | None = None


def _named_apart(found: list[Subset]) -> list[Subset]:
    once([each.name for each in found])
    return found


class TrafficPolicy(Shape):
    """The traffic policy for connections to one host."""

    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTls


class DestinationRuleSpec(Shape):
    """The traffic policy of a host, for all callers or for one workload."""

    CARRIED: ClassVar[frozenset[str]] = frozenset({"export_to"})

    host: HostPattern
    export_to: ExportTo | None = None
    workload_selector: Selector | None = None
    traffic_policy: TrafficPolicy
    subsets: (
        Annotated[list[Subset], Field(min_length=1, max_length=16), AfterValidator(_named_apart)]
        | None
    ) = None
