"""Whether the RBAC filters of a connection manager let a call pass, by evaluating their rules."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lab.conformance.facts import matching
from lab.conformance.facts.calls import Call

Json = dict[str, Any]
_RBAC = "RBAC"
_PER_ROUTE = "RBACPerRoute"
_JWT = "envoy.filters.http.jwt_authn"


def allows(manager: Json, route: Json | None, call: Call) -> bool:
    """Return whether a call passes the token check and every RBAC filter."""
    special = (route or {}).get("typed_per_filter_config", {})
    if _needs_token(special) and call.claims is None:
        return False
    return all(_passes(rules, call) for rules in _rules(manager, special))


def _needs_token(special: Mapping[str, Json]) -> bool:
    return any("requirement_name" in each for each in special.values())


def _rules(manager: Json, special: Mapping[str, Json]) -> Iterator[Json]:
    """Yield the rules of each RBAC filter; those of the route replace those of the filter."""
    for each in manager.get("http_filters", ()):
        config = special.get(each["name"], each.get("typed_config", {}))
        kind = config.get("@type", "").rpartition(".")[2]
        if kind == _PER_ROUTE:
            config = config.get("rbac", {})
        elif kind != _RBAC:
            continue
        if "rules" in config:
            yield config["rules"]


def _passes(rules: Json, call: Call) -> bool:
    matched = any(
        any(_permission(one, call) for one in policy.get("permissions", ()))
        and any(_principal(one, call) for one in policy.get("principals", ()))
        for policy in rules.get("policies", {}).values()
    )
    action = rules.get("action", "ALLOW")
    return not matched if action == "DENY" else matched if action == "ALLOW" else True


def _permission(rule: Json, call: Call) -> bool:
    kind, value = _only(rule)
    combined = _combined(kind, value, "rules", lambda each: _permission(each, call))
    if combined is not None:
        return combined
    if kind == "url_path":
        return matching.string(value["path"], call.path.partition("?")[0])
    if kind == "header":
        return matching.header(value, call)
    if kind == "uri_template":
        return matching.template(value["typed_config"]["path_template"], call.path)
    raise matching.Unknown(f"permission {kind}")


def _principal(rule: Json, call: Call) -> bool:
    kind, value = _only(rule)
    combined = _combined(kind, value, "ids", lambda each: _principal(each, call))
    if combined is not None:
        return combined
    if kind == "authenticated":
        return call.identity is not None and matching.string(
            value.get("principal_name", {"prefix": ""}), call.identity
        )
    if kind == "filter_state" and value["key"] == "io.istio.peer_principal":
        return call.identity is not None and matching.string(value["string_match"], call.identity)
    if kind == "header":
        return matching.header(value, call)
    if kind == "metadata":
        return _claim(value, call)
    if kind == "sourced_metadata":
        return _claim(value["metadata_matcher"], call)
    raise matching.Unknown(f"principal {kind}")


def _only(rule: Json) -> tuple[str, Any]:
    ((kind, value),) = rule.items() if rule else (("any", True),)
    return kind, value


def _combined(kind: str, value: Any, suffix: str, evaluate: Callable[[Json], bool]) -> bool | None:
    if kind == "any":
        return True
    if kind == f"and_{suffix}":
        return all(evaluate(each) for each in value[suffix])
    if kind == f"or_{suffix}":
        return any(evaluate(each) for each in value[suffix])
    if kind in ("not_rule", "not_id"):
        return not evaluate(value)
    return None


def _claim(matcher: Json, call: Call) -> bool:
    """Return whether a claim of the token matches; its last path segment is the claim's name."""
    if matcher["filter"] != _JWT:
        raise matching.Unknown(f"metadata of {matcher['filter']}")
    name = matcher["path"][-1]["key"]
    held = None if call.claims is None else call.claims.get(name)
    found = held is not None and _value(matcher["value"], held)
    return found is not bool(matcher.get("invert"))


def _value(matcher: Json, held: str) -> bool:
    kind, value = _only(matcher)
    if kind == "string_match":
        return matching.string(value, held)
    if kind == "list_match":
        return any(_value(value["one_of"], each) for each in held.split())
    if kind == "or_match":
        return any(_value(each, held) for each in value["value_matchers"])
    raise matching.Unknown(f"value matcher {kind}")
