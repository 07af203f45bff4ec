"""Small resources of Envoy, packed as the control plane delivers them."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import betterproto2
from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.endpoint import v3 as endpoint
from envoy_data_plane.envoy.config.listener import v3 as listener
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.http.set_metadata.v3 import Config as SetMetadata
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as http
from envoy_data_plane.envoy.extensions.transport_sockets.tls import v3 as tls
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher

from mesh.controlplane.deliver.packed import Kind, NodeSnapshot, Packed, pack, snapshot
from mesh.controlplane.translate.parts import packed, struct

ROUTES, LISTENER, TAG = "main", "front", "tag"
OWN, ROOT = "default", "ROOTCA"
_TAG_URL = "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config"


def by_ads() -> core.ConfigSource:
    """Return the source of everything: the stream."""
    return core.ConfigSource(
        ads=core.AggregatedConfigSource(), resource_api_version=core.ApiVersion.V3
    )


def _packed(
    kind: Kind, name: str, message: betterproto2.Message, *uses: tuple[Kind, str]
) -> Packed:
    return pack(kind, name, bytes(message), uses)


def cluster_of(name: str, secret: str | None = None, connect_s: float = 5.0) -> Packed:
    """Return a cluster whose endpoints come by the stream; with a secret it uses TLS.

    Envoy refuses a cluster whose `connect_s` is 0.
    """
    made = cluster.Cluster(
        name=name,
        type=cluster.ClusterDiscoveryType.EDS,
        eds_cluster_config=cluster.ClusterEdsClusterConfig(eds_config=by_ads()),
        connect_timeout=timedelta(seconds=connect_s),
    )
    uses = [(Kind.ENDPOINTS, name)]
    if secret is not None:
        context = tls.CommonTlsContext(
            tls_certificate_sds_secret_configs=[_secret_by_ads(secret)],
            validation_context_sds_secret_config=_secret_by_ads(ROOT),
        )
        made.transport_socket = core.TransportSocket(
            name="envoy.transport_sockets.tls",
            typed_config=packed(tls.UpstreamTlsContext(common_tls_context=context)),
        )
        uses += [(Kind.SECRET, secret), (Kind.SECRET, ROOT)]
    return _packed(Kind.CLUSTER, name, made, *uses)


def _secret_by_ads(name: str) -> tls.SdsSecretConfig:
    return tls.SdsSecretConfig(name=name, sds_config=by_ads())


def endpoints_of(name: str, port: int) -> Packed:
    """Return the one endpoint of a cluster."""
    address = core.Address(socket_address=core.SocketAddress(address="127.0.0.1", port_value=port))
    made = endpoint.ClusterLoadAssignment(
        cluster_name=name,
        endpoints=[
            endpoint.LocalityLbEndpoints(
                lb_endpoints=[endpoint.LbEndpoint(endpoint=endpoint.Endpoint(address=address))]
            )
        ],
    )
    return _packed(Kind.ENDPOINTS, name, made)


def certificate_of(name: str, folder: Path) -> Packed:
    """Return the secret of a certificate in files."""
    made = tls.Secret(
        name=name,
        tls_certificate=tls.TlsCertificate(
            certificate_chain=core.DataSource(filename=str(folder / "cert.pem")),
            private_key=core.DataSource(filename=str(folder / "key.pem")),
            watched_directory=core.WatchedDirectory(path=str(folder)),
        ),
    )
    return _packed(Kind.SECRET, name, made)


def authority_of(name: str, folder: Path) -> Packed:
    """Return the secret of a trusted authority in a file."""
    made = tls.Secret(
        name=name,
        validation_context=tls.CertificateValidationContext(
            trusted_ca=core.DataSource(filename=str(folder / "ca.pem")),
            watched_directory=core.WatchedDirectory(path=str(folder)),
        ),
    )
    return _packed(Kind.SECRET, name, made)


def routes_of(target: str, mark: str = "", regex: str = ".*") -> Packed:
    """Return routes to one cluster; answers carry the mark. Envoy refuses a broken regex."""
    made = route.RouteConfiguration(
        name=ROUTES,
        virtual_hosts=[
            route.VirtualHost(
                name="all",
                domains=["*"],
                routes=[
                    route.Route(
                        match=route.RouteMatch(safe_regex=RegexMatcher(regex=regex)),
                        route=route.RouteAction(cluster=target),
                    )
                ],
                response_headers_to_add=[
                    core.HeaderValueOption(header=core.HeaderValue(key="x-mark", value=mark))
                ],
            )
        ],
    )
    return _packed(Kind.ROUTES, ROUTES, made, (Kind.CLUSTER, target))


def extension_of(value: str) -> Packed:
    """Return the settings of the one filter: it sets metadata."""
    config = SetMetadata(metadata_namespace="tag", value=struct({"tag": value}))
    made = core.TypedExtensionConfig(name=TAG, typed_config=packed(config))
    return _packed(Kind.EXTENSION, TAG, made)


def listener_of(port: int) -> Packed:
    """Return the listener, whose routes and whose filter's settings come by the stream."""
    discovery = core.ExtensionConfigSource(config_source=by_ads(), type_urls=[_TAG_URL])
    manager = http.HttpConnectionManager(
        stat_prefix="front",
        rds=http.Rds(config_source=by_ads(), route_config_name=ROUTES),
        http_filters=[
            http.HttpFilter(name=TAG, config_discovery=discovery),
            http.HttpFilter(name="envoy.filters.http.router", typed_config=packed(Router())),
        ],
    )
    chain = listener.FilterChain(
        filters=[
            listener.Filter(
                name="envoy.filters.network.http_connection_manager", typed_config=packed(manager)
            )
        ]
    )
    made = listener.Listener(
        name=LISTENER,
        address=core.Address(
            socket_address=core.SocketAddress(address="127.0.0.1", port_value=port)
        ),
        filter_chains=[chain],
    )
    return _packed(Kind.LISTENER, LISTENER, made, (Kind.ROUTES, ROUTES), (Kind.EXTENSION, TAG))


@dataclass(frozen=True)
class Places:
    """Where the parts of one test listen, and its certificate's folder."""

    front: int
    plain: int
    secure: int
    certificate: Path


def usual(node: str, places: Places, *more: Packed, target: str = "secure") -> NodeSnapshot:
    """Return a snapshot with all six kinds; `more` replaces resources with the same name."""
    parts = [
        certificate_of(OWN, places.certificate),
        authority_of(ROOT, places.certificate),
        cluster_of("plain"),
        cluster_of("secure", OWN),
        endpoints_of("plain", places.plain),
        endpoints_of("secure", places.secure),
        listener_of(places.front),
        routes_of(target),
        extension_of("one"),
    ]
    named = {(each.kind, each.name): each for each in [*parts, *more]}
    return snapshot(node, named.values())
