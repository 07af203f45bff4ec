"""An immutable, consistent set of resources for one proxy, built from the model.

Consistent means that it contains every cluster that a route names and every secret that a TLS
context names. The version is a digest of the content, so the same configuration has the same
version everywhere.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import betterproto2
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import Secret
from envoy_data_plane.message_pool import default_message_pool

from mesh.controlplane import model
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.translate import sidecar
from mesh.controlplane.translate.edge import gateway
from mesh.controlplane.translate.parts import SecretSource


class SnapshotFault(ValueError):
    """A snapshot is inconsistent, so it is not delivered; the message says why."""


@dataclass(frozen=True)
class Resource:
    """One resource in Envoy's form. `json` uses the field names of the .proto files."""

    name: str
    message: betterproto2.Message
    json: dict[str, Any]


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
    """Translate the whole mesh; return one snapshot for each proxy, by its name."""
    made: dict[str, Snapshot] = {}
    for each in mesh.sidecars:
        source = source_of(each.workload)
        made[each.workload.name] = _snapshot(
            each.workload,
            sidecar.listeners(each, source, passed_on),
            sidecar.cluster_list(each, source),
            sidecar.secrets(each),
        )
    edge, source = mesh.edge, source_of(mesh.edge.workload)
    made[edge.workload.name] = _snapshot(
        edge.workload,
        gateway.listeners(edge, source, passed_on),
        gateway.cluster_list(edge, source),
        gateway.secrets(edge),
    )
    return made


def _snapshot(
    workload: model.Workload,
    listeners: Iterable[Listener],
    clusters: Iterable[Cluster],
    secrets: Iterable[Secret],
) -> Snapshot:
    parts = tuple(
        tuple(_resource(each) for each in part) for part in (listeners, clusters, secrets)
    )
    made = Snapshot(workload, _digest([each for part in parts for each in part]), *parts)
    _refuse_inconsistent(made)
    return made


def _resource(message: Listener | Cluster | Secret) -> Resource:
    plain = message.to_dict(casing=betterproto2.Casing.SNAKE)
    url = default_message_pool.type_to_url[type(message)]
    return Resource(message.name, message, {"@type": url, **_well_named(plain)})


def _well_named(value: Any) -> Any:
    """Restore names such as consecutive_5xx, which the encoder splits around the digit."""
    if isinstance(value, dict):
        return {k.replace("_5_xx", "_5xx"): _well_named(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_well_named(each) for each in value]
    return value


def _digest(resources: list[Resource]) -> str:
    digest = hashlib.sha256()
    for resource in resources:
        digest.update(json.dumps(resource.json, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def _refuse_inconsistent(snapshot: Snapshot) -> None:
    who = snapshot.workload.name
    for part in (snapshot.listeners, snapshot.clusters, snapshot.secrets):
        names = [each.name for each in part]
        if len(set(names)) != len(names):
            raise SnapshotFault(
                f"{who}: two resources share a name, rename one of them: {sorted(names)}"
            )
    clusters = _mentioned([each.json for each in snapshot.listeners], _cluster_names)
    for name in sorted(clusters - {each.name for each in snapshot.clusters}):
        raise SnapshotFault(f"{who}: a route names the cluster {name}, which the snapshot lacks")
    users = [each.json for each in (*snapshot.listeners, *snapshot.clusters)]
    for name in sorted(_mentioned(users, _secret_names) - {each.name for each in snapshot.secrets}):
        raise SnapshotFault(
            f"{who}: a TLS context names the secret {name}, which the snapshot lacks"
        )


def _mentioned(value: Any, found_in: Callable[[dict[str, Any]], set[str]]) -> set[str]:
    if isinstance(value, dict):
        inner = {name for part in value.values() for name in _mentioned(part, found_in)}
        return inner | found_in(value)
    if isinstance(value, list):
        return {name for part in value for name in _mentioned(part, found_in)}
    return set()


def _cluster_names(value: dict[str, Any]) -> set[str]:
    named = value.get("cluster")
    return {named} if isinstance(named, str) else set()


def _secret_names(value: dict[str, Any]) -> set[str]:
    found = [
        value.get("validation_context_sds_secret_config"),
        *(value.get("tls_certificate_sds_secret_configs") or []),
    ]
    return {each["name"] for each in found if each}
