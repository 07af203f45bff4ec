"""Sidecar: the sockets between a workload and its proxy, and which hosts the workload may call."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mesh.controlplane.ingest.shape import Shape
from mesh.controlplane.ingest.shapes.metadata import WorkloadSelector
from mesh.controlplane.ingest.values import Visible, once

_NO_HOST = "~/*"


def _none_or_some(hosts: list[str]) -> list[str]:
    if _NO_HOST in hosts and len(hosts) > 1:
        raise ValueError(f"{_NO_HOST} allows no host; remove it, or the other hosts")
    return hosts


class IngressPort(Shape):
    """The port on which the proxy accepts calls of other proxies."""

    number: Literal[8443]
    name: Literal["grpc-mesh"]
    protocol: Literal["GRPC"]


class SidecarIngress(Shape):
    """Where the proxy passes on incoming calls: the workload's Unix socket."""

    port: IngressPort
    capture_mode: Literal["NONE"]
    default_endpoint: Literal["unix:///run/bp/in.sock"]


class EgressPort(Shape):
    """A Unix socket has no port; Istio wants 0."""

    number: Literal[0]
    name: Literal["http-out"]
    protocol: Literal["HTTP"]


class SidecarEgress(Shape):
    """The hosts that a workload may call; "~/*" allows none. Istio refuses an empty list."""

    port: EgressPort | None = None
    bind: Literal["unix:///run/bp/out.sock"] | None = None
    capture_mode: Literal["NONE"] | None = None
    hosts: Annotated[
        list[Visible], Field(min_length=1), AfterValidator(once), AfterValidator(_none_or_some)
    ]


class OutboundTrafficPolicy(Shape):
    """A workload cannot call a host that is not listed."""

    mode: Literal["REGISTRY_ONLY"]


class SidecarSpec(Shape):
    """The incoming and outgoing calls of one workload's proxy."""

    workload_selector: WorkloadSelector | None = None
    ingress: Annotated[list[SidecarIngress], Field(min_length=1, max_length=1)] | None = None
    egress: Annotated[list[SidecarEgress], Field(min_length=1, max_length=1)]
    outbound_traffic_policy: OutboundTrafficPolicy
