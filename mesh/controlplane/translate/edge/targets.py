"""What the routes of a service, which SREs write, make of a route of the gateway.

Their conditions are about the call as the service sees it: the method's path and POST. The gateway
chooses a route before it turns a request into that call, so these conditions are decided here, and
only those on headers are left for Envoy.
"""

from collections.abc import Iterator
from dataclasses import replace

from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.type.matcher import v3 as matcher

from gateway.routes import GatewayRoute
from mesh.controlplane import model
from mesh.controlplane.translate.host_routes import rewritten, service_action
from mesh.controlplane.translate.matches import header_matchers
from mesh.controlplane.translate.parts import span

_VERB = "POST"
"""The verb of every call in gRPC."""
_WHOLE = ".*"
HTTP_STATUS = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "UNAUTHENTICATED": 401,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
}
"""A code of gRPC -> the status with which the transcoder answers (google/rpc/code.proto)."""

Reached = tuple[model.Route, list[route.HeaderMatcher], route.RouteAction]
"""A route of the service, the conditions that are left, and where it sends requests."""


def reached(each: GatewayRoute, target: model.ServiceTarget) -> Iterator[Reached]:
    """Yield the routes of the service that a route of the gateway may take, in their order."""
    for one in target.routes:
        for match in one.matches or (model.Match(),):
            if not _may_apply(match, each):
                continue
            left = header_matchers(model.Match(headers=match.headers))
            yield _answering_rest(one), left, _action(each, target, one, match)
            if not left:
                return


def _answering_rest(one: model.Route) -> model.Route:
    """Return the route with the HTTP status of an injected code of gRPC.

    The gateway's caller sent REST, so Envoy answers an abort with a plain body. Only an HTTP status
    gets the JSON of the gateway's other errors.
    """
    abort = one.abort
    if abort is None or abort.grpc_status is None:
        return one
    status = HTTP_STATUS[abort.grpc_status]
    return replace(one, abort=replace(abort, grpc_status=None, http_status=status))


def _may_apply(match: model.Match, each: GatewayRoute) -> bool:
    verb_fits = match.method is None or match.method.fits(_VERB)
    return verb_fits and not match.query and match.may_fit_path(each.method)


def _action(
    each: GatewayRoute, target: model.ServiceTarget, one: model.Route, match: model.Match
) -> route.RouteAction:
    action = service_action(target, one)
    action.timeout = span(min(one.timeout_ms or each.deadline_ms, each.deadline_ms))
    # Services get their own name as the authority, as they do from other services.
    authority = one.rewrite.authority if one.rewrite else None
    action.host_rewrite_literal = authority or each.deployable
    path = rewritten(each.method, one, match.path)
    if path is not None:
        # The path of the request has become the method's by the time when Envoy rewrites it.
        action.regex_rewrite = matcher.RegexMatchAndSubstitute(
            pattern=matcher.RegexMatcher(regex=_WHOLE), substitution=path
        )
    return action
