"""Reads from Telemetry the CEL expression that filters the access log; only Envoy parses it."""

from mesh.controlplane.ingest import shapes
from mesh.controlplane.ingest.faults import Absent, ConfigFault
from mesh.controlplane.ingest.resources import Resource, of_kind
from mesh.controlplane.passed_on import PassedOn


def passed_on(resources: list[Resource]) -> PassedOn:
    """Return the expression, unparsed. Raises Absent unless there is exactly one Telemetry."""
    _, spec = _only(resources)
    return PassedOn(log_filter=spec.access_logging[0].filter.expression)


def expression_fault(resources: list[Resource], problem: str) -> ConfigFault:
    """Return the error for the expression."""
    resource, _ = _only(resources)
    return resource.fault(("spec", "accessLogging", 0, "filter", "expression"), problem)


def _only(resources: list[Resource]) -> tuple[Resource, shapes.TelemetrySpec]:
    found = of_kind(resources, shapes.TelemetrySpec)
    if len(found) != 1:
        raise Absent("mesh/config needs exactly one Telemetry")
    return found[0]
