"""ServiceEntry: hosts outside the mesh. A partner's are called through the sidecar, which adds TLS.

Databases and brokers are called directly. Their entries say which workload needs them: Istio passes
a connection on only to a host that it knows.
"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mesh.controlplane.ingest.shape import Shape
from mesh.controlplane.ingest.shapes.metadata import ExportTo
from mesh.controlplane.ingest.values import Host, Name, once

_PARTNER = (80, "http", 443)
_PORT_MAX = 65535


class EntryPort(Shape):
    """The port of a host: HTTP for a partner, TCP for a database or a broker."""

    CARRIED: ClassVar[frozenset[str]] = frozenset({"number", "name", "target_port"})

    number: Annotated[int, Field(ge=1, le=_PORT_MAX)]
    name: Name
    protocol: Literal["HTTP", "TCP"]
    target_port: Annotated[int, Field(ge=1, le=_PORT_MAX)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        found = (self.number, self.name, self.target_port)
        if self.protocol == "HTTP" and found != _PARTNER:
            raise ValueError(
                "a partner's port must be number 80, name http, targetPort 443: services send plain"
                " HTTP to their sidecar, which adds TLS"
            )
        if self.protocol == "TCP" and not self.name.startswith("tcp-"):
            raise ValueError("the name of a TCP port must begin with tcp-, as Istio expects")
        if self.protocol == "TCP" and self.target_port is not None:
            raise ValueError("targetPort has no effect for TCP; remove it")
        return self


class Endpoint(Shape):
    """The host at whose address a partner is reached."""

    address: Host


class ServiceEntrySpec(Shape):
    """Hosts outside the mesh; each is at its own address, or all at one."""

    CARRIED: ClassVar[frozenset[str]] = frozenset({"export_to", "location", "resolution"})

    hosts: Annotated[list[Host], Field(min_length=1), AfterValidator(once)]
    export_to: ExportTo | None = None
    ports: Annotated[list[EntryPort], Field(min_length=1, max_length=1)]
    location: Literal["MESH_EXTERNAL"]
    resolution: Literal["DNS"]
    endpoints: Annotated[list[Endpoint], Field(min_length=1, max_length=1)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.endpoints and not self.through_sidecar:
            raise ValueError("endpoints have no effect for TCP; remove them")
        return self

    @property
    def through_sidecar(self) -> bool:
        """Whether workloads call the hosts through their sidecar."""
        return self.ports[0].protocol == "HTTP"
