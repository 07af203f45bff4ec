"""The form of an EnvoyFilter, and Envoy's messages as its values.

Istio has no kind for what these objects set. They are output only: mesh/config has none, because no
check can judge a patch that somebody writes.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import betterproto2

from mesh.controlplane.deliver.snapshot import well_named
from mesh.istio.kinds import DERIVED, HOSTS, Kind, resource

_API = "networking.istio.io/v1alpha3"
FIRST, SECOND = 10, 20
"""With a priority, istiod's order of the objects does not depend on when they were created."""
_SERVICE, _PARTNER = "service/", "partner/"

Value = dict[str, Any]


def envoy_filter(
    name: str, workload: str, patches: Iterable[Kind], *, priority: int = FIRST
) -> Kind:
    """Return an EnvoyFilter for the proxies of a workload."""
    # istioctl warns of every EnvoyFilter; each Istio release is checked by `make conformance`.
    annotations = {**DERIVED, "galley.istio.io/analyze-suppress": "IST0133"}
    spec = {
        "workloadSelector": {"labels": {"app": workload}},
        "priority": priority,
        "configPatches": list(patches),
    }
    return resource(_API, "EnvoyFilter", name, spec, annotations=annotations)


def patch(kind: str, context: str, match: Mapping[str, Any], operation: str, value: Value) -> Kind:
    """Return one patch; without a value it removes what it matches."""
    change = {"operation": operation, **({"value": value} if value else {})}
    return {"applyTo": kind, "match": {"context": context, **match}, "patch": change}


def plain(message: betterproto2.Message) -> Value:
    """Return a message of Envoy as JSON, with the field names of the .proto files."""
    return well_named(message.to_dict(casing=betterproto2.Casing.SNAKE))


def of_istio(value: Any) -> Any:
    """Return a value with the names that Istio gives to clusters."""
    if isinstance(value, dict):
        return {
            key: cluster_name(each) if key == "cluster" else of_istio(each)
            for key, each in value.items()
        }
    return [of_istio(each) for each in value] if isinstance(value, list) else value


def cluster_name(name: str) -> str:
    """Return Istio's name of a cluster of the control plane."""
    host = name.removeprefix(_SERVICE).removeprefix(_PARTNER)
    return f"outbound|80||{host}{HOSTS if name.startswith(_SERVICE) else ''}"
