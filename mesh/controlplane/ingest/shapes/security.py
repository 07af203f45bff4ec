"""The security kinds: who may call, how proxies authenticate, and whose tokens are accepted."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mesh.controlplane.ingest.shape import Shape
from mesh.controlplane.ingest.shapes.metadata import OfGateway, Selector
from mesh.controlplane.ingest.values import (
    Duration,
    HttpsUri,
    PathPattern,
    Principal,
    Visible,
    once,
)

Principals = Annotated[list[Principal], Field(min_length=1, max_length=64), AfterValidator(once)]
Paths = Annotated[list[PathPattern], Field(min_length=1, max_length=256), AfterValidator(once)]


class Mtls(Shape):
    """STRICT: sidecars reject plain-text connections."""

    mode: Literal["STRICT"]


class PeerAuthenticationSpec(Shape):
    """The policy by which sidecars accept only mutual TLS."""

    mtls: Mtls


class Source(Shape):
    """Callers by their identity, as Istio writes it: without spiffe://. "*" stands for any part
    at the beginning or the end.
    """

    principals: Principals | None = None
    not_principals: Principals | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("set principals or notPrincipals")
        return self


class RuleFrom(Shape):
    """One set of callers."""

    source: Source


class Operation(Shape):
    """Methods by their full gRPC path; "*" stands for any part at the beginning or the end."""

    paths: Paths | None = None
    not_paths: Paths | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("set paths or notPaths")
        return self


class RuleTo(Shape):
    """One set of methods."""

    operation: Operation


class Rule(Shape):
    """Matches a request from one of the callers to one of the methods; both are optional."""

    from_: Annotated[list[RuleFrom] | None, Field(min_length=1, max_length=16, alias="from")] = None
    to: Annotated[list[RuleTo], Field(min_length=1, max_length=16)] | None = None


class AuthorizationPolicySpec(Shape):
    """Empty: only the access that the control plane derives from the contracts is allowed.

    With rules it denies a part of that access, or repeats it.
    """

    selector: Selector | None = None
    action: Literal["ALLOW", "DENY"] = "ALLOW"
    rules: Annotated[list[Rule], Field(min_length=1, max_length=64)] | None = None

    @model_validator(mode="after")
    def _has_effect(self) -> Self:
        if self.rules is None and self.action == "DENY":
            raise ValueError("DENY without rules denies nothing; add rules")
        if self.rules is None and self.selector:
            raise ValueError("the empty policy is for all workloads; remove selector")
        return self


class ClaimToHeader(Shape):
    """A claim of the token that the gateway passes to services as a header."""

    claim: Literal["sub", "scope", "sid", "device", "auth_time"]
    header: Literal["x-bp-subject", "x-bp-scope", "x-bp-session", "x-bp-device", "x-bp-auth-time"]

    @model_validator(mode="after")
    def _is_read(self) -> Self:
        if _CLAIM_HEADERS[self.claim] != self.header:
            raise ValueError(f"services read {self.claim} from {_CLAIM_HEADERS[self.claim]}")
        return self


_CLAIM_HEADERS = {
    "sub": "x-bp-subject",
    "scope": "x-bp-scope",
    "sid": "x-bp-session",
    "device": "x-bp-device",
    "auth_time": "x-bp-auth-time",
}
"""The gateway sets the other x-bp- headers itself, and services read no header but these."""


def _all_claims(found: list[ClaimToHeader]) -> list[ClaimToHeader]:
    claims = once([each.claim for each in found])
    for each in sorted(_CLAIM_HEADERS.keys() - claims):
        raise ValueError(f"add the claim {each}, which services need")
    return found


class JwtRule(Shape):
    """One issuer of tokens, its keys and its audience."""

    issuer: HttpsUri
    audiences: Annotated[list[Visible], Field(min_length=1), AfterValidator(once)]
    jwks_uri: HttpsUri
    forward_original_token: Literal[False] = False
    output_claim_to_headers: Annotated[list[ClaimToHeader], AfterValidator(_all_claims)]
    timeout: Duration


class RequestAuthenticationSpec(Shape):
    """The issuer whose tokens a workload accepts."""

    selector: OfGateway
    jwt_rules: Annotated[list[JwtRule], Field(min_length=1, max_length=1)]
