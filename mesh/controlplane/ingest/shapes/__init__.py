"""The kinds that this control plane supports, field by field; each module has one subject.

Names and meanings are Istio's own. Every other field is refused with file, line and reason
(refusals.toml): a cluster would apply it, but one machine would not. The bank's own kind,
EdgePolicy, is in edge_policy.py.
"""

from mesh.controlplane.ingest.edge_policy import EdgePolicySpec
from mesh.controlplane.ingest.shape import Shape
from mesh.controlplane.ingest.shapes.destination_rule import (
    ClientTls,
    ConnectionPool,
    DestinationRuleSpec,
    HttpPool,
    LoadBalancer,
    OutlierDetection,
    Subset,
    SubsetPolicy,
    TcpPool,
    TrafficPolicy,
)
from mesh.controlplane.ingest.shapes.gateway import GatewaySpec
from mesh.controlplane.ingest.shapes.metadata import DRY_RUN, Metadata
from mesh.controlplane.ingest.shapes.security import (
    AuthorizationPolicySpec,
    JwtRule,
    Operation,
    PeerAuthenticationSpec,
    RequestAuthenticationSpec,
    Rule,
    Source,
)
from mesh.controlplane.ingest.shapes.service_entry import ServiceEntrySpec
from mesh.controlplane.ingest.shapes.sidecar import SidecarSpec
from mesh.controlplane.ingest.shapes.telemetry import TelemetrySpec
from mesh.controlplane.ingest.shapes.virtual_service import (
    Destination,
    HeaderOperations,
    HttpDestination,
    HttpFault,
    HttpMatch,
    HttpRoute,
    Percentage,
    Retries,
    TextMatch,
    VirtualServiceSpec,
)

SPECS: dict[tuple[str, str], type[Shape]] = {
    ("networking.istio.io/v1", "Gateway"): GatewaySpec,
    ("networking.istio.io/v1", "VirtualService"): VirtualServiceSpec,
    ("networking.istio.io/v1", "DestinationRule"): DestinationRuleSpec,
    ("networking.istio.io/v1", "ServiceEntry"): ServiceEntrySpec,
    ("networking.istio.io/v1", "Sidecar"): SidecarSpec,
    ("security.istio.io/v1", "PeerAuthentication"): PeerAuthenticationSpec,
    ("security.istio.io/v1", "AuthorizationPolicy"): AuthorizationPolicySpec,
    ("security.istio.io/v1", "RequestAuthentication"): RequestAuthenticationSpec,
    ("telemetry.istio.io/v1", "Telemetry"): TelemetrySpec,
    ("mesh.bp.internal/v1", "EdgePolicy"): EdgePolicySpec,
}

__all__ = [
    "DRY_RUN",
    "SPECS",
    "AuthorizationPolicySpec",
    "ClientTls",
    "ConnectionPool",
    "Destination",
    "DestinationRuleSpec",
    "EdgePolicySpec",
    "GatewaySpec",
    "HeaderOperations",
    "HttpDestination",
    "HttpFault",
    "HttpMatch",
    "HttpPool",
    "HttpRoute",
    "JwtRule",
    "LoadBalancer",
    "Metadata",
    "Operation",
    "OutlierDetection",
    "PeerAuthenticationSpec",
    "Percentage",
    "RequestAuthenticationSpec",
    "Retries",
    "Rule",
    "ServiceEntrySpec",
    "Shape",
    "SidecarSpec",
    "Source",
    "Subset",
    "SubsetPolicy",
    "TcpPool",
    "TelemetrySpec",
    "TextMatch",
    "TrafficPolicy",
    "VirtualServiceSpec",
]
