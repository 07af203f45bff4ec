"""Private keys of proxies as mounted files, instead of secrets that istiod reads for them.

istiod gives a proxy the key of a `credentialName` only if the proxy's service account may list all
secrets of the namespace: it asks Kubernetes for exactly that right, so a Role with resourceNames
does not satisfy it. A pod that mounts its one secret needs no right at all. Authorities are not
secret, and istiod gives them to every proxy.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from mesh.istio.kinds import DERIVED, Kind

FOLDER = "/etc/bp/credentials"
"""The folder with one folder for each credential, in the container of the proxy."""


def kinds(written: Iterable[Kind]) -> Iterator[Kind]:
    """Yield the resources of mesh/config that name a private key, with files in its place."""
    for each in written:
        spec = each["spec"]
        if each["kind"] == "Gateway":
            servers = [{**one, "tls": _server(one["tls"])} for one in spec["servers"]]
            yield _replaced(each, {**spec, "servers": servers})
        elif _has_key(spec.get("trafficPolicy", {}).get("tls", {})):
            policy = spec["trafficPolicy"]
            yield _replaced(each, {**spec, "trafficPolicy": {**policy, "tls": _client(policy)}})


def mounted(written: Iterable[Kind]) -> dict[str, list[str]]:
    """Return the credentials that the proxy of each workload mounts."""
    found: dict[str, set[str]] = {}
    for each in written:
        spec = each["spec"]
        if each["kind"] == "Gateway":
            names = {one["tls"]["credentialName"] for one in spec["servers"]}
            found.setdefault(spec["selector"]["app"], set()).update(names)
        elif _has_key(tls := spec.get("trafficPolicy", {}).get("tls", {})):
            workload = spec["workloadSelector"]["matchLabels"]["app"]
            found.setdefault(workload, set()).add(tls["credentialName"])
    return {name: sorted(each) for name, each in sorted(found.items())}


def _has_key(tls: Kind) -> bool:
    return tls.get("mode") == "MUTUAL" and "credentialName" in tls


def _replaced(each: Kind, spec: Kind) -> Kind:
    metadata = each["metadata"]
    annotations = {**DERIVED, **metadata.get("annotations", {})}
    return {**each, "metadata": {**metadata, "annotations": annotations}, "spec": spec}


def _client(policy: dict[str, Any]) -> Kind:
    return _with_files(policy["tls"], "clientCertificate")


def _server(tls: Kind) -> Kind:
    return _with_files(tls, "serverCertificate")


def _with_files(tls: Kind, certificate: str) -> Kind:
    folder = f"{FOLDER}/{tls['credentialName']}"
    files = {
        certificate: f"{folder}/tls.crt",
        "privateKey": f"{folder}/tls.key",
        "caCertificates": f"{folder}/ca.crt",
    }
    return {**{key: one for key, one in tls.items() if key != "credentialName"}, **files}
