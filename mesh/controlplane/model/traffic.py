"""The traffic policy of a destination: pools, retries, circuit breaker, load balancing."""

from dataclasses import dataclass
from enum import Enum, auto


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
    previous_hosts: bool = False
    """Whether a retry may use an address that has already failed for this request."""


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
    idle_timeout_ms: int | None = None
    """A connection without requests is closed after this time; None means the default."""
    requests_per_connection_max: int | None = None
    streams_per_connection_max: int | None = None


class Balancing(Enum):
    """How a request chooses one of several instances."""

    ROUND_ROBIN = auto()
    LEAST_REQUEST = auto()
    """The one with fewer open requests of two that are drawn at random."""
    RANDOM = auto()
    HASH = auto()
    """By a header, on a ring: the same value goes to the same instance."""


@dataclass(frozen=True, slots=True)
class Balancer:
    """The load balancing. The last two fields belong to HASH."""

    sort: Balancing = Balancing.ROUND_ROBIN
    hash_header: str = ""
    """In lower case. A request without it goes to any instance."""
    ring_size_min: int = 1024


@dataclass(frozen=True, slots=True)
class Traffic:
    """Traffic policy for one destination. Without a timeout, each route has its own.

    `timeout_ms` and `retry` are those of the last route, which applies to every request.
    """

    timeout_ms: int | None
    retry: Retry | None
    breaker: Breaker | None
    pool: Pool
    least_request: bool = False
    balancer: Balancer = Balancer()
