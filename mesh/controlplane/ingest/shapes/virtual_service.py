"""VirtualService: how the requests to one host are routed."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mesh.controlplane.ingest.shape import Shape
from mesh.controlplane.ingest.shapes.metadata import ExportTo
from mesh.controlplane.ingest.values import (
    Duration,
    GrpcCode,
    HeaderText,
    Host,
    HostPattern,
    LowerName,
    Name,
    Percent,
    QueryName,
    Regex,
    RetryCondition,
    SetHeader,
    TriedRegex,
    UriPath,
    Visible,
    once,
    split,
)

_ROUTES_MAX, _MATCHES_MAX, _CONDITIONS_MAX = 64, 32, 16
RetryConditions = Annotated[
    tuple[RetryCondition, ...], Field(min_length=1), AfterValidator(once), BeforeValidator(split)
]


class Retries(Shape):
    """How often a request is retried, after which outcomes and with which back-off."""

    attempts: Annotated[int, Field(ge=0, le=10)]
    per_try_timeout: Duration | None = None
    retry_on: RetryConditions | None = None
    backoff: Duration | None = None
    retry_ignore_previous_hosts: bool | None = None


class TextMatch(Shape):
    """One condition on a text: the whole text, how it begins, or an RE2 expression for all of it.

    Without any of them, the text only has to be there.
    """

    exact: Visible | None = None
    prefix: Visible | None = None
    regex: Regex | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) > 1:
            raise ValueError("set only one of exact, prefix and regex")
        return self


class NonEmptyMatch(TextMatch):
    """A condition on a text that is always there."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("set exact, prefix or regex")
        return self


class MethodMatch(NonEmptyMatch):
    """A condition on the HTTP method of a request."""

    regex: TriedRegex | None = None


class UriMatch(NonEmptyMatch):
    """A condition on the path of a request, without its query."""

    exact: UriPath | None = None
    prefix: UriPath | None = None
    regex: TriedRegex | None = None


Headers = Annotated[dict[LowerName, TextMatch], Field(min_length=1, max_length=_CONDITIONS_MAX)]
Parameters = Annotated[
    dict[QueryName, NonEmptyMatch], Field(min_length=1, max_length=_CONDITIONS_MAX)
]


class HttpMatch(Shape):
    """Conditions that a request must meet together."""

    CARRIED: ClassVar[frozenset[str]] = frozenset({"name"})

    name: Name | None = None
    uri: UriMatch | None = None
    ignore_uri_case: bool = False
    method: MethodMatch | None = None
    headers: Headers | None = None
    without_headers: Headers | None = None
    query_params: Parameters | None = None
    source_labels: Annotated[dict[Literal["app"], Name], Field(min_length=1)] | None = None


class Destination(Shape):
    """The host of the VirtualService, or a subset of its instances."""

    host: HostPattern
    subset: Name | None = None


class HttpDestination(Shape):
    """A destination and its share of the requests."""

    destination: Destination
    weight: Annotated[int, Field(ge=0, le=1_000_000)] | None = None


class Percentage(Shape):
    """A share of the requests. In Istio no request has a share that is not set."""

    value: Percent


class FaultDelay(Shape):
    """A wait before requests are sent."""

    fixed_delay: Duration
    percentage: Percentage


class FaultAbort(Shape):
    """An answer instead of the call, with one of the two codes."""

    http_status: Annotated[int, Field(ge=400, le=599)] | None = None
    """A failure: with a success, callers would believe in a payment that nobody has made."""
    grpc_status: GrpcCode | None = None
    percentage: Percentage

    @model_validator(mode="after")
    def _one_code(self) -> Self:
        if (self.http_status is None) == (self.grpc_status is None):
            raise ValueError("set either httpStatus or grpcStatus")
        return self


class HttpFault(Shape):
    """A fault that SREs inject to see what callers do."""

    delay: FaultDelay | None = None
    abort: FaultAbort | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("set delay or abort")
        return self


HeaderTexts = Annotated[dict[SetHeader, HeaderText], Field(min_length=1, max_length=16)]


class HeaderOperations(Shape):
    """Changes of headers: remove, then set, then add."""

    set: HeaderTexts | None = None
    add: HeaderTexts | None = None
    remove: Annotated[list[SetHeader], Field(min_length=1), AfterValidator(once)] | None = None


class HeaderChanges(Shape):
    """Changes of the headers of requests and of responses."""

    request: HeaderOperations | None = None
    response: HeaderOperations | None = None


class Rewrite(Shape):
    """The path and the host that a partner sees in a request instead of the ones in the call."""

    uri: UriPath | None = None
    authority: Host | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("set uri or authority")
        return self


class HttpRoute(Shape):
    """One route: the requests that it is for, where they go, and what happens on the way.

    `retries` is required, because Istio retries twice without it.
    """

    name: Name | None = None
    match: Annotated[list[HttpMatch], Field(min_length=1, max_length=_MATCHES_MAX)] | None = None
    route: Annotated[list[HttpDestination], Field(min_length=1, max_length=16)]
    rewrite: Rewrite | None = None
    timeout: Duration | None = None
    retries: Retries
    fault: HttpFault | None = None
    headers: HeaderChanges | None = None
    mirror: Destination | None = None
    mirror_percentage: Percentage | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.mirror_percentage and not self.mirror:
            raise ValueError("mirrorPercentage has no effect without mirror; remove it")
        weights = [each.weight for each in self.route]
        if len(weights) > 1 and None in weights:
            raise ValueError("set every weight: Istio reads an absent one as 0")
        if not any(each is None or each for each in weights):
            raise ValueError("the weights add up to 0; give one destination a weight")
        return self


class VirtualServiceSpec(Shape):
    """The routes of one host, in the order in which they are tried."""

    CARRIED: ClassVar[frozenset[str]] = frozenset({"export_to", "gateways"})

    hosts: Annotated[list[HostPattern], Field(min_length=1, max_length=1)]
    gateways: Annotated[list[Literal["mesh"]], Field(min_length=1, max_length=1)] | None = None
    export_to: ExportTo | None = None
    http: Annotated[list[HttpRoute], Field(min_length=1, max_length=_ROUTES_MAX)]
