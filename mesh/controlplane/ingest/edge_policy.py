"""EdgePolicy, the only kind that the bank defines, field by field.

Istio has no field for token buckets by customer, CORS of a whole gateway, the size of requests or
a partner's identity.
"""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mesh.controlplane.ingest.shape import Shape
from mesh.controlplane.ingest.values import (
    Count,
    Duration,
    HeaderName,
    Name,
    Origin,
    Seconds,
    SpiffeId,
    once,
)
from services.contracts import BODY_BYTES_MAX

_AGE_MAX = timedelta(hours=24)
_HEADERS_KIB_MAX = 48
_HEADERS_COUNT_MAX = 80
"""A sidecar accepts 60 KiB and 100 headers, Envoy's defaults; the gateway adds some headers."""
_HEAP_MIB_MIN, _HEAP_MIB_MAX = 64, 65_536


def _kept(span: timedelta) -> timedelta:
    if span > _AGE_MAX:
        raise ValueError("must be at most 24h, because browsers keep an answer no longer")
    return span


class Bucket(Shape):
    """A token bucket."""

    per_second: Count
    burst: Count


class LargeBodies(Shape):
    """The buckets of requests whose body may be larger than `body_bytes`."""

    per_address: Bucket
    total: Bucket


class RateLimits(Shape):
    """The gateway's buckets, by address, customer and partner, for each class of the contracts.

    `per_public_address` is for calls without a token, `per_address` for all requests together. A
    request with a large body also takes a token from both buckets of `large_bodies`.
    """

    per_address: Bucket
    per_customer: dict[Literal["READ", "WRITE"], Bucket]
    per_public_address: dict[Literal["LOGIN", "OTP"], Bucket]
    large_bodies: LargeBodies
    per_partner: dict[Literal["WEBHOOK"], Bucket]
    tracked_max: Annotated[int, Field(ge=1, le=1_000_000)]


class Cors(Shape):
    """The web origins that may call the gateway."""

    allow_origins: Annotated[list[Origin], Field(min_length=1), AfterValidator(once)]
    allow_headers: Annotated[list[HeaderName], AfterValidator(once)]
    expose_headers: Annotated[list[HeaderName], AfterValidator(once)]
    max_age: Annotated[Seconds, AfterValidator(_kept)]


class OpenBodiesPool(Shape):
    """The memory for requests without a token whose bodies have not arrived yet."""

    per_address_kib: Annotated[Count, Field(alias="perAddressKiB")]
    per_site_kib: Annotated[Count, Field(alias="perSiteKiB")]
    total_kib: Annotated[Count, Field(alias="totalKiB")]


class OpenBodies(Shape):
    """One pool for methods with a `body_bytes_max`, one for the other public methods."""

    small: OpenBodiesPool
    large: OpenBodiesPool


class Limits(Shape):
    """The largest request, memory and wait, and the longest-lived token, at the gateway."""

    body_bytes: Annotated[int, Field(ge=1024, le=BODY_BYTES_MAX)]
    public_body_bytes: Annotated[int, Field(ge=1024, le=BODY_BYTES_MAX)]
    open_bodies: OpenBodies
    headers_kib: Annotated[int, Field(ge=1, le=_HEADERS_KIB_MAX, alias="headersKiB")]
    headers_count: Annotated[int, Field(ge=10, le=_HEADERS_COUNT_MAX)]
    request_timeout: Duration
    heap_mib: Annotated[int, Field(ge=_HEAP_MIB_MIN, le=_HEAP_MIB_MAX, alias="heapMiB")]
    token_lifetime: Seconds
    idle_timeout: Duration


class PartnerIdentity(Shape):
    """A partner and the certificate names that it may use."""

    name: Name
    principals: Annotated[list[SpiffeId], Field(min_length=1)]


def _told_apart(partners: list[PartnerIdentity]) -> list[PartnerIdentity]:
    once([each.name for each in partners])
    once([principal for each in partners for principal in each.principals])
    return partners


class EdgePolicySpec(Shape):
    """Rules that Istio has no kind for: token buckets, CORS, limits, partners."""

    rate_limits: RateLimits
    cors: Cors
    limits: Limits
    partners: Annotated[list[PartnerIdentity], AfterValidator(_told_apart)]
