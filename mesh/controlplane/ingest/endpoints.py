"""Reads the endpoints file, which the stack writes: the addresses of all processes.

On a cluster Kubernetes provides the addresses; on one machine this JSON file lists them. The file
contains only addresses, paths and the limit of the machine, never policy.
"""

import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mesh.controlplane.ingest.faults import ConfigFault

CONNECTIONS_MAX = 8_000
"""The connections that a proxy accepts on a machine that allows it twice as many open files."""
HostPort = Annotated[str, Field(pattern=r"^[0-9a-z.\-]+:[0-9]{1,5}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KeyPair(_Strict):
    """A client certificate and its key, as PEM files."""

    cert: Path
    key: Path


class Credential(_Strict):
    """The files of one credentialName: the only authority that may sign the certificate of the
    partner's server, and the bank's client certificate if the partner requires one."""

    ca: Path
    client: KeyPair | None = None


class InstancePlace(_Strict):
    """One process of a service. With `admin_socket`, its own sidecar runs on this machine."""

    address: HostPort
    number: Annotated[int, Field(ge=0)] | None = None
    """The number in the name of its proxy; by default its position in the list."""
    version: str = ""
    """The label `version`, by which a DestinationRule selects a subset."""
    state: Literal["READY", "DRAINING"] = "READY"
    app_sockets: list[Path] = []
    outbound_socket: Path | None = None
    admin_socket: Path | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.outbound_socket is None) != (self.admin_socket is None):
            raise ValueError("an instance has both outbound_socket and admin_socket, or neither")
        return self


class ServicePlace(_Strict):
    """One service and the sidecar of its first instance.

    `mtls` is the address of the only instance; several are in `instances`. A service without both
    only makes calls.
    """

    mtls: HostPort | None = None
    instances: list[InstancePlace] = []
    app_sockets: list[Path] = []
    outbound_socket: Path
    admin_socket: Path

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.mtls and self.instances:
            raise ValueError("a service has either mtls or instances")
        addresses = [each.address for each in self.instances]
        if len(addresses) != len(set(addresses)):
            raise ValueError("two instances of a service have one address")
        numbers = [number for number, _ in self.numbered()]
        if numbers and (numbers[0] != 0 or len(numbers) != len(set(numbers))):
            raise ValueError("the first instance of a service has number 0, each other its own")
        return self

    def all_instances(self) -> list[InstancePlace]:
        """Return the instances in both forms of the file."""
        return [InstancePlace(address=self.mtls)] if self.mtls else self.instances

    def numbered(self) -> list[tuple[int, InstancePlace]]:
        """Return the instances with their numbers."""
        return [
            (position if each.number is None else each.number, each)
            for position, each in enumerate(self.all_instances())
        ]


class GatewayPlace(_Strict):
    """The addresses of the gateway."""

    listen: HostPort
    admin_socket: Path


class Endpoints(_Strict):
    """The whole file. Each mesh identity has `certs_dir`/<name>/{cert.pem,key.pem,ca.pem}."""

    services: dict[str, ServicePlace]
    gateway: GatewayPlace
    partners: dict[str, HostPort]
    certs_dir: Path
    webhook_ca: Path
    """The authority of the client certificates with which partners call the gateway. It signs no
    server's certificate."""
    credentials: dict[str, Credential]
    """By the credentialName of a DestinationRule."""
    connections_max: Annotated[int, Field(ge=1)] = CONNECTIONS_MAX
    """The connections that each proxy accepts. It must be well below the machine's limit of open
    files: a proxy that has no file left for a new connection uses all CPU and accepts none."""


def read(path: Path) -> Endpoints:
    """Read and check the file. Raises ConfigFault, which names the file."""
    try:
        return Endpoints.model_validate(json.loads(path.read_bytes()))
    except OSError as error:
        raise ConfigFault(path, 1, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigFault(path, 1, str(error)) from error
