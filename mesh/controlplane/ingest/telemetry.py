"""Reads from Telemetry the CEL expression that filters the access log; only Envoy evaluates it.

As in Istio, a Telemetry for a workload replaces the one for all workloads there.
"""

from mesh.controlplane.ingest import shapes
from mesh.controlplane.ingest.faults import Absent, ConfigFault
from mesh.controlplane.ingest.resources import Resource, of_kind
from mesh.controlplane.passed_on import PassedOn

_KIND = "Telemetry"
_Found = list[tuple[Resource, shapes.TelemetrySpec]]


def passed_on(resources: list[Resource]) -> PassedOn:
    """Return the expressions unchanged.

    Raises an error unless there is exactly one Telemetry for all workloads, and at most one for
    each. `resolve` refuses one for a workload that does not exist.
    """
    found = of_kind(resources, shapes.TelemetrySpec)
    common = [each for each in found if each[1].selector is None]
    if not common:
        raise Absent(f"mesh/config needs exactly one {_KIND} without selector", _KIND)
    for another, _ in common[1:]:
        problem = f"mesh/config needs exactly one {_KIND} without selector; remove this one"
        raise another.fault(("kind",), problem)
    own = _of_workloads(found)
    return PassedOn(log_filter=_expression(common[0][1]), of_workloads=tuple(sorted(own.items())))


def expressions(resources: list[Resource]) -> list[tuple[Resource, str]]:
    """Return every expression with its resource."""
    return [(each, _expression(spec)) for each, spec in of_kind(resources, shapes.TelemetrySpec)]


def expression_fault(resource: Resource, problem: str) -> ConfigFault:
    """Return the error for the expression of a resource."""
    return resource.fault(("spec", "accessLogging", 0, "filter", "expression"), problem)


def _of_workloads(found: _Found) -> dict[str, str]:
    own: dict[str, str] = {}
    for resource, spec in found:
        if spec.selector is None:
            continue
        name, at = spec.selector.match_labels["app"], ("spec", "selector", "matchLabels", "app")
        if name in own:
            raise resource.fault(at, f"{name} already has a {_KIND}; remove one of them")
        own[name] = _expression(spec)
    return own


def _expression(spec: shapes.TelemetrySpec) -> str:
    return spec.access_logging[0].filter.expression
