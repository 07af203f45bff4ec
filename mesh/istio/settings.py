"""The settings of the whole mesh: Istio's MeshConfig, in the ConfigMap that istiod reads."""

import yaml

from mesh.istio.kinds import TRUST_DOMAIN, Kind

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
    "extensionProviders": [{"name": "envoy", "envoyFileAccessLog": {"path": "/dev/stdout"}}],
    "defaultConfig": {
        "interceptionMode": "NONE",
        # Services read their caller's identity from this header; what a caller sends is dropped.
        "proxyHeaders": {
            "forwardedClientCert": "SANITIZE_SET",
            "setCurrentClientCertDetails": {"uri": True},
        },
        "gatewayTopology": {"forwardClientCertDetails": "SANITIZE"},
    },
}


def mesh_config() -> Kind:
    """Return the ConfigMap with MeshConfig."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": ROOT_NAMESPACE},
        "data": {"mesh": yaml.safe_dump(_MESH, sort_keys=False), "meshNetworks": "networks: {}\n"},
    }
