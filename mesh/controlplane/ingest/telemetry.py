"""Reads from Telemetry the CEL expression that filters the access log; only Envoy parses it."""

from mesh.controlplane.ingest import shapes
from mesh.controlplane.ingest.faults import MeshFault
from mesh.controlplane.ingest.resources import Resource, of_kind
from mesh.controlplane.passed_on import PassedOn


def passed_on(resources: list[Resource]) -> PassedOn:
    """Return the expression, unparsed. Raises MeshFault unless there is exactly one Telemetry."""
    found = of_kind(resources, shapes.TelemetrySpec)
    if len(found) != 1:
        raise MeshFault("mesh/config needs exactly one Telemetry")
    (_, spec), *_ = found
    return PassedOn(log_filter=spec.access_logging[0].filter.expression)
