"""Gateway: the gateway's public port and its TLS."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mesh.controlplane.ingest.shape import Shape


class GatewayPort(Shape):
    """The gateway's public port. The endpoints file has the port on which it listens."""

    number: Literal[443]
    name: Literal["https"]
    protocol: Literal["HTTPS"]


class GatewayTls(Shape):
    """The gateway's TLS; a client certificate is optional and identifies a partner."""

    mode: Literal["OPTIONAL_MUTUAL"]
    credential_name: Literal["edge"]
    min_protocol_version: Literal["TLSV1_2", "TLSV1_3"]
    max_protocol_version: Literal["TLSV1_2", "TLSV1_3"]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_protocol_version > self.max_protocol_version:
            raise ValueError("minProtocolVersion is above maxProtocolVersion")
        return self


class GatewayServer(Shape):
    """One listener of the gateway."""

    port: GatewayPort
    hosts: Annotated[list[Literal["*"]], Field(min_length=1, max_length=1)]
    tls: GatewayTls


class GatewaySpec(Shape):
    """The gateway: one server for all hosts."""

    selector: Annotated[dict[Literal["app"], Literal["gateway"]], Field(min_length=1)]
    servers: Annotated[list[GatewayServer], Field(min_length=1, max_length=1)]
