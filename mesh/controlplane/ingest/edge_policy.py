"""EdgePolicy, the only kind that the bank defines, field by field.

Istio has no field for token buckets by customer, CORS of a whole gateway, the size of requests or
a partner's identity.
"""

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


class Bucket(Shape):
    """A token bucket."""

    per_second: Count
    burst: Count


class RateLimits(Shape):
    """The gateway's buckets, by address, customer and partner, for each class of the contracts."""

    per_address: Bucket
    per_customer: dict[Literal["READ", "WRITE"], Bucket]
    per_partner: dict[Literal["WEBHOOK"], Bucket]
    tracked_max: Annotated[int, Field(ge=1, le=1_000_000)]


class Cors(Shape):
    """The web origins that may call the gateway."""

    allow_origins: Annotated[list[Origin], Field(min_length=1), AfterValidator(once)]
    allow_headers: Annotated[list[HeaderName], AfterValidator(once)]
    expose_headers: Annotated[list[HeaderName], AfterValidator(once)]
    max_age: Seconds


class Limits(Shape):
    """The largest request, the longest wait and the longest-lived token at the gateway."""

    body_bytes: Annotated[Count, Field(ge=1024)]
    headers_kib: Annotated[int, Field(ge=1, le=96, alias="headersKiB")]
    headers_count: Annotated[Count, Field(ge=10)]
    request_timeout: Duration
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
