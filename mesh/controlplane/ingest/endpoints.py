"""Reads the endpoints file, which the stack writes: the addresses of all processes.

On a cluster Kubernetes provides the addresses; on one machine this JSON file lists them. The file
contains only addresses, paths and the limit of the machine, never policy.
"""

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

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


class ServicePlace(_Strict):
    """One service and its sidecar. A service without `mtls` only makes calls."""

    mtls: HostPort | None = None
    app_sockets: list[Path] = []
    outbound_socket: Path
    admin_socket: Path


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
