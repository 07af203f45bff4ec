"""An immutable, consistent set of resources for one proxy, built from the model.

Consistent means that it contains every cluster that a route names and every secret that a TLS
context names. The version is a digest of the content, so the same configuration has the same
version everywhere.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import betterproto2
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import Secret
from envoy_data_plane.message_pool import default_message_pool

from mesh.controlplane import model
from mesh.controlplane.deliver.packed import Kind, Reference
from mesh.controlplane.deliver.uses import uses
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.translate import sidecar
from mesh.controlplane.translate.edge import gateway
from mesh.controlplane.translate.parts import SecretSource, in_files


class SnapshotFault(ValueError):
    """A snapshot is inconsistent, so it is not delivered; the message says why."""


@dataclass(frozen=True)
class Resource:
    """One resource in Envoy's form."""

    name: str
    message: Listener | Cluster | Secret

    @cached_property
    def body(self) -> bytes:
        """The packed message."""
        return bytes(self.message)

    @cached_property
    def json(self) -> dict[str, Any]:
        """The message as JSON, with the field names of the .proto files."""
        plain = self.message.to_dict(casing=betterproto2.Casing.SNAKE)
        return {"@type": type_url(self.message), **well_named(plain)}


def type_url(message: betterproto2.Message) -> str:
    """Return the name of a message's type, as an Any has it."""
    return default_message_pool.type_to_url[type(message)]


@dataclass(frozen=True)
class Snapshot:
    """All resources of one proxy."""

    workload: model.Workload
    version: str
    listeners: tuple[Resource, ...]
    clusters: tuple[Resource, ...]
    secrets: tuple[Resource, ...]


SourceOf = Callable[[model.Workload], SecretSource]
"""Returns the sources from which a workload's proxy gets its secrets."""


def snapshots(mesh: model.Mesh, passed_on: PassedOn, source_of: SourceOf) -> dict[str, Snapshot]:
    """Translate the whole mesh; return one snapshot for each proxy, by the name of its folder."""
    made = [sidecar_snapshot(each, passed_on, source_of) for each in mesh.sidecars]
    made.append(edge_snapshot(mesh.edge, passed_on, source_of))
    return {each.workload.folder: each for each in made}


def sidecar_snapshot(each: model.Sidecar, passed_on: PassedOn, source_of: SourceOf) -> Snapshot:
    """Translate one sidecar."""
    source = in_files(source_of(each.workload))
    return _snapshot(
        each.workload,
        sidecar.listeners(each, source, passed_on),
        sidecar.cluster_list(each, source),
        sidecar.secrets(each),
    )


def edge_snapshot(edge: model.Edge, passed_on: PassedOn, source_of: SourceOf) -> Snapshot:
    """Translate the gateway."""
    source = in_files(source_of(edge.workload))
    return _snapshot(
        edge.workload,
        gateway.listeners(edge, source, passed_on),
        gateway.cluster_list(edge, source),
        gateway.secrets(edge),
    )


def _snapshot(
    workload: model.Workload,
    listeners: Iterable[Listener],
    clusters: Iterable[Cluster],
    secrets: Iterable[Secret],
) -> Snapshot:
    parts = tuple(
        tuple(Resource(each.name, each) for each in part) for part in (listeners, clusters, secrets)
    )
    made = Snapshot(workload, _digest([each for part in parts for each in part]), *parts)
    _refuse_inconsistent(made)
    return made


def well_named(value: Any) -> Any:
    """Restore names such as consecutive_5xx, which the encoder splits around the digit."""
    if isinstance(value, dict):
        return {k.replace("_5_xx", "_5xx"): well_named(v) for k, v in value.items()}
    if isinstance(value, list):
        return [well_named(each) for each in value]
    return value


def _digest(resources: list[Resource]) -> str:
    digest = hashlib.sha256()
    for resource in resources:
        digest.update(type_url(resource.message).encode() + resource.body)
    return digest.hexdigest()[:16]


def _refuse_inconsistent(snapshot: Snapshot) -> None:
    who = snapshot.workload.name
    for part in (snapshot.listeners, snapshot.clusters, snapshot.secrets):
        names = [each.name for each in part]
        if len(set(names)) != len(names):
            raise SnapshotFault(
                f"{who}: two resources share a name, rename one of them: {sorted(names)}"
            )
    named = {found for part in (snapshot.listeners, snapshot.clusters) for found in _uses(part)}
    for name in sorted(_missing(named, Kind.CLUSTER, snapshot.clusters)):
        raise SnapshotFault(f"{who}: a route names the cluster {name}, which the snapshot lacks")
    for name in sorted(_missing(named, Kind.SECRET, snapshot.secrets)):
        raise SnapshotFault(
            f"{who}: a TLS context names the secret {name}, which the snapshot lacks"
        )


def _uses(resources: Iterable[Resource]) -> set[Reference]:
    return {found for each in resources for found in uses(each.message)}


def _missing(named: set[Reference], kind: Kind, present: Iterable[Resource]) -> set[str]:
    return {name for sort, name in named if sort is kind} - {each.name for each in present}
