"""The routes of the gateway, derived from the contracts: one for each REST binding.

Pure: contracts in, plain values out. Nothing here depends on Envoy;
mesh/controlplane/translate/edge turns the routes into Envoy's configuration.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from services.contracts import Audience, HttpRoute, MethodContract

_VARIABLE = re.compile(r"\{([a-z_.]+)\}")
# A custom verb follows a colon (AIP-136), which clients may write as %3A (RFC 3986, 2.1). So the
# value of a variable has no colon in either spelling.
_COLON = "(?::|%3[Aa])"
_VALUE = "(?:[^/:%]|%[^3/:]|%3[^Aa/:])+"


class BodyKind(StrEnum):
    """The kind of body that a request has."""

    NONE = "none"
    JSON = "json"
    RAW = "raw"


@dataclass(frozen=True, slots=True)
class GatewayRoute:
    """One verb and path at the gateway, and the method that it calls."""

    name: str
    """Unique, "bp.payments.v1.PaymentsService.GetInterbankTransfer.0"."""
    verb: str
    template: str
    """Path as in the contract, "/v1/transfers/interbank/{transfer_id}"."""
    method: str
    """Full gRPC path."""
    deployable: str
    audience: Audience
    scopes: tuple[str, ...]
    partners: tuple[str, ...]
    deadline_ms: int
    rate_limit_class: str
    idempotency_key_required: bool
    body: BodyKind
    body_bytes_max: int
    """The largest body; 0 means the gateway's limit for all methods."""
    response_field: str
    """The response field that becomes the body; empty means the whole response."""
    has_etag: bool
    """Whether the service sends the header ETag, because it returns a resource with an etag."""

    @property
    def accepts_large(self) -> bool:
        """Whether the contract itself sets the largest body, as for a picture."""
        return self.body_bytes_max > 0

    def body_limit(self, general: int, public: int) -> int:
        """Return the largest body; `general` and `public` are for methods without their own."""
        return self.body_bytes_max or (public if self.audience is Audience.PUBLIC else general)

    @property
    def variables(self) -> tuple[str, ...]:
        """Fields of the request that are in the path."""
        return tuple(_VARIABLE.findall(self.template))

    @property
    def regex(self) -> str | None:
        """Pattern that matches the whole path; None when the path has no variables."""
        parts = _VARIABLE.split(self.template)
        if len(parts) == 1:
            return None
        return _VALUE.join(re.escape(text).replace(":", _COLON) for text in parts[::2])


def gateway_routes(contracts: Mapping[str, MethodContract]) -> tuple[GatewayRoute, ...]:
    """Return the gateway's routes, ordered so that the first match is the right route."""
    found = [
        _route(contract, http, number)
        for contract in contracts.values()
        for number, http in enumerate(contract.http)
    ]
    return tuple(sorted(found, key=lambda each: (each.regex is not None, each.template, each.verb)))


def _route(contract: MethodContract, http: HttpRoute, number: int) -> GatewayRoute:
    return GatewayRoute(
        name=f"{contract.path[1:].replace('/', '.')}.{number}",
        verb=http.verb,
        template=http.path,
        method=contract.path,
        deployable=contract.deployable,
        audience=contract.audience,
        scopes=contract.scopes,
        partners=contract.partners,
        deadline_ms=contract.deadline_ms,
        rate_limit_class=contract.rate_limit_class,
        idempotency_key_required=contract.idempotency_key_required,
        body=_body_kind(contract, http),
        body_bytes_max=contract.body_bytes_max,
        response_field=_json_name(contract, http.response_body),
        has_etag=http.verb == "GET" and _has_etag(contract, http),
    )


def _json_name(contract: MethodContract, field: str) -> str:
    return contract.response.fields_by_name[field].json_name if field else ""


def _has_etag(contract: MethodContract, http: HttpRoute) -> bool:
    field = contract.response.fields_by_name.get(http.response_body)
    resource = field.message_type if field else None
    return resource is not None and "etag" in resource.fields_by_name


def _body_kind(contract: MethodContract, http: HttpRoute) -> BodyKind:
    if not http.body:
        return BodyKind.NONE
    if http.body != "*":
        field = contract.request.fields_by_name[http.body]
        if field.message_type is not None and field.message_type.full_name == "google.api.HttpBody":
            return BodyKind.RAW
    return BodyKind.JSON
