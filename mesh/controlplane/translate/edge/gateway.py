"""All resources of the gateway's proxy: its listener, its clusters and its secrets."""

from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.listener import v3 as listener

from mesh.controlplane import model
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.translate import clusters, tls
from mesh.controlplane.translate.edge.listener import edge_listener
from mesh.controlplane.translate.parts import SecretSource


def listeners(
    edge: model.Edge, source: SecretSource, passed_on: PassedOn
) -> list[listener.Listener]:
    """Return the one listener of the gateway."""
    return [edge_listener(edge, source, passed_on)]


def cluster_list(edge: model.Edge, source: SecretSource) -> list[cluster.Cluster]:
    """Return the clusters of the services behind the gateway and of the token issuer."""
    services = [clusters.service_cluster(edge.workload, each, source) for each in edge.services]
    return [*services, *(clusters.partner_cluster(each, source) for each in edge.partners)]


def secrets(edge: model.Edge) -> list[tls.tls.Secret]:
    """Return the secrets that the gateway's TLS contexts name."""
    return [
        tls.certificate_secret(edge.certificate),
        tls.certificate_secret(edge.workload.certificate),
        tls.authority_secret(edge.workload.authority),
        tls.authority_secret(edge.webhook_authority),
        *(tls.authority_secret(partner.authority) for partner in edge.partners),
    ]
