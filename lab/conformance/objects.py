"""What a cluster has in addition to the mesh's files: services with their pods, credentials.

The addresses are invented, because only translation reads them.
"""

import base64
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lab.conformance.certificates import Authority
from services.contracts import GATEWAY, NAMESPACE

Kind = dict[str, Any]
PORT = 8443
"""The port on which a workload's proxy listens."""
SERVICE_PORT = 80
"""The port of its service. On a Unix socket Istio knows a host without a port only for port 80."""
ROOT = "istio-system"
WORKLOADS = ("audit", "auth", "customers", "notifications", "payments", "transfers", GATEWAY)
_INJECTION = {NAMESPACE: "enabled"}


def namespaces() -> Iterator[Kind]:
    """Yield the bank's namespace and istiod's."""
    for name in ("default", NAMESPACE, ROOT):
        metadata = {"name": name, "labels": {"istio-injection": _INJECTION.get(name, "disabled")}}
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def workloads() -> Iterator[Kind]:
    """Yield the service account, the service, the pod and the addresses of each workload."""
    for number, name in enumerate(WORKLOADS):
        place = address(number)
        yield _account(name)
        yield service(name)
        yield pod(name, place)
        yield addresses(name, place)


def address(number: int) -> str:
    """Return the invented address of a workload's pod."""
    return f"10.0.0.{number + 10}"


def service(name: str, port_of_pods: int = 0) -> Kind:
    """Return the service of a workload."""
    edge = name == GATEWAY
    port = {
        "name": "https" if edge else "grpc",
        "port": 443 if edge else SERVICE_PORT,
        "targetPort": port_of_pods or (443 if edge else PORT),
        "protocol": "TCP",
    }
    return _named("v1", "Service", name, {"selector": {"app": name}, "ports": [port]})


def pod(name: str, place: str) -> Kind:
    """Return a pod; its address is in its status, which is applied separately."""
    proxy = {"name": "istio-proxy", "image": "istio/proxyv2", "args": ["proxy", "sidecar"]}
    container = {"name": "service", "image": f"bp/{name}"}
    spec = {
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "nodeName": "one",
        "containers": [container, proxy],
    }
    made = _named("v1", "Pod", f"{name}-0", spec)
    made["metadata"]["labels"] = {"app": name}
    made["status"] = {
        "phase": "Running",
        "podIP": place,
        "podIPs": [{"ip": place}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    return made


def credentials(written: Iterable[Kind]) -> Iterator[Kind]:
    """Yield the secrets that mesh/config names; their content only has to be a certificate."""
    files = _certificate()
    names: dict[str, str] = {}
    for each in written:
        policies = [each["spec"].get("trafficPolicy", {})] if "spec" in each else []
        servers = each["spec"].get("servers", ()) if each["kind"] == "Gateway" else ()
        for tls in (one.get("tls", {}) for one in (*policies, *servers)):
            if "credentialName" in tls:
                names[tls["credentialName"]] = tls["mode"]
    for name, mode in names.items():
        if mode != "SIMPLE":
            yield secret(name, {"tls.crt": files["cert"], "tls.key": files["key"]}, tls=True)
        yield secret(f"{name}-cacert", {"ca.crt": files["cert"]})


def secret(name: str, files: dict[str, bytes], *, tls: bool = False) -> Kind:
    """Return a secret with a certificate, a key or an authority."""
    encoded = {key: base64.b64encode(each).decode() for key, each in files.items()}
    made = _named("v1", "Secret", name, {})
    del made["spec"]
    return {**made, "type": "kubernetes.io/tls" if tls else "Opaque", "data": encoded}


def _account(name: str) -> Kind:
    made = _named("v1", "ServiceAccount", name, {})
    del made["spec"]
    return made


def addresses(name: str, place: str, port_of_pods: int = 0) -> Kind:
    """Return the EndpointSlice of a service."""
    made = _named("discovery.k8s.io/v1", "EndpointSlice", name, {})
    del made["spec"]
    made["metadata"]["labels"] = {"kubernetes.io/service-name": name}
    port = port_of_pods or (443 if name == GATEWAY else PORT)
    return {
        **made,
        "addressType": "IPv4",
        "ports": [
            {"name": "https" if name == GATEWAY else "grpc", "port": port, "protocol": "TCP"}
        ],
        "endpoints": [
            {
                "addresses": [place],
                "conditions": {"ready": True},
                "targetRef": {"kind": "Pod", "name": f"{name}-0", "namespace": NAMESPACE},
            }
        ],
    }


def _named(api: str, kind: str, name: str, spec: Kind) -> Kind:
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


def _certificate() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        authority = Authority("conformance", Path(name))
        folder = authority.issue(Path(name, "leaf"), dns=("localhost",))
        return {each: (folder / f"{each}.pem").read_bytes() for each in ("cert", "key")}
