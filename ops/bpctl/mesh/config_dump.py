"""What Envoy itself says that it has, from the config_dump of its admin interface. Pure.

In the delta protocol Envoy keeps the version of each resource, which is the digest of its bytes, so
a comparison needs no content. Envoy keeps no version of endpoints; their addresses are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

WARMING = "warming"


@dataclass(frozen=True, slots=True)
class Held:
    """One resource in a proxy. `version` is "" if Envoy keeps none."""

    kind: str
    name: str
    version: str
    warming: bool
    content: dict[str, Any]


def held(dump: dict[str, Any]) -> list[Held]:
    """Return the resources that a proxy got from the control plane."""
    found: list[Held] = []
    for part in dump.get("configs", []):
        read = _READERS.get(str(part.get("@type", "")).rpartition(".")[2])
        if read is not None:
            found.extend(read(part))
    return found


def _clusters(part: dict[str, Any]) -> Iterator[Held]:
    for key, warming in (("dynamic_active_clusters", False), ("dynamic_warming_clusters", True)):
        for each in part.get(key, []):
            cluster = each.get("cluster", {})
            yield Held("CLUSTER", cluster.get("name", ""), _version(each), warming, cluster)


def _listeners(part: dict[str, Any]) -> Iterator[Held]:
    for each in part.get("dynamic_listeners", []):
        for key, warming in (("active_state", False), ("warming_state", True)):
            if state := each.get(key):
                content = state.get("listener", {})
                yield Held("LISTENER", each.get("name", ""), _version(state), warming, content)


def _routes(part: dict[str, Any]) -> Iterator[Held]:
    for each in part.get("dynamic_route_configs", []):
        content = each.get("route_config", {})
        yield Held(
            "ROUTES", content.get("name", ""), _version(each), warming=False, content=content
        )


def _secrets(part: dict[str, Any]) -> Iterator[Held]:
    for key, warming in (("dynamic_active_secrets", False), ("dynamic_warming_secrets", True)):
        for each in part.get(key, []):
            content = each.get("secret", {})
            yield Held("SECRET", each.get("name", ""), _version(each), warming, content)


def _endpoints(part: dict[str, Any]) -> Iterator[Held]:
    for each in part.get("dynamic_endpoint_configs", []):
        content = each.get("endpoint_config", {})
        name = content.get("cluster_name", "")
        yield Held("ENDPOINTS", name, "", warming=False, content=content)


def _extensions(part: dict[str, Any]) -> Iterator[Held]:
    for each in part.get("ecds_filters", []):
        content = each.get("ecds_filter", {})
        name = content.get("name", "")
        yield Held("EXTENSION", name, _version(each), warming=False, content=content)


def _version(each: dict[str, Any]) -> str:
    return str(each.get("version_info", ""))


_READERS = {
    "ClustersConfigDump": _clusters,
    "ListenersConfigDump": _listeners,
    "RoutesConfigDump": _routes,
    "SecretsConfigDump": _secrets,
    "EndpointsConfigDump": _endpoints,
    "EcdsConfigDump": _extensions,
}


def addresses(endpoints: dict[str, Any]) -> list[str]:
    """Return the addresses of a ClusterLoadAssignment with their health, sorted."""
    found = [
        f"{_address(one.get('endpoint', {}).get('address', {}))} {_health(one)}"
        for locality in endpoints.get("endpoints", [])
        for one in locality.get("lb_endpoints", [])
    ]
    return sorted(each.strip() for each in found)


def _health(endpoint: dict[str, Any]) -> str:
    """Return the health, or "" for a healthy endpoint: Envoy fills in what is left out."""
    health = str(endpoint.get("health_status", ""))
    return "" if health in ("UNKNOWN", "HEALTHY") else health


def _address(address: dict[str, Any]) -> str:
    if pipe := address.get("pipe"):
        return str(pipe.get("path"))
    socket = address.get("socket_address", {})
    return f"{socket.get('address')}:{socket.get('port_value')}"
