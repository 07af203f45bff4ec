"""The headers that a route sets and removes, and its CORS policy."""

from typing import Any

from lab.conformance.facts.calls import Call
from lab.conformance.facts.routing import route_of

Json = dict[str, Any]
_CORS = "envoy.filters.http.cors"


def facts(table: Json, call: Call) -> Json:
    """Return what a route changes in a request and its response; empty without a route."""
    found = route_of(table, call)
    if found is None:
        return {}
    special = {key: each for part in found for key, each in _special(part).items()}
    return {
        "request sets": _set(found, "request_headers_to_add"),
        "request removes": _removed(found, "request_headers_to_remove"),
        "response sets": _set(found, "response_headers_to_add"),
        "response removes": _removed(found, "response_headers_to_remove"),
        "cors": _cors(special.get(_CORS)),
    }


def _special(part: Json) -> Json:
    return part.get("typed_per_filter_config", {})


def _set(parts: tuple[Json, Json], name: str) -> list[str]:
    headers = [each["header"] for part in parts for each in part.get(name, ())]
    return sorted(f"{each['key'].lower()}: {each.get('value', '')}" for each in headers)


def _removed(parts: tuple[Json, Json], name: str) -> list[str]:
    return sorted({each.lower() for part in parts for each in part.get(name, ())})


def _cors(policy: Json | None) -> Json | None:
    if policy is None:
        return None
    return {
        "origins": sorted(each["exact"] for each in policy.get("allow_origin_string_match", ())),
        **{
            name: sorted(each.strip().lower() for each in policy.get(key, "").split(","))
            for name, key in (
                ("methods", "allow_methods"),
                ("allowed", "allow_headers"),
                ("exposed", "expose_headers"),
            )
        },
        "max_age_s": policy.get("max_age"),
    }
