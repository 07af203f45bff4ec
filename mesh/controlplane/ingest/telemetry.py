"""Reads from Telemetry the CEL expression that filters the access log; only Envoy evaluates it."""

from mesh.controlplane.ingest import shapes
from mesh.controlplane.ingest.faults import ConfigFault
from mesh.controlplane.ingest.resources import Resource, of_kind, the_only
from mesh.controlplane.passed_on import PassedOn


def passed_on(resources: list[Resource]) -> PassedOn:
    """Return the expression unchanged. Raises an error unless there is exactly one Telemetry."""
    _, spec = the_only(resources, shapes.TelemetrySpec)
    return PassedOn(log_filter=_expression(spec))


def expressions(resources: list[Resource]) -> list[tuple[Resource, str]]:
    """Return every expression with its resource."""
    return [(each, _expression(spec)) for each, spec in of_kind(resources, shapes.TelemetrySpec)]


def expression_fault(resource: Resource, problem: str) -> ConfigFault:
    """Return the error for the expression of a resource."""
    return resource.fault(("spec", "accessLogging", 0, "filter", "expression"), problem)


def _expression(spec: shapes.TelemetrySpec) -> str:
    return spec.access_logging[0].filter.expression
