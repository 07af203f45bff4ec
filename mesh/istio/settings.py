"""The settings of the whole mesh: Istio's MeshConfig, in the ConfigMap that istiod reads."""

import yaml

from mesh.controlplane import model
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.translate.http import access_log
from mesh.istio.kinds import TRUST_DOMAIN, Kind
from mesh.istio.patches import plain

ROOT_NAMESPACE = "istio-system"
_MESH = {
    "trustDomain": TRUST_DOMAIN,
    "rootNamespace": ROOT_NAMESPACE,
    "enableAutoMtls": True,
    "meshMTLS": {"minProtocolVersion": "TLSV1_3"},
    "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
    # Istio retries every call twice unless this or a route says otherwise.
    "defaultHttpRetryPolicy": {"attempts": 0},
    "localityLbSetting": {"enabled": False},
    # The gateway sets the request id and sidecars pass it on; traces come from the services.
    "enableTracing": False,
    "accessLogFile": "",
    "accessLogEncoding": "JSON",
    "pathNormalization": {"normalization": "NONE"},
    "defaultConfig": {
        "interceptionMode": "NONE",
        # Services read their caller's identity from this header; what a caller sends is dropped.
        "proxyHeaders": {
            "forwardedClientCert": "SANITIZE_SET",
            "setCurrentClientCertDetails": {"uri": True},
            # Callers of the gateway need not know how long a service has worked.
            "envoyDebugHeaders": {"disabled": True},
        },
        "gatewayTopology": {"forwardClientCertDetails": "SANITIZE"},
    },
}


def mesh_config(edge: model.Edge, passed_on: PassedOn) -> Kind:
    """Return the ConfigMap with MeshConfig."""
    log = plain(access_log(edge.workload, passed_on))["typed_config"]
    # Istio's own fields contain queries, addresses and user agents, which are personal data.
    labels = {key: one for key, one in log["log_format"]["json_format"].items() if key != "proxy"}
    file = {"path": "/dev/stdout", "logFormat": {"labels": labels}}
    settings = {**_MESH, "extensionProviders": [{"name": "envoy", "envoyFileAccessLog": file}]}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": ROOT_NAMESPACE},
        "data": {
            "mesh": yaml.safe_dump(settings, sort_keys=False),
            "meshNetworks": "networks: {}\n",
        },
    }
