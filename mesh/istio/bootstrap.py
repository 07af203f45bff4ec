"""The gateway's memory limit, in the bootstrap of its proxy.

Only a proxy's bootstrap can have it, and istiod does not send one. The annotation
`sidecar.istio.io/bootstrapOverride` of a pod names the ConfigMap; Istio's agent merges it.
"""

import json

from mesh.controlplane import model
from mesh.controlplane.translate.bootstrap import overload_manager
from mesh.istio.kinds import DERIVED, Kind
from mesh.istio.patches import plain
from services.contracts import GATEWAY, NAMESPACE

NAME = f"{GATEWAY}-bootstrap"
FILE = "custom_bootstrap.json"
"""The file that Istio's agent reads."""
CONNECTIONS = "envoy.resource_monitors.global_downstream_max_connections"


def config_map(edge: model.Edge) -> Kind:
    """Return the ConfigMap. Istio's own bootstrap has the monitor of connections already."""
    manager = plain(overload_manager(edge.workload))
    monitors = [each for each in manager["resource_monitors"] if each["name"] != CONNECTIONS]
    content = {"overload_manager": {**manager, "resource_monitors": monitors}}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "annotations": DERIVED},
        "data": {FILE: json.dumps(content, indent=2) + "\n"},
    }
