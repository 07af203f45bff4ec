"""The route that a call takes, and what it does with the call."""

from typing import Any

from lab.conformance.facts import matching, names
from lab.conformance.facts.calls import Call
from lab.conformance.facts.proxy import milliseconds

Json = dict[str, Any]
_TIMEOUT_MS = 15_000
_BACKOFF_MS = 25
_GROWTH = 10
_PREVIOUS = "envoy.retry_host_predicates.previous_hosts"


def route_of(table: Json, call: Call) -> tuple[Json, Json] | None:
    """Return the virtual host and the route of a call; None when Envoy answers 404."""
    host = _virtual_host(table, call.authority)
    if host is None:
        return None
    for route in host.get("routes", ()):
        if _matches(route["match"], call):
            return host, route
    return None


def facts(table: Json, call: Call) -> Json:
    """Return what happens to a call: an answer, or where it goes and how."""
    found = route_of(table, call)
    if found is None:
        return {"answer": 404}
    host, route = found
    if "direct_response" in route:
        return {"answer": route["direct_response"]["status"]}
    if "redirect" in route:
        return {"answer": 301}
    action = route["route"]
    to = _destinations(action)
    if set(to) == {names.NOWHERE}:
        return {"answer": 502}
    return {
        "to": to,
        "timeout_ms": _unlimited(milliseconds(action.get("timeout"), _TIMEOUT_MS)),
        "retries": _retries(action.get("retry_policy") or host.get("retry_policy")),
        "authority": action.get("host_rewrite_literal", ""),
        "fault": _fault(route),
        "mirrors": [_mirror(each) for each in action.get("request_mirror_policies", ())],
    }


def _unlimited(ms: int | None) -> int | str | None:
    return "unlimited" if ms == 0 else ms


def _virtual_host(table: Json, authority: str) -> Json | None:
    """Return the virtual host of an authority: exact, then the longest wildcard, then "*"."""
    ranked: list[tuple[int, int, Json]] = []
    for host in table.get("virtual_hosts", ()):
        for domain in host["domains"]:
            if domain == authority:
                return host
            if domain == "*":
                ranked.append((0, 0, host))
            elif domain.startswith("*") and authority.endswith(domain[1:]):
                ranked.append((2, len(domain), host))
            elif domain.endswith("*") and authority.startswith(domain[:-1]):
                ranked.append((1, len(domain), host))
    return max(ranked, key=lambda each: each[:2])[2] if ranked else None


def _matches(match: Json, call: Call) -> bool:
    if "runtime_fraction" in match or "query_parameters" in match:
        raise matching.Unknown("a route with a random or query condition")
    return matching.path(match, call) and all(
        matching.header(each, call) for each in match.get("headers", ())
    )


def _destinations(action: Json) -> dict[str, int]:
    if "cluster" in action:
        return {names.destination(action["cluster"]): 100}
    clusters = action["weighted_clusters"]["clusters"]
    total = sum(each.get("weight", 0) for each in clusters)
    shares: dict[str, int] = {}
    for each in clusters:
        name = names.destination(each["name"])
        shares[name] = shares.get(name, 0) + each.get("weight", 0)
    return {name: round(100 * each / total) for name, each in shares.items()}


def _retries(policy: Json | None) -> Json | None:
    if not policy or policy.get("num_retries", 1) == 0 or not policy.get("retry_on"):
        return None
    backoff = policy.get("retry_back_off", {})
    base = milliseconds(backoff.get("base_interval"), _BACKOFF_MS) or _BACKOFF_MS
    predicates = [each["name"] for each in policy.get("retry_host_predicate", ())]
    return {
        "on": sorted(policy["retry_on"].split(",")),
        "attempts": policy.get("num_retries", 1),
        "per_try_ms": milliseconds(policy.get("per_try_timeout"), None),
        "backoff_ms": base,
        "backoff_ms_max": milliseconds(backoff.get("max_interval"), base * _GROWTH),
        "previous_hosts": _PREVIOUS in predicates,
    }


def _mirror(policy: Json) -> str:
    share = policy.get("runtime_fraction", {}).get("default_value")
    return f"{_percent(share)} % to {names.destination(policy['cluster'])}"


def _fault(route: Json) -> Json | None:
    config = route.get("typed_per_filter_config", {}).get("envoy.filters.http.fault")
    if not config:
        return None
    delay, abort = config.get("delay"), config.get("abort")
    return {
        "delay_ms": milliseconds(delay["fixed_delay"], None) if delay else None,
        "delayed_percent": _percent(delay.get("percentage")) if delay else 0,
        "status": abort.get("http_status", abort.get("grpc_status")) if abort else None,
        "aborted_percent": _percent(abort.get("percentage")) if abort else 0,
    }


def _percent(share: Json | None) -> float:
    """Return a FractionalPercent; 100 when it is absent."""
    if share is None:
        return 100
    parts = {"HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000}
    return 100 * share.get("numerator", 0) / parts[share.get("denominator", "HUNDRED")]
