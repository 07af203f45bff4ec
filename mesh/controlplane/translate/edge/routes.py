"""The gateway's Envoy routes: one for each REST binding, with everything its policy requires."""

from dataclasses import dataclass, replace
from typing import Any as Anything

from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.rbac import v3 as rbac
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.filters.http.buffer import v3 as buffer
from envoy_data_plane.envoy.extensions.filters.http.cors import v3 as cors
from envoy_data_plane.envoy.extensions.filters.http.jwt_authn import v3 as jwt
from envoy_data_plane.envoy.extensions.filters.http.rbac import v3 as rbac_filter
from envoy_data_plane.envoy.type.matcher import v3 as matcher
from envoy_data_plane.google.protobuf import Any

from gateway.replies import (
    CALLER_FORBIDDEN,
    ORIGIN_FORBIDDEN,
    SCOPE_MISSING,
    GatewayReply,
    too_large_message,
)
from gateway.routes import GatewayRoute
from mesh.controlplane import model
from mesh.controlplane.translate import unanswered
from mesh.controlplane.translate.clusters import service_cluster_name
from mesh.controlplane.translate.edge import names
from mesh.controlplane.translate.edge.bodies import body_bytes_max, open_body_metadata
from mesh.controlplane.translate.edge.limits import LARGE
from mesh.controlplane.translate.edge.targets import reached
from mesh.controlplane.translate.host_routes import completed
from mesh.controlplane.translate.parts import exact, header, packed, struct
from services.contracts import Audience

_BUCKETS = {
    Audience.CUSTOMER: names.CUSTOMER_CLASS,
    Audience.PARTNER: names.PARTNER_CLASS,
    Audience.PUBLIC: names.ADDRESS_CLASS,
}
"""Whose bucket a request uses, by the audience of its method."""
_FORBIDDEN = {
    Audience.CUSTOMER: SCOPE_MISSING,
    Audience.PARTNER: CALLER_FORBIDDEN,
    Audience.PUBLIC: ORIGIN_FORBIDDEN,
}
"""The 403 of a route, by the audience of its method."""
NAME = "edge"
_GET, _HEAD = "GET", "HEAD"


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings of the gateway that its routes depend on."""

    limits: model.EdgeLimits
    cors: model.Cors
    partner_principals: tuple[tuple[str, tuple[str, ...]], ...]


Piece = tuple[Anything, ...]
"""A pure function that returns routes, and its arguments."""


def route_configuration(edge: model.Edge) -> route.RouteConfiguration:
    """Return every route of the gateway, in one virtual host with CORS."""
    host = virtual_host(edge)
    host.routes = [made for make, *given in pieces(edge) for made in make(*given)]
    return route.RouteConfiguration(name=NAME, virtual_hosts=[host])


def virtual_host(edge: model.Edge) -> route.VirtualHost:
    """Return the virtual host without its routes."""
    return route.VirtualHost(
        name=NAME,
        domains=["*"],
        typed_per_filter_config={names.CORS: packed(_cors(edge))},
        response_headers_to_add=[
            header("cache-control", "no-store"),
            header("strict-transport-security", "max-age=31536000"),
            header("x-content-type-options", "nosniff"),
        ],
        # Services limit and record by it; a header of the caller is dropped before.
        request_headers_to_add=[
            header(names.CLIENT_ADDRESS_HEADER, "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%")
        ],
        # Callers need not know which transport the gateway uses to reach the services.
        response_headers_to_remove=["grpc-accept-encoding", unanswered.HEADER],
    )


def pieces(edge: model.Edge) -> list[Piece]:
    """Return what makes the routes, in their order, so that unchanged routes need not be made."""
    rules = Rules(edge.limits, edge.cors, edge.partner_principals)
    targets = {target.name: target for target in edge.services}
    called = [(rules, each, targets[each.deployable]) for each in edge.routes]
    return [
        (_first_routes, edge.routes),
        *((_routes, *each) for each in called),
        *((_head_routes, *each) for each in called),
        (_last_routes, edge.routes, edge.cors.allow_origins, edge.services[0].name),
    ]


def _first_routes(routes: tuple[GatewayRoute, ...]) -> list[route.Route]:
    return [
        _two_hosts(),
        *(_no_length(each) for each in routes if each.accepts_large),
    ]


def _last_routes(
    routes: tuple[GatewayRoute, ...], origins: tuple[str, ...], any_service: str
) -> list[route.Route]:
    return [
        *_options_routes(routes),
        *_unknown_preflights(origins, any_service),
        *_refusals(routes),
    ]


def _routes(
    rules: Rules, each: GatewayRoute, target: model.ServiceTarget, verb: str = ""
) -> list[route.Route]:
    """Return a route for each route of the service that may apply."""
    found: list[route.Route] = []
    for one, left, action in reached(each, target):
        match = _match(each, verb or each.verb)
        made = route.Route(
            name=each.name,
            match=replace(match, headers=[*match.headers, *left]),
            route=action,
            metadata=_metadata(rules, each),
            typed_per_filter_config=_per_filter(rules, each),
        )
        completed(made, one)
        if each.audience is Audience.PUBLIC:
            # Public methods verify no token, so services must not see one.
            made.request_headers_to_remove.append("authorization")
        found.append(made)
    return found


def _head_routes(
    rules: Rules, each: GatewayRoute, target: model.ServiceTarget
) -> list[route.Route]:
    """Let HEAD pass where GET does (RFC 9110, 9.1); the Lua filter then turns it into a GET."""
    if each.verb != _GET:
        return []
    found = _routes(rules, each, target, _HEAD)
    return [replace(made, name=f"{_HEAD} {each.name}") for made in found]


def _metadata(rules: Rules, each: GatewayRoute) -> core.Metadata:
    """Return the metadata that filters read: keys for Lua, the bucket, texts of a 403 and a 413."""
    customer = each.audience is Audience.CUSTOMER
    scopes = {"scopes": " ".join(each.scopes)} if customer else {}
    bytes_max = body_bytes_max(rules.limits, each)
    said = {
        **_forbidden(_FORBIDDEN[each.audience], scopes),
        names.TOO_LARGE_MESSAGE: too_large_message(bytes_max),
        _BUCKETS[each.audience]: each.rate_limit_class,
    }
    if each.accepts_large:
        said[names.LARGE_BODY_CLASS] = LARGE
    lua = {"method": each.method, "route": each.name, "body_bytes_max": bytes_max}
    found = {
        names.LUA: struct(lua),
        names.OPEN_BODIES: struct(open_body_metadata(rules.limits, each)),
        names.EDGE: struct(said),
    }
    return core.Metadata(filter_metadata=found)


def _forbidden(reply: GatewayReply, metadata: dict[str, str]) -> dict[str, object]:
    return {
        names.FORBIDDEN_REASON: reply.reason,
        names.FORBIDDEN_MESSAGE: reply.message,
        names.FORBIDDEN_METADATA: metadata,
    }


def _match(each: GatewayRoute, verb: str | None) -> route.RouteMatch:
    """Match a path with one verb, or with any verb when it is None."""
    headers = [route.HeaderMatcher(name=":method", string_match=exact(verb))] if verb else []
    if each.regex is None:
        return route.RouteMatch(path=each.template, headers=headers)
    return route.RouteMatch(safe_regex=matcher.RegexMatcher(regex=each.regex), headers=headers)


def _per_filter(rules: Rules, each: GatewayRoute) -> dict[str, Any]:
    config = {names.RBAC: packed(rbac_filter.RbacPerRoute(rbac=_authorization(rules, each)))}
    if each.audience is Audience.CUSTOMER:
        config[names.JWT] = packed(jwt.PerRouteConfig(requirement_name=names.CUSTOMER_REQUIREMENT))
    bytes_max = body_bytes_max(rules.limits, each)
    if bytes_max != rules.limits.body_bytes:
        limit = buffer.Buffer(max_request_bytes=bytes_max)
        config[names.BUFFER] = packed(buffer.BufferPerRoute(buffer=limit))
    return config


def _authorization(rules: Rules, each: GatewayRoute) -> rbac_filter.Rbac:
    if each.audience is Audience.CUSTOMER:
        principal = _all_scopes(each.scopes)
    elif each.audience is Audience.PARTNER:
        known = dict(rules.partner_principals)
        identities = [identity for name in each.partners for identity in known[name]]
        principal = rbac.Principal(or_ids=rbac.PrincipalSet(ids=[_peer(i) for i in identities]))
    else:
        principal = _no_foreign_site(rules.cors.allow_origins)
    policy = rbac.Policy(permissions=[rbac.Permission(any=True)], principals=[principal])
    return rbac_filter.Rbac(
        rules=rbac.Rbac(action=rbac.RbacAction.ALLOW, policies={each.name: policy})
    )


def _no_foreign_site(origins: tuple[str, ...]) -> rbac.Principal:
    """Match a call without the header Origin, as apps send, or from one of the bank's sites.

    A foreign site could log its visitors in to an account of the attacker: these methods need no
    token, so a browser would send such a call.
    """
    absent = route.HeaderMatcher(name="origin", present_match=True, invert_match=True)
    allowed = [absent, *(_from_origin(origin) for origin in origins)]
    callers = [rbac.Principal(header=each) for each in allowed]
    return rbac.Principal(or_ids=rbac.PrincipalSet(ids=callers))


def _peer(identity: str) -> rbac.Principal:
    return rbac.Principal(authenticated=rbac.PrincipalAuthenticated(principal_name=exact(identity)))


def _all_scopes(scopes: tuple[str, ...]) -> rbac.Principal:
    if not scopes:
        return rbac.Principal(any=True)
    held = [
        _claim(
            matcher.MetadataMatcher(
                filter=names.JWT,
                path=[
                    matcher.MetadataMatcherPathSegment(key=names.CLAIMS),
                    matcher.MetadataMatcherPathSegment(key=names.SCOPE_CLAIM),
                ],
                value=matcher.ValueMatcher(
                    list_match=matcher.ListMatcher(
                        one_of=matcher.ValueMatcher(string_match=exact(scope))
                    )
                ),
            )
        )
        for scope in scopes
    ]
    return rbac.Principal(and_ids=rbac.PrincipalSet(ids=held))


def _claim(found: matcher.MetadataMatcher) -> rbac.Principal:
    dynamic = rbac.MetadataSource.DYNAMIC
    return rbac.Principal(
        sourced_metadata=rbac.SourcedMetadata(metadata_matcher=found, metadata_source=dynamic)
    )


def _options_routes(routes: tuple[GatewayRoute, ...]) -> list[route.Route]:
    """Answer OPTIONS with the verbs that a path allows; the CORS filter answers preflights.

    The CORS filter works only on routes with a cluster, so the Lua filter answers, not the route.
    """
    return [
        route.Route(
            name=f"OPTIONS {path}",
            match=_match(each, "OPTIONS"),
            route=route.RouteAction(cluster=service_cluster_name(each.deployable)),
            metadata=core.Metadata(
                filter_metadata={names.LUA: struct({"allow": _verbs(routes, path)})}
            ),
            typed_per_filter_config=_without(names.BUFFER),
        )
        for path, each in _by_template(routes).items()
    ]


def _unknown_preflights(origins: tuple[str, ...], any_service: str) -> list[route.Route]:
    """Let the CORS filter answer a preflight of an unknown path, so that the app can read the 404.

    The filter answers every request that these routes match, so none reaches the cluster.
    """
    asked = route.HeaderMatcher(
        name="access-control-request-method",
        string_match=matcher.StringMatcher(safe_regex=matcher.RegexMatcher(regex=".+")),
    )
    verb = route.HeaderMatcher(name=":method", string_match=exact("OPTIONS"))
    return [
        route.Route(
            name=f"preflight from {origin}",
            match=route.RouteMatch(
                prefix="/",
                headers=[verb, asked, _from_origin(origin)],
            ),
            route=route.RouteAction(cluster=service_cluster_name(any_service)),
            typed_per_filter_config=_without(names.BUFFER),
        )
        for origin in origins
    ]


def _from_origin(origin: str) -> route.HeaderMatcher:
    return route.HeaderMatcher(name="origin", string_match=exact(origin))


def _refusals(routes: tuple[GatewayRoute, ...]) -> list[route.Route]:
    """Answer another verb with 405 and the allowed verbs (RFC 9110, 15.5.6), another path with 404.

    These are separate routes, because without a route Envoy would wait for the request's body.
    """
    found = [
        _refusal(f"not {path}", 405, _match(each, None), header("allow", _verbs(routes, path)))
        for path, each in _by_template(routes).items()
    ]
    tunnel = route.RouteMatch(connect_matcher=route.RouteMatchConnectMatcher())
    anything = route.RouteMatch(prefix="/")
    return [*found, _refusal("tunnel", 403, tunnel), _refusal("nowhere", 404, anything)]


def _no_length(each: GatewayRoute) -> route.Route:
    """Answer a large body that does not give its length with 411 (RFC 9110, 15.5.12).

    The gateway would have to reserve the memory of the largest body for it.
    """
    match = _match(each, each.verb)
    absent = route.HeaderMatcher(name="content-length", present_match=True, invert_match=True)
    return _refusal(f"no length {each.name}", 411, replace(match, headers=[*match.headers, absent]))


def _two_hosts() -> route.Route:
    """Reject two Host headers (RFC 9112, 3.2); Envoy has already joined them with a comma."""
    joined = route.HeaderMatcher(
        name=":authority", string_match=matcher.StringMatcher(contains=",")
    )
    return _refusal("two hosts", 400, route.RouteMatch(prefix="/", headers=[joined]))


def _refusal(
    name: str, status: int, match: route.RouteMatch, *headers: core.HeaderValueOption
) -> route.Route:
    forbidden = struct(_forbidden(CALLER_FORBIDDEN, {}))
    return route.Route(
        name=name,
        match=match,
        direct_response=route.DirectResponseAction(status=status),
        metadata=core.Metadata(filter_metadata={names.EDGE: forbidden}),
        response_headers_to_add=list(headers),
        typed_per_filter_config=_without(names.BUFFER, names.LUA, names.TRANSCODER),
    )


def _without(*filters: str) -> dict[str, Any]:
    """Switch filters off. A route without the buffer filter answers before a body arrives.

    A route that needs no token must answer so, or reserve memory for the body (names.OPEN_BODIES).
    """
    off = packed(route.FilterConfig(disabled=True))
    return dict.fromkeys(filters, off)


def _by_template(routes: tuple[GatewayRoute, ...]) -> dict[str, GatewayRoute]:
    return {each.template: each for each in routes}


def _verbs(routes: tuple[GatewayRoute, ...], template: str) -> str:
    verbs = {each.verb for each in routes if each.template == template}
    return ", ".join([*sorted(verbs | ({_HEAD} if _GET in verbs else set())), "OPTIONS"])


def _cors(edge: model.Edge) -> cors.CorsPolicy:
    policy = edge.cors
    return cors.CorsPolicy(
        allow_origin_string_match=[exact(origin) for origin in policy.allow_origins],
        allow_methods=", ".join(sorted({each.verb for each in edge.routes})),
        allow_headers=", ".join(policy.allow_headers),
        expose_headers=", ".join(policy.expose_headers),
        max_age=str(policy.max_age_s),
    )
