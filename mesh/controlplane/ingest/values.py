"""The values of Istio's fields: durations, counts, names, and lists without duplicates.

A value that Envoy would refuse, truncate or treat as unlimited is refused here, where its line is
known.
"""

import re
from collections.abc import Hashable, Sequence
from datetime import timedelta
from fractions import Fraction
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from mesh.controlplane.ingest import regexes

_DURATION = re.compile(
    r"(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+(?:\.[0-9]+)?)s)?(?:([0-9]+)ms)?", re.ASCII
)
_DURATION_CHARS_MAX = 32
_UNITS_MS = (3_600_000, 60_000, 1000, 1)
_DURATION_HOURS_MAX = 8760
_UINT32_MAX = 2**32 - 1
_HOST_CHARS_MAX = 253
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = rf"{_LABEL}(\.{_LABEL})*"
_ORIGIN = rf"(http|https)://{_HOST}(:[0-9]{{1,5}})?"
_DEFAULT_PORTS = (("http:", ":80"), ("https:", ":443"))
_PERCENT_MAX = 100
_PARTS_OF_PERCENT = 10_000
_ROUNDING = 1e-6
_PROTECTED = {
    *("host", "authorization", "content-length", "content-type", "connection", "te", "upgrade"),
    *("transfer-encoding", "grpc-status", "grpc-message", "grpc-timeout", "traceparent"),
    *("x-request-id", "idempotency-key", "cookie", "set-cookie", "x-api-key", "forwarded"),
    *("x-http-method", "x-http-method-override", "x-method-override"),
    *("x-original-url", "x-rewrite-url", "cache-control", "strict-transport-security"),
    "x-content-type-options",
}
_PROTECTED_PREFIXES = ("x-bp-", "x-forwarded-", "x-envoy-", "grpc-", "x-amz-", "access-control-")
_BINARY = "-bin"
"""The ending of a header of gRPC whose value is not text, such as the details of an error."""
_HeldT = TypeVar("_HeldT", bound=Hashable)


def _duration(value: Any) -> timedelta:
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError("must be a duration such as 30s, 1m30s or 250ms")
    if len(match[0]) > _DURATION_CHARS_MAX:
        raise ValueError(f"must be at most {_DURATION_HOURS_MAX}h, in at most 32 characters")
    parts = zip(match.groups(), _UNITS_MS, strict=True)
    millis = sum(Fraction(part or 0) * unit for part, unit in parts)
    if not millis:
        raise ValueError("must be longer than zero; Envoy treats zero as unlimited")
    if millis != int(millis):
        raise ValueError("must be a whole number of milliseconds, at least 1ms")
    if millis > _DURATION_HOURS_MAX * _UNITS_MS[0]:
        raise ValueError(f"must be at most {_DURATION_HOURS_MAX}h")
    return timedelta(milliseconds=int(millis))


def _whole_seconds(span: timedelta) -> timedelta:
    if span.microseconds:
        raise ValueError("must be a whole number of seconds, at least 1s")
    return span


def milliseconds(span: timedelta) -> int:
    """Return a time span in whole milliseconds."""
    return span // timedelta(milliseconds=1)


def split(value: Any) -> Any:
    """Split a string at commas; return no part for an empty one, and other values unchanged."""
    if not isinstance(value, str):
        return value
    return tuple(each.strip() for each in value.split(",")) if value else ()


def once(values: Sequence[_HeldT]) -> Sequence[_HeldT]:
    """Refuse a list that repeats a value."""
    for index, each in enumerate(values):
        if each in values[:index]:
            raise ValueError(f"{each} appears twice; remove one")
    return values


def _host(value: str) -> str:
    if len(value) > _HOST_CHARS_MAX or not re.fullmatch(_HOST, value):
        raise ValueError("must be a host name such as partner.example")
    return value


def _host_pattern(value: str) -> str:
    _host(value.removeprefix("*."))
    return value


def _origin(value: str) -> str:
    if not re.fullmatch(_ORIGIN, value):
        raise ValueError("must be an origin such as https://app.bp.example, without a path")
    for scheme, port in _DEFAULT_PORTS:
        if value.startswith(scheme) and value.endswith(port):
            raise ValueError(f"must be without {port}, which browsers leave out")
    return value


def _share(value: float) -> float:
    if not 0 < value <= _PERCENT_MAX:
        raise ValueError("must be more than 0 and at most 100; Istio reads 0 as no request")
    parts = value * _PARTS_OF_PERCENT
    if abs(parts - round(parts)) > _ROUNDING:
        raise ValueError("must have at most four decimal places")
    return value


def _set_header(name: str) -> str:
    if name in _PROTECTED or name.startswith(_PROTECTED_PREFIXES) or name.endswith(_BINARY):
        raise ValueError(
            f"{name} cannot be changed: services, partners, browsers or proxies trust it"
        )
    return name


def _wild(value: str) -> str:
    inner = value[1:] if value.startswith("*") else value.removesuffix("*")
    if "*" in inner:
        raise ValueError("may have one *, at the beginning or at the end")
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""Whole milliseconds, from 1 ms to a year: the model has milliseconds."""
Seconds = Annotated[Duration, AfterValidator(_whole_seconds)]
"""A duration that a protocol counts in seconds, such as the age of a preflight's answer."""
Count = Annotated[int, Field(ge=1, le=_UINT32_MAX)]
"""At least one; Envoy's own limit is 32 bits."""
CountOrZero = Annotated[int, Field(ge=0, le=_UINT32_MAX)]
RetryCondition = Literal[
    "5xx",
    "gateway-error",
    "retriable-4xx",
    "envoy-ratelimited",
    "reset",
    "reset-before-request",
    "connect-failure",
    "refused-stream",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
]
"""Istio's conditions, without those that have no effect unless another field is set."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]
Host = Annotated[str, AfterValidator(_host)]
HostPattern = Annotated[str, AfterValidator(_host_pattern)]
"""A host name, or "*." and the common suffix of several host names."""
Origin = Annotated[str, AfterValidator(_origin)]
"""A web origin as browsers send it (RFC 6454, 6.2)."""
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]
"""A name that the gateway accepts; `*` would not include `authorization`."""
HttpsUri = Annotated[str, Field(pattern=r"^https://[a-z0-9.-]+(/[!-~]*)?$")]
Visible = Annotated[str, Field(pattern=r"^[!-~]+$")]
"""ASCII characters without spaces."""
SpiffeId = Annotated[str, Field(pattern=r"^spiffe://[a-z0-9._-]+/[!-~]+$")]
"""A caller without a certificate has an empty name; no rule may admit it."""
LowerName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
"""The name of a header as HTTP/2 has it, in lower case."""
SetHeader = Annotated[LowerName, AfterValidator(_set_header)]
"""A header that SREs may change; none with which services decide."""
HeaderText = Annotated[str, Field(pattern=r"^[ -$&-~]{1,256}$")]
"""The value of a header. Envoy would read a percent sign as a command."""
QueryName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
UriPath = Annotated[str, Field(pattern=r"^/[!\"$&->@-~]*$", max_length=512)]
"""A path without a percent sign, because Envoy compares paths before and after decoding, and
without a query: a rewrite with one would ask a partner about another transfer."""
Regex = Annotated[str, AfterValidator(regexes.regex), Field(min_length=1)]
"""RE2, with the meaning that it has in Python."""
TriedRegex = Annotated[Regex, AfterValidator(regexes.tried)]
"""An expression that the control plane itself compares with the paths of all methods."""
Percent = Annotated[float, AfterValidator(_share)]
GrpcCode = Literal[
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]
Principal = Annotated[
    str, Field(pattern=r"^(\*|\*?[a-z0-9./-]+\*?)$", max_length=253), AfterValidator(_wild)
]
"""An identity as Istio writes it: bp.internal/ns/bp/sa/payments, or with one *."""
PathPattern = Annotated[
    str, Field(pattern=r"^(\*|\*?[A-Za-z0-9./_-]+\*?)$", max_length=253), AfterValidator(_wild)
]
