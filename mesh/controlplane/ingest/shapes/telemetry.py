"""Telemetry: which requests a proxy logs."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mesh.controlplane.ingest.expression import logged
from mesh.controlplane.ingest.shape import Shape
from mesh.controlplane.ingest.shapes.metadata import Selector


class LogFilter(Shape):
    """Which requests are logged, as a CEL expression."""

    expression: Annotated[str, AfterValidator(logged)]


class LogProvider(Shape):
    """The program that writes the access log."""

    name: Literal["envoy"]


class AccessLogging(Shape):
    """The access log and its filter."""

    providers: Annotated[list[LogProvider], Field(min_length=1, max_length=1)]
    filter: LogFilter


class TelemetrySpec(Shape):
    """The access log of all proxies, or of one workload's."""

    selector: Selector | None = None
    access_logging: Annotated[list[AccessLogging], Field(min_length=1, max_length=1)]
