"""An immutable, consistent set of resources for one proxy, and how it is made from the model.

Consistent: every cluster that a route names and every secret that a context names is in it. The
version is a digest of the content, so the same configuration has the same version everywhere.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import betterproto2
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import Secret

from mesh.controlplane import model
from mesh.controlplane.translate import edge as edge_translation
from mesh.controlplane.translate import sidecar as sidecar_translation
from mesh.controlplane.translate.parts import SecretSource


class SnapshotFault(ValueError):
    """A snapshot names a resource that it does not hold; it is not delivered."""


@dataclass(frozen=True)
class Snapshot:
    """All resources of one proxy."""

    workload: model.Workload
    version: str
    listeners: tuple[Listener, ...]
    clusters: tuple[Cluster, ...]
    secrets: tuple[Secret, ...]


SourceOf = Callable[[model.Workload], SecretSource]
"""Where the secrets of a workload are to be had."""


def snapshots(mesh: model.Mesh, source_of: SourceOf) -> dict[str, Snapshot]:
    """Translate the whole mesh; one snapshot a proxy, under its name."""
    made: dict[str, Snapshot] = {}
    for sidecar in mesh.sidecars:
        source = source_of(sidecar.workload)
        made[sidecar.workload.name] = _snapshot(
            sidecar.workload,
            sidecar_translation.listeners(sidecar, source),
            sidecar_translation.cluster_list(sidecar, source),
            sidecar_translation.secrets(sidecar),
        )
    edge, source = mesh.edge, source_of(mesh.edge.workload)
    made[edge.workload.name] = _snapshot(
        edge.workload,
        edge_translation.listeners(edge, source),
        edge_translation.cluster_list(edge, source),
        edge_translation.secrets(edge),
    )
    return made


def _snapshot(
    workload: model.Workload,
    listeners: Iterable[Listener],
    clusters: Iterable[Cluster],
    secrets: Iterable[Secret],
) -> Snapshot:
    parts = (tuple(listeners), tuple(clusters), tuple(secrets))
    made = Snapshot(workload, _digest([each for part in parts for each in part]), *parts)
    _refuse_inconsistent(made)
    return made


def _digest(resources: list[betterproto2.Message]) -> str:
    digest = hashlib.sha256()
    for resource in resources:
        digest.update(bytes(resource))
    return digest.hexdigest()[:16]


def _refuse_inconsistent(snapshot: Snapshot) -> None:
    clusters = {each.name for each in snapshot.clusters}
    secrets = {each.name for each in snapshot.secrets}
    for kind, names in (("cluster", clusters), ("secret", secrets)):
        held = snapshot.clusters if kind == "cluster" else snapshot.secrets
        if len(names) != len(held):
            raise SnapshotFault(f"{snapshot.workload.name}: two resources share a {kind} name")
    text = {
        "cluster": _mentioned([each.to_dict() for each in snapshot.listeners], _cluster_names),
        "secret": _mentioned(
            [each.to_dict() for each in (*snapshot.listeners, *snapshot.clusters)], _secret_names
        ),
    }
    for name in sorted(text["cluster"] - clusters):
        raise SnapshotFault(f"{snapshot.workload.name}: a route names the cluster {name}")
    for name in sorted(text["secret"] - secrets):
        raise SnapshotFault(f"{snapshot.workload.name}: a context names the secret {name}")


def _mentioned(value: object, found_in: Callable[[dict[str, object]], set[str]]) -> set[str]:
    if isinstance(value, dict):
        inner: set[str] = set()
        for part in value.values():
            inner |= _mentioned(part, found_in)
        return inner | found_in(value)
    if isinstance(value, list):
        return {name for part in value for name in _mentioned(part, found_in)}
    return set()


def _cluster_names(value: dict[str, object]) -> set[str]:
    # A RouteAction or an HttpUri; both name a cluster and have a time-out.
    named = value.get("cluster")
    return {named} if isinstance(named, str) else set()


def _secret_names(value: dict[str, object]) -> set[str]:
    single = value.get("validationContextSdsSecretConfig")
    listed = value.get("tlsCertificateSdsSecretConfigs")
    found = [single, *(listed if isinstance(listed, list) else [])]
    return {str(each.get("name")) for each in found if isinstance(each, dict)}
