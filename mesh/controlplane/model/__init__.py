"""The intended state of the mesh, resolved: every name has an address, every reference an object.

Plain frozen values that use neither Istio's nor Envoy's types. `resolve` creates them and
`translate` reads them. Times are in milliseconds; addresses are host and port, or a socket path.
Text that SREs write in Envoy's own language is in `passed_on`.

| module | content |
|---|---|
| `traffic` | traffic policy of a destination: pools, retries, circuit breaker, load balancing |
| `routes` | how a request to a host chooses its destination: matches, weights, faults, headers |
| `access` | who may call which method |
| `proxies` | workloads, their proxies, services and partners |
"""

from mesh.controlplane.model.access import Caller, Grant, Policy, PolicyRule, Verdict
from mesh.controlplane.model.proxies import (
    Address,
    AuthorityFile,
    Bucket,
    CertificateFiles,
    Cors,
    Edge,
    EdgeLimits,
    Instance,
    InstanceState,
    Mesh,
    Partner,
    ServiceTarget,
    Sidecar,
    Subset,
    TlsVersion,
    TokenIssuer,
    Workload,
)
from mesh.controlplane.model.routes import (
    WHOLE,
    Abort,
    Delay,
    Destination,
    HeaderEdits,
    HeaderMatch,
    Match,
    Mirror,
    Rewrite,
    Route,
    Text,
    TextSort,
)
from mesh.controlplane.model.traffic import (
    Balancer,
    Balancing,
    Breaker,
    Pool,
    Retry,
    RetryCause,
    Traffic,
)

__all__ = [
    "WHOLE",
    "Abort",
    "Address",
    "AuthorityFile",
    "Balancer",
    "Balancing",
    "Breaker",
    "Bucket",
    "Caller",
    "CertificateFiles",
    "Cors",
    "Delay",
    "Destination",
    "Edge",
    "EdgeLimits",
    "Grant",
    "HeaderEdits",
    "HeaderMatch",
    "Instance",
    "InstanceState",
    "Match",
    "Mesh",
    "Mirror",
    "Partner",
    "Policy",
    "PolicyRule",
    "Pool",
    "Retry",
    "RetryCause",
    "Rewrite",
    "Route",
    "ServiceTarget",
    "Sidecar",
    "Subset",
    "Text",
    "TextSort",
    "TlsVersion",
    "TokenIssuer",
    "Traffic",
    "Verdict",
    "Workload",
]
