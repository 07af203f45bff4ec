"""Translates the mesh into the snapshots of its nodes, in the form for streams.

After an edit only what depends on a changed part of the model is translated and packed again. Equal
resources of several nodes are one object.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.core.v3 import TypedExtensionConfig
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.config.route.v3 import Route, RouteConfiguration, VirtualHost
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import Secret

from mesh.controlplane import model
from mesh.controlplane.deliver.memory import Memory
from mesh.controlplane.deliver.packed import (
    Kind,
    NodeSnapshot,
    Packed,
    Reference,
    pack,
    snapshot,
)
from mesh.controlplane.deliver.snapshot import SnapshotFault
from mesh.controlplane.deliver.uses import uses
from mesh.controlplane.deliver.wire import nested
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.translate import clusters, host_routes, sidecar, tls
from mesh.controlplane.translate.edge import gateway
from mesh.controlplane.translate.edge import routes as edge_routes
from mesh.controlplane.translate.edge.listener import edge_extensions, edge_listener
from mesh.controlplane.translate.parts import STREAM

_T = TypeVar("_T")
_Packs = tuple[Packed, ...]
_Message = (
    Cluster | ClusterLoadAssignment | Listener | RouteConfiguration | Secret | TypedExtensionConfig
)
_Host = tuple[bytes, frozenset[Reference]]
"""A packed virtual host, and what it names."""
_VIRTUAL_HOSTS, _ROUTES = 2, 3
"""The numbers of these fields in a RouteConfiguration and in a VirtualHost."""
_KINDS: dict[type[_Message], Kind] = {
    Secret: Kind.SECRET,
    Cluster: Kind.CLUSTER,
    ClusterLoadAssignment: Kind.ENDPOINTS,
    Listener: Kind.LISTENER,
    RouteConfiguration: Kind.ROUTES,
    TypedExtensionConfig: Kind.EXTENSION,
}


class Translation:
    """Translates models of the mesh one after the other, and remembers their parts."""

    def __init__(self) -> None:
        self.memory = Memory()

    def node_snapshots(self, mesh: model.Mesh, passed_on: PassedOn) -> dict[str, NodeSnapshot]:
        """Return the snapshot of every node by its id. Raises SnapshotFault."""
        passed_on = self.memory.of(_itself, passed_on)
        if self.memory.crowded:
            with self.memory.forgetting():
                made = self._every_part(mesh, passed_on)
        else:
            of = self.memory.of_same
            made = [of(self._sidecar, each, passed_on) for each in mesh.sidecars]
            made.append(of(self._edge, mesh.edge, passed_on))
            self.memory.measure()
        return {each.node: each for each in made}

    def _every_part(self, mesh: model.Mesh, passed_on: PassedOn) -> list[NodeSnapshot]:
        """Return all snapshots, and ask the memory for all parts, so that it keeps them."""
        sidecars = [self._sidecar(each, passed_on) for each in mesh.sidecars]
        return [*sidecars, self._edge(mesh.edge, passed_on)]

    def _sidecar(self, each: model.Sidecar, passed_on: PassedOn) -> NodeSnapshot:
        of = self.memory.of
        hosts = [
            *(self._service_host(target) for target in each.services),
            *(of(_partner_host, partner) for partner in each.partners),
        ]
        parts: list[_Packs] = [
            of(self._listeners, sidecar.entrance(each), passed_on),
            self.memory.of_same(self._outbound_routes, *hosts),
            of(self._own_secrets, each.workload),
            *self._targets(each.workload, each.services, each.partners),
        ]
        if each.listen is not None:
            parts += [of(self._inbound_routes, each.grants, each.policies)]
            parts.append(of(self._app, each.app_sockets))
        return self._node(each.workload, parts)

    def _node(self, workload: model.Workload, parts: list[_Packs]) -> NodeSnapshot:
        # The memory compares the parts by identity, so the name has to be the same object too.
        return self.memory.of_same(_consistent, sys.intern(workload.node), *parts)

    def _edge(self, edge: model.Edge, passed_on: PassedOn) -> NodeSnapshot:
        of = self.memory.of
        parts: list[_Packs] = [
            of(self._edge_listener, gateway.entrance(edge), passed_on),
            of(self._edge_routes, gateway.routed(edge)),
            self._packed(edge_extensions(edge)),
            self._packed(gateway.own_secrets(edge)),
            of(self._own_secrets, edge.workload),
            *self._targets(edge.workload, edge.services, edge.partners),
        ]
        return self._node(edge.workload, parts)

    def _targets(
        self,
        workload: model.Workload,
        services: Iterable[model.ServiceTarget],
        partners: Iterable[model.Partner],
    ) -> list[_Packs]:
        of, own = self.memory.of, tls.own_secrets(workload)
        return [
            *(of(self._service, each, own) for each in services),
            *(of(self._partner, each) for each in partners),
        ]

    def _listeners(self, each: model.Sidecar, passed_on: PassedOn) -> _Packs:
        return self._packed(sidecar.listeners(each, STREAM, passed_on))

    def _service_host(self, target: model.ServiceTarget) -> _Host:
        routed = self.memory.of(host_routes.routed, target)
        return self.memory.of(_service_host, routed)

    def _outbound_routes(self, *hosts: _Host) -> _Packs:
        """Return the routes, put together from packed parts: nodes share most of these."""
        every = (*hosts, _packed_host(sidecar.no_way_out()))
        named = {found for _, names in every for found in names}
        body = bytes(RouteConfiguration(name=sidecar.OUTBOUND))
        body += b"".join(nested(_VIRTUAL_HOSTS, packed) for packed, _ in every)
        return self.memory.of(_together, pack(Kind.ROUTES, sidecar.OUTBOUND, body, named))

    def _inbound_routes(
        self, grants: tuple[model.Grant, ...], policies: tuple[model.Policy, ...]
    ) -> _Packs:
        return self._packed([sidecar.inbound_routes(grants, policies)])

    def _edge_listener(self, edge: model.Edge, passed_on: PassedOn) -> _Packs:
        return self._packed([edge_listener(edge, STREAM, passed_on)])

    def _edge_routes(self, edge: model.Edge) -> _Packs:
        """Return the routes, put together from packed routes: an edit changes few of them."""
        host = bytes(edge_routes.virtual_host(edge))
        named: set[Reference] = set()
        for piece in edge_routes.pieces(edge):
            packed, found = self.memory.of(_packed_routes, *piece)
            host, named = host + packed, named | found
        body = bytes(RouteConfiguration(name=edge_routes.NAME)) + nested(_VIRTUAL_HOSTS, host)
        return self.memory.of(_together, pack(Kind.ROUTES, edge_routes.NAME, body, named))

    def _app(self, sockets: tuple[Path, ...]) -> _Packs:
        return self._packed(
            [clusters.app_cluster(sockets, STREAM), clusters.app_endpoints(sockets)]
        )

    def _own_secrets(self, workload: model.Workload) -> _Packs:
        return self._packed(tls.workload_secrets(workload))

    def _service(self, target: model.ServiceTarget, own: tls.OwnSecrets) -> _Packs:
        endpoints = clusters.service_endpoints(target)
        return self._packed([*clusters.service_clusters(target, own, STREAM), *endpoints])

    def _partner(self, partner: model.Partner) -> _Packs:
        built = clusters.partner_cluster(partner, STREAM)
        endpoints = clusters.partner_endpoints(partner)
        return self._packed([built, endpoints, *tls.partner_secrets(partner)])

    def _packed(self, messages: Iterable[_Message]) -> _Packs:
        """Return the packed messages; equal resources, and equal groups of them, are one object."""
        made = tuple(self.memory.of(_itself, _pack(each)) for each in messages)
        return self.memory.of(_together, *made)


def _service_host(target: model.ServiceTarget) -> _Host:
    return _packed_host(sidecar.service_host(target))


def _partner_host(partner: model.Partner) -> _Host:
    return _packed_host(sidecar.partner_host(partner))


def _packed_host(host: VirtualHost) -> _Host:
    return bytes(host), uses(host)


def _packed_routes(make: Callable[..., list[Route]], *given: object) -> _Host:
    made = make(*given)
    named = {found for each in made for found in uses(each)}
    return b"".join(nested(_ROUTES, bytes(each)) for each in made), frozenset(named)


def _pack(message: _Message) -> Packed:
    name = message.cluster_name if isinstance(message, ClusterLoadAssignment) else message.name
    return pack(_KINDS[type(message)], name, bytes(message), uses(message))


def _itself(value: _T) -> _T:
    return value


def _together(*resources: Packed) -> _Packs:
    return resources


def _consistent(node: str, *parts: _Packs) -> NodeSnapshot:
    """Return the snapshot; several parts may have the same resource, such as a secret."""
    found: dict[Reference, Packed] = {}
    for each in (one for part in parts for one in part):
        known = found.setdefault((each.kind, each.name), each)
        if known is not each and known != each:
            raise SnapshotFault(
                f"{node}: two resources share the name {each.name}; rename one of them"
            )
    for each in found.values():
        for used in each.uses:
            if used not in found:
                raise SnapshotFault(
                    f"{node}: {each.name} names {used[1]} ({used[0].name.lower()}), which the "
                    "snapshot lacks"
                )
    return snapshot(node, found.values())
