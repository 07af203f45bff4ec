"""The gateway on a cluster: its routes as a VirtualService, its access rules as a policy.

A route has the name of the control plane's route, by which `edge_routes` adds what a VirtualService
has no field for.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gateway.routes import GatewayRoute, gateway_routes
from mesh.controlplane.translate.edge.targets import HTTP_STATUS
from mesh.controlplane.translate.unanswered import HEADER
from mesh.istio.kinds import (
    HOSTS,
    NETWORKING,
    SECURITY,
    Kind,
    duration,
    principal,
    resource,
    selector,
)
from mesh.istio.matches import fits
from mesh.istio.routes import milliseconds, rules_of
from services.contracts import GATEWAY, Audience, MethodContract

Rule = dict[str, Any]
_GET = "GET"
_DEFAULT_MS = 15_000
"""Envoy's timeout of a route without one."""
_CLIENT_ADDRESS = {"x-bp-client-address": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}
_HIDDEN = ("grpc-accept-encoding", HEADER)
_ANSWERS = {
    "cache-control": "no-store",
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
}


def kinds(contracts: Mapping[str, MethodContract], written: list[Kind]) -> Iterator[Kind]:
    """Yield the gateway's VirtualService and its AuthorizationPolicy."""
    routes = gateway_routes(contracts)
    policy = _only(written, "EdgePolicy")["spec"]
    http = [_two_hosts(), *(_no_length(each) for each in routes if each.accepts_large)]
    http += [rule for each in routes for rule in _routes(each, policy, written)]
    http += [_options(path, each, policy) for path, each in _templates(routes).items()]
    http += [_preflight(origin, routes[0], policy) for origin in policy["cors"]["allowOrigins"]]
    http += [_wrong_verb(path, routes) for path in _templates(routes)]
    http.append(_refusal("nowhere", 404, None))
    gateway = _only(written, "Gateway")["metadata"]["name"]
    spec = {"hosts": ["*"], "gateways": [gateway], "http": http}
    yield resource(NETWORKING, "VirtualService", gateway, spec)
    issuer = _only(written, "RequestAuthentication")["spec"]["jwtRules"][0]["issuer"]
    rules = [rule for each in routes for rule in _allowed(each, policy, issuer)]
    rules += _unrouted(routes)
    access = {"selector": selector(GATEWAY), "action": "ALLOW", "rules": rules}
    yield resource(SECURITY, "AuthorizationPolicy", "edge-callers", access)


def _only(written: Iterable[Kind], kind: str) -> Kind:
    (found,) = [each for each in written if each["kind"] == kind]
    return found


def _routes(each: GatewayRoute, policy: Rule, written: list[Kind]) -> Iterator[Rule]:
    """Yield a route for each rule of the service that may apply, as callers in the mesh have."""
    host = f"{each.deployable}{HOSTS}"
    for rule in rules_of(_virtual_service(written, host), host):
        kept = [one for one in rule.get("match", [{}]) if _applies(one, each.method)]
        if not kept:
            continue
        left = [_without(one, "uri", "sourceLabels", "ignoreUriCase") for one in kept]
        asked_ms = milliseconds(rule["timeout"]) if "timeout" in rule else each.deadline_ms
        yield {
            **_without(rule, "name", "match", "timeout", "headers", "fault"),
            **_fault(rule),
            "name": each.name,
            "match": [{**one, "uri": _uri(each), "method": _verb(each)} for one in left],
            # Services get their own name as the authority, as they do from other services.
            "rewrite": _rewrite(each, rule, kept[0]),
            "timeout": duration(min(asked_ms, each.deadline_ms)),
            "corsPolicy": _cors(policy["cors"]),
            "headers": _headers(each, rule.get("headers", {})),
        }
        if {} in left:
            return


def _virtual_service(written: list[Kind], host: str) -> Kind | None:
    found = [e for e in written if e["kind"] == "VirtualService" and host in e["spec"]["hosts"]]
    return found[0] if found else None


def _applies(match: Rule, method: str) -> bool:
    """Return whether a match of the service's rules may be fulfilled by the gateway's calls."""
    return match.get("sourceLabels", {}).get("app", GATEWAY) == GATEWAY and fits(
        match.get("uri"), method
    )


def _without(rule: Rule, *keys: str) -> Rule:
    return {key: value for key, value in rule.items() if key not in keys}


def _fault(rule: Rule) -> Rule:
    """Return the fault of a rule. A code of gRPC becomes the status of its REST answer."""
    fault = rule.get("fault")
    if fault is None:
        return {}
    abort = fault.get("abort", {})
    if "grpcStatus" not in abort:
        return {"fault": fault}
    status = HTTP_STATUS[abort["grpcStatus"]]
    return {"fault": {**fault, "abort": {**_without(abort, "grpcStatus"), "httpStatus": status}}}


def _rewrite(each: GatewayRoute, rule: Rule, match: Rule) -> Rule:
    """Return the rewriting. By the time of it, the path is the method's, not that of the match."""
    given = rule.get("rewrite", {})
    changed = {"authority": each.deployable, **_without(given, "uri")}
    if "uri" in given:
        uri = match.get("uri", {"prefix": "/"})
        rest = "" if "exact" in uri else each.method[len(uri["prefix"]) :]
        changed["uriRegexRewrite"] = {"match": ".*", "rewrite": f"{given['uri']}{rest}"}
    return changed


def _headers(each: GatewayRoute, given: Rule) -> Rule:
    """Return what the gateway sets and removes, with what the rule of the service does."""
    hidden = ["authorization"] if each.audience is Audience.PUBLIC else []
    request, response = given.get("request", {}), given.get("response", {})
    removed = [*hidden, *request.get("remove", ())]
    return {
        "request": {
            **request,
            "set": {**_CLIENT_ADDRESS, **request.get("set", {})},
            **({"remove": removed} if removed else {}),
        },
        "response": {
            **response,
            "set": {**_ANSWERS, **response.get("set", {})},
            "remove": [*_HIDDEN, *response.get("remove", ())],
        },
    }


def _uri(each: GatewayRoute) -> dict[str, str]:
    return {"exact": each.template} if each.regex is None else {"regex": each.regex}


def _verb(each: GatewayRoute) -> dict[str, str]:
    return {"regex": "GET|HEAD"} if each.verb == _GET else {"exact": each.verb}


def _cors(cors: Rule) -> Rule:
    return {
        "allowOrigins": [{"exact": origin} for origin in cors["allowOrigins"]],
        "allowMethods": ["DELETE", "GET", "POST"],
        "allowHeaders": cors["allowHeaders"],
        "exposeHeaders": cors["exposeHeaders"],
        "maxAge": cors["maxAge"],
    }


def _templates(routes: Iterable[GatewayRoute]) -> dict[str, GatewayRoute]:
    return {each.template: each for each in routes}


def _verbs(routes: Iterable[GatewayRoute], template: str) -> list[str]:
    verbs = {each.verb for each in routes if each.template == template}
    return [*sorted(verbs | ({"HEAD"} if _GET in verbs else set())), "OPTIONS"]


def _options(template: str, each: GatewayRoute, policy: Rule) -> Rule:
    """Return the route of OPTIONS, which the filters answer; CORS needs a route to a service."""
    match = {"uri": _uri(each), "method": {"exact": "OPTIONS"}}
    return _answered(f"OPTIONS {template}", match, each, policy)


def _preflight(origin: str, each: GatewayRoute, policy: Rule) -> Rule:
    asked = {"access-control-request-method": {"regex": ".+"}, "origin": {"exact": origin}}
    match = {"uri": {"prefix": "/"}, "method": {"exact": "OPTIONS"}, "headers": asked}
    return _answered(f"preflight from {origin}", match, each, policy)


def _answered(name: str, match: Rule, each: GatewayRoute, policy: Rule) -> Rule:
    return {
        "name": name,
        "match": [match],
        "route": [{"destination": {"host": f"{each.deployable}{HOSTS}"}}],
        "retries": {"attempts": 0},
        "timeout": duration(_DEFAULT_MS),
        "corsPolicy": _cors(policy["cors"]),
        "headers": _answer_headers(),
    }


def _wrong_verb(template: str, routes: tuple[GatewayRoute, ...]) -> Rule:
    match = {"uri": _uri(_templates(routes)[template])}
    return _refusal(f"not {template}", 405, match, allow=", ".join(_verbs(routes, template)))


def _two_hosts() -> Rule:
    """Refuse two Host headers, which Envoy has joined with a comma."""
    return _refusal("two hosts", 400, {"authority": {"regex": ".*,.*"}})


def _no_length(each: GatewayRoute) -> Rule:
    match = {"uri": _uri(each), "method": _verb(each), "withoutHeaders": {"content-length": {}}}
    return _refusal(f"no length {each.name}", 411, match)


def _refusal(name: str, status: int, match: Rule | None, **headers: str) -> Rule:
    return {
        "name": name,
        **({"match": [match]} if match else {}),
        "directResponse": {"status": status},
        "headers": _answer_headers(**headers),
    }


def _answer_headers(**more: str) -> Rule:
    return {"response": {"set": {**_ANSWERS, **more}, "remove": list(_HIDDEN)}}


def _allowed(each: GatewayRoute, policy: Rule, issuer: str) -> Iterator[Rule]:
    """Yield the rules that let a route's callers pass."""
    verbs = [_GET, "HEAD"] if each.verb == _GET else [each.verb]
    to = [{"operation": {"methods": verbs, "paths": [_path(each)]}}]
    if each.audience is Audience.CUSTOMER:
        held = [{"key": "request.auth.claims[scope]", "values": [one]} for one in each.scopes]
        source = {"requestPrincipals": [f"{issuer}/*"]}
        yield {"from": [{"source": source}], "to": to, **({"when": held} if held else {})}
    elif each.audience is Audience.PARTNER:
        known = {one["name"]: one["principals"] for one in policy["partners"]}
        names = [principal(one) for partner in each.partners for one in known[partner]]
        yield {"from": [{"source": {"principals": names}}], "to": to}
    else:
        # A browser sends Origin; a foreign site must not log its visitors in.
        origin = "request.headers[origin]"
        yield {"to": to, "when": [{"key": origin, "notValues": ["*"]}]}
        yield {"to": to, "when": [{"key": origin, "values": policy["cors"]["allowOrigins"]}]}


def _path(each: GatewayRoute) -> str:
    """Return the path with Istio's wildcard for one segment.

    The wildcard must be a whole segment, so a custom verb such as ":cancel" is part of it; the
    route decides which of the paths exist.
    """
    segments = ["{*}" if "{" in part else part for part in each.template.split("/")]
    return "/".join(segments)


def _unrouted(routes: tuple[GatewayRoute, ...]) -> Iterator[Rule]:
    """Yield rules for what no route serves, so that the answer is 404 or 405 instead of 403."""
    paths: dict[str, set[str]] = {}
    for each in routes:
        paths.setdefault(_path(each), set()).update(_verbs(routes, each.template))
    yield {"to": [{"operation": {"notPaths": sorted(paths)}}]}
    for path, verbs in sorted(paths.items()):
        others = sorted(verbs - {"OPTIONS"})
        yield {"to": [{"operation": {"paths": [path], "notMethods": others}}]}
