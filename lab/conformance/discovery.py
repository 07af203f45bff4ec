"""Fetches the configuration of one proxy from istiod, as that proxy would: by ADS.

State of the world: clusters, then their endpoints, listeners, and the routes that listeners name.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

import grpc
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.service.discovery import v3 as discovery

from lab.conformance.decoding import Json, decoded
from mesh.controlplane.translate.parts import struct
from ops.waiting import scaled_s
from services.contracts import NAMESPACE

_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
_TYPES = "type.googleapis.com/envoy.config."
CLUSTER = f"{_TYPES}cluster.v3.Cluster"
ENDPOINTS = f"{_TYPES}endpoint.v3.ClusterLoadAssignment"
LISTENER = f"{_TYPES}listener.v3.Listener"
ROUTES = f"{_TYPES}route.v3.RouteConfiguration"
_ANSWER_S = 60
_MESSAGE_BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True)
class Node:
    """A proxy as it introduces itself to istiod."""

    workload: str
    address: str
    router: bool = False

    @property
    def id(self) -> str:
        """Return the id, in Istio's form of four parts."""
        kind = "router" if self.router else "sidecar"
        pod = f"{self.workload}-0.{NAMESPACE}"
        return f"{kind}~{self.address}~{pod}~{NAMESPACE}.svc.cluster.local"

    @property
    def metadata(self) -> dict[str, Any]:
        """Return the metadata by which istiod finds the workload's pod and policies."""
        return {
            "INTERCEPTION_MODE": "NONE",
            "CLUSTER_ID": "Kubernetes",
            "NAMESPACE": NAMESPACE,
            "LABELS": {"app": self.workload},
            "SERVICE_ACCOUNT": self.workload,
            "WORKLOAD_NAME": self.workload,
            "ISTIO_VERSION": "1.31.0",
            "MESH_ID": "bp.internal",
            "INSTANCE_IPS": self.address,
        }


async def fetched(address: str, node: Node) -> dict[str, list[Json]]:
    """Return all resources of a proxy, by type URL."""
    options = [("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        stream = _Stream(channel, node)
        try:
            clusters = await stream.ask(CLUSTER, ())
            by_eds = [each["name"] for each in clusters if each.get("type") == "EDS"]
            endpoints = await stream.ask(ENDPOINTS, _assigned(clusters)) if by_eds else []
            listeners = await stream.ask(LISTENER, ())
            named = sorted(set(route_names(listeners)))
            routes = await stream.ask(ROUTES, named) if named else []
        finally:
            stream.close()
    return {CLUSTER: clusters, ENDPOINTS: endpoints, LISTENER: listeners, ROUTES: routes}


def route_names(value: Any) -> Iterable[str]:
    """Yield the names of the routes that listeners want by RDS."""
    if isinstance(value, dict):
        if "route_config_name" in value:
            yield value["route_config_name"]
        for each in value.values():
            yield from route_names(each)
    elif isinstance(value, list):
        for each in value:
            yield from route_names(each)


def _assigned(clusters: list[Json]) -> list[str]:
    return [
        each.get("eds_cluster_config", {}).get("service_name") or each["name"]
        for each in clusters
        if each.get("type") == "EDS"
    ]


class _Stream:
    """One stream: a request of each type, acknowledged."""

    def __init__(self, channel: grpc.aio.Channel, node: Node) -> None:
        self._node = core.Node(id=node.id, cluster=node.workload, metadata=struct(node.metadata))
        self._requests = asyncio.Queue[bytes]()
        call = channel.stream_stream(_METHOD, request_serializer=bytes, response_deserializer=bytes)
        self._call = call(self._sent())

    async def ask(self, type_url: str, names: Iterable[str]) -> list[Json]:
        """Return the resources of one type."""
        wanted = list(names)
        request = discovery.DiscoveryRequest(
            node=self._node, type_url=type_url, resource_names=wanted
        )
        await self._requests.put(bytes(request))
        async with asyncio.timeout(scaled_s(_ANSWER_S)):
            answer = await self._answer(type_url)
        request.version_info, request.response_nonce = answer.version_info, answer.nonce
        await self._requests.put(bytes(request))
        return [decoded(each.type_url, each.value) for each in answer.resources]

    async def _answer(self, type_url: str) -> discovery.DiscoveryResponse:
        while True:
            body = await self._call.read()
            if not isinstance(body, bytes):
                raise RuntimeError(f"istiod ended the stream: {await self._call.details()}")
            answer = discovery.DiscoveryResponse.parse(body)
            if answer.type_url == type_url:
                return answer

    def close(self) -> None:
        """End the stream."""
        self._call.cancel()

    async def _sent(self) -> AsyncIterator[bytes]:
        while True:
            yield await self._requests.get()
