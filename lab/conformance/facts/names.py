"""One name for one thing: Istio and the control plane name clusters and secrets differently."""

from pathlib import PurePath

HOSTS = ".bp.svc.cluster.local"
OWN = "own service"
NOWHERE = "nowhere"
_AUTHORITY_ENDINGS = ("-cacert", "-ca")
_FILES = ("file-cert:", "file-root:")
"""Istio's names for mounted files: the path of the certificate, and after ~ that of the key."""
_ISTIO_SCHEMES = ("kubernetes://", "kubernetes-gateway://bp/")


def destination(cluster: str) -> str:
    """Return where a cluster leads: a service, a partner's host, or the workload itself."""
    if cluster == "app" or cluster.startswith("inbound|"):
        return OWN
    if cluster in ("BlackHoleCluster", "PassthroughCluster"):
        return NOWHERE
    if cluster.startswith("outbound|"):
        _, _, subset, host = cluster.split("|")
        return "/".join(part for part in (host.removesuffix(HOSTS), subset) if part)
    return cluster.removeprefix("service/").removeprefix("partner/")


def secret(name: str, workload: str) -> str:
    """Return what a secret is: "own", "mesh" for the mesh's authority, or a credential's name."""
    if name in ("default", workload):
        return "own"
    if name in ("ROOTCA", f"{workload}-ca"):
        return "mesh"
    if name.startswith(_FILES):
        return PurePath(name.partition(":")[2].partition("~")[0]).parent.name
    for scheme in _ISTIO_SCHEMES:
        name = name.removeprefix(scheme)
    for ending in _AUTHORITY_ENDINGS:
        name = name.removesuffix(ending)
    return name.removeprefix("partner-")
