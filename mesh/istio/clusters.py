"""What Istio has no field for in the clusters of a workload, as EnvoyFilters.

Envoy lengthens each further ejection of an address up to five minutes; the design document's table
has one fixed time for each partner. And Istio either forces HTTP/2 to a partner or does not offer
it: the table's HTTP/2 is offered by ALPN.
"""

from collections.abc import Iterator

from mesh.controlplane import model
from mesh.controlplane.translate.clusters import partner_cluster, service_clusters
from mesh.controlplane.translate.parts import STREAM
from mesh.controlplane.translate.tls import own_secrets
from mesh.istio.kinds import Kind
from mesh.istio.patches import Value, envoy_filter, patch, plain

_OPTIONS = "typed_extension_protocol_options"


def filters(mesh: model.Mesh) -> Iterator[Kind]:
    """Yield the EnvoyFilter of each workload that calls others."""
    for each in (*mesh.sidecars, mesh.edge):
        name = each.workload.name
        # Without a context, a patch also changes a service's inbound cluster.
        context = "GATEWAY" if each is mesh.edge else "SIDECAR_OUTBOUND"
        patches = [
            patch("CLUSTER", context, {"cluster": match}, "MERGE", value)
            for match, value in _changes(each)
        ]
        if patches:
            yield envoy_filter(f"clusters-of-{name}", name, patches)


def _changes(proxy: model.Sidecar | model.Edge) -> Iterator[tuple[Value, Value]]:
    own = own_secrets(proxy.workload)
    for target in proxy.services:
        subsets = ["", *(each.name for each in target.subsets)]
        made = service_clusters(target, own, STREAM)
        for subset, cluster in zip(subsets, made, strict=True):
            if value := _longest_open(plain(cluster)):
                yield {"service": target.host, **({"subset": subset} if subset else {})}, value
    for partner in proxy.partners:
        cluster = plain(partner_cluster(partner, STREAM))
        options = {_OPTIONS: cluster[_OPTIONS]}
        yield {"service": partner.host}, {**_longest_open(cluster), **options}


def _longest_open(cluster: Value) -> Value:
    outliers = cluster.get("outlier_detection")
    if outliers is None:
        return {}
    return {"outlier_detection": {"max_ejection_time": outliers["max_ejection_time"]}}
