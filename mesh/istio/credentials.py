"""Who may read the secrets with client certificates for partners.

istiod gives a sidecar the private key of a `credentialName` only if the service account of its
workload may list the namespace's secrets. Authorities need no permission.
"""

from collections.abc import Iterable, Iterator

from mesh.istio.kinds import DERIVED, Kind
from services.contracts import NAMESPACE

_API = "rbac.authorization.k8s.io/v1"
_NAME = "partner-credentials"


def permissions(written: Iterable[Kind]) -> Iterator[Kind]:
    """Yield the role and its binding to the workloads that have such a certificate."""
    workloads = sorted({name for each in written for name in _workloads(each)})
    metadata = {"name": _NAME, "namespace": NAMESPACE, "annotations": DERIVED}
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}
    yield {"apiVersion": _API, "kind": "Role", "metadata": metadata, "rules": [rule]}
    yield {
        "apiVersion": _API,
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": _NAME},
        "subjects": [
            {"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE} for name in workloads
        ],
    }


def _workloads(written: Kind) -> Iterator[str]:
    tls = written["spec"].get("trafficPolicy", {}).get("tls", {})
    if tls.get("mode") == "MUTUAL" and "credentialName" in tls:
        yield written["spec"]["workloadSelector"]["matchLabels"]["app"]
