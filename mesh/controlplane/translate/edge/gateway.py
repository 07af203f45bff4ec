"""All resources of the gateway's proxy: its listener, its clusters and its secrets."""

from dataclasses import replace

from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.listener import v3 as listener

from gateway.open_bodies import PoolLimits
from mesh.controlplane import model
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.translate import clusters, host_routes, tls
from mesh.controlplane.translate.edge.listener import edge_listener
from mesh.controlplane.translate.parts import Sources


def listeners(edge: model.Edge, sources: Sources, passed_on: PassedOn) -> list[listener.Listener]:
    """Return the one listener of the gateway."""
    return [edge_listener(edge, sources, passed_on)]


def entrance(edge: model.Edge) -> model.Edge:
    """Return the gateway without what its streamed listener does not depend on."""
    return replace(_unlimited(edge), routes=(), services=(), partner_principals=(), partners=())


def routed(edge: model.Edge) -> model.Edge:
    """Return the gateway without what its routes do not depend on."""
    return replace(
        _unlimited(edge),
        services=tuple(host_routes.routed(each) for each in edge.services),
        partners=(),
    )


def _unlimited(edge: model.Edge) -> model.Edge:
    none, pool = model.Bucket(0, 0), PoolLimits(0, 0, 0)
    return replace(
        edge,
        per_address=none,
        classes=(),
        large_bodies_per_address=none,
        large_bodies_total=none,
        open_small=pool,
        open_large=pool,
        tracked_max=0,
    )


def cluster_list(edge: model.Edge, sources: Sources) -> list[cluster.Cluster]:
    """Return the clusters of the services behind the gateway and of the token issuer."""
    own = tls.own_secrets(edge.workload)
    services = [
        each for target in edge.services for each in clusters.service_clusters(target, own, sources)
    ]
    return [*services, *(clusters.partner_cluster(each, sources) for each in edge.partners)]


def secrets(edge: model.Edge) -> list[tls.tls.Secret]:
    """Return the secrets that the gateway's TLS contexts name."""
    every = [*own_secrets(edge), *tls.workload_secrets(edge.workload)]
    for partner in edge.partners:
        every += tls.partner_secrets(partner)
    return list({secret.name: secret for secret in every}.values())


def own_secrets(edge: model.Edge) -> list[tls.tls.Secret]:
    """Return the secrets that only the gateway has."""
    return [tls.certificate_secret(edge.certificate), tls.authority_secret(edge.webhook_authority)]
