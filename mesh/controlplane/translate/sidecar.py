"""One sidecar: incoming calls by mTLS with default deny, outgoing calls from a Unix socket."""

from collections import defaultdict

from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.listener import v3 as listener
from envoy_data_plane.envoy.config.rbac import v3 as rbac
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.filters.http.rbac import v3 as rbac_filter
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
from envoy_data_plane.envoy.type.matcher import v3 as matcher

from mesh.controlplane import model
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.translate import clusters, tls
from mesh.controlplane.translate.http import (
    BUFFER_BYTES,
    access_log,
    http_filter,
    network_filter,
    retry_policy,
    router_filter,
)
from mesh.controlplane.translate.parts import SecretSource, exact, span, tcp, unix

INBOUND = "inbound"
OUTBOUND = "outbound"
_SOCKET_MODE = 0o600
_STREAMS_MAX = 1024
_WINDOW_BYTES = 262144
_FORBIDDEN = 403
_GRACE_MS = 500
"""A sidecar's timeout is this much longer than the deadline in the contract. The service and the
gateway end a call on time with DEADLINE_EXCEEDED; a sidecar would end it with UNAVAILABLE."""


def listeners(
    sidecar: model.Sidecar, source: SecretSource, passed_on: PassedOn
) -> list[listener.Listener]:
    """Return the sidecar's listeners."""
    listen = sidecar.listen
    inbound = [] if listen is None else [_inbound(sidecar, listen, source, passed_on)]
    return [*inbound, _outbound(sidecar, passed_on)]


def cluster_list(sidecar: model.Sidecar, source: SecretSource) -> list[cluster.Cluster]:
    """Return the sidecar's clusters."""
    own = [] if sidecar.listen is None else [clusters.app_cluster(sidecar)]
    services = [clusters.service_cluster(sidecar.workload, t, source) for t in sidecar.services]
    partners = [clusters.partner_cluster(partner, source) for partner in sidecar.partners]
    return [*own, *services, *partners]


def secrets(sidecar: model.Sidecar) -> list[tls.tls.Secret]:
    """Return the secrets that the sidecar's TLS contexts name."""
    found = {
        secret.name: secret
        for secret in (
            tls.certificate_secret(sidecar.workload.certificate),
            tls.authority_secret(sidecar.workload.authority),
            *(tls.authority_secret(partner.authority) for partner in sidecar.partners),
            *(tls.certificate_secret(p.client) for p in sidecar.partners if p.client),
        )
    }
    return list(found.values())


def _inbound(
    sidecar: model.Sidecar, listen: model.Address, source: SecretSource, passed_on: PassedOn
) -> listener.Listener:
    manager = _manager(sidecar, INBOUND, hcm.HttpConnectionManagerCodecType.HTTP2, passed_on)
    manager.route_config = _inbound_routes(sidecar)
    manager.http_filters = [
        http_filter("envoy.filters.http.rbac", authorization(sidecar.grants)),
        router_filter(),
    ]
    # The service reads its caller's identity from this header, so the sidecar overwrites it.
    details = hcm.HttpConnectionManagerForwardClientCertDetails
    manager.forward_client_cert_details = details.SANITIZE_SET
    manager.set_current_client_cert_details = hcm.HttpConnectionManagerSetCurrentClientCertDetails(
        uri=True
    )
    return listener.Listener(
        name=INBOUND,
        address=tcp(listen),
        per_connection_buffer_limit_bytes=BUFFER_BYTES,
        filter_chains=[
            listener.FilterChain(
                filters=[network_filter(manager)],
                transport_socket=tls.inbound_socket(sidecar.workload, sidecar.peer_prefix, source),
                transport_socket_connect_timeout=span(tls.HANDSHAKE_MS_MAX),
            )
        ],
    )


def authorization(grants: tuple[model.Grant, ...]) -> rbac_filter.Rbac:
    """Return default deny: each set of callers may call exactly its own methods."""
    by_callers: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for grant in grants:
        by_callers[grant.principals].append(grant.path)
    policies = {
        "+".join(name.rpartition("/")[2] for name in callers): rbac.Policy(
            permissions=[_method(path) for path in paths],
            principals=[_caller(name) for name in callers],
        )
        for callers, paths in by_callers.items()
    }
    return rbac_filter.Rbac(rules=rbac.Rbac(action=rbac.RbacAction.ALLOW, policies=policies))


def _method(path: str) -> rbac.Permission:
    return rbac.Permission(url_path=matcher.PathMatcher(path=exact(path)))


def _caller(identity: str) -> rbac.Principal:
    return rbac.Principal(authenticated=rbac.PrincipalAuthenticated(principal_name=exact(identity)))


def _inbound_routes(sidecar: model.Sidecar) -> route.RouteConfiguration:
    routes = [_method_route(grant, clusters.APP, None) for grant in sidecar.grants]
    host = route.VirtualHost(name=INBOUND, domains=["*"], routes=routes)
    return route.RouteConfiguration(name=INBOUND, virtual_hosts=[host])


def _method_route(grant: model.Grant, to: str, retry: model.Retry | None) -> route.Route:
    return route.Route(
        name=grant.path,
        match=route.RouteMatch(path=grant.path),
        route=route.RouteAction(
            cluster=to,
            timeout=span(grant.deadline_ms + _GRACE_MS),
            retry_policy=retry_policy(retry),
        ),
    )


def _outbound(sidecar: model.Sidecar, passed_on: PassedOn) -> listener.Listener:
    manager = _manager(sidecar, OUTBOUND, hcm.HttpConnectionManagerCodecType.AUTO, passed_on)
    hosts = [
        *(_service_host(target) for target in sidecar.services),
        *(_partner_host(partner) for partner in sidecar.partners),
        _no_way_out(),
    ]
    manager.route_config = route.RouteConfiguration(name=OUTBOUND, virtual_hosts=hosts)
    manager.http_filters = [router_filter()]
    return listener.Listener(
        name=OUTBOUND,
        address=unix(sidecar.outbound_socket, _SOCKET_MODE),
        per_connection_buffer_limit_bytes=BUFFER_BYTES,
        filter_chains=[listener.FilterChain(filters=[network_filter(manager)])],
    )


def _service_host(target: model.ServiceTarget) -> route.VirtualHost:
    to, retry = clusters.service_cluster_name(target.name), target.traffic.retry
    # Methods outside the contract still go to the target; its own sidecar rejects them.
    rest = route.Route(match=route.RouteMatch(prefix="/"), route=route.RouteAction(cluster=to))
    return route.VirtualHost(
        name=to,
        domains=[target.name, target.host],
        routes=[*(_method_route(grant, to, retry) for grant in target.methods), rest],
    )


def _partner_host(partner: model.Partner) -> route.VirtualHost:
    to, timeout_ms = clusters.partner_cluster_name(partner.host), partner.traffic.timeout_ms
    sent = partner.authority_sent
    action = route.RouteAction(
        cluster=to,
        timeout=None if timeout_ms is None else span(timeout_ms),
        retry_policy=retry_policy(partner.traffic.retry),
        host_rewrite_literal="" if sent == partner.host else sent,
    )
    return route.VirtualHost(
        name=to,
        domains=[partner.host],
        routes=[route.Route(match=route.RouteMatch(prefix="/"), route=action)],
    )


def _no_way_out() -> route.VirtualHost:
    refusal = route.DirectResponseAction(
        status=_FORBIDDEN,
        body=core.DataSource(inline_string="this host is not in the workload's Sidecar egress"),
    )
    return route.VirtualHost(
        name="no-way-out",
        domains=["*"],
        routes=[route.Route(match=route.RouteMatch(prefix="/"), direct_response=refusal)],
    )


def _manager(
    sidecar: model.Sidecar,
    name: str,
    codec: hcm.HttpConnectionManagerCodecType,
    passed_on: PassedOn,
) -> hcm.HttpConnectionManager:
    return hcm.HttpConnectionManager(
        codec_type=codec,
        stat_prefix=name,
        access_log=[access_log(sidecar.workload, passed_on)],
        # The gateway or its caller sets the request id; sidecars only pass it on.
        preserve_external_request_id=True,
        server_header_transformation=hcm.HttpConnectionManagerServerHeaderTransformation.PASS_THROUGH,
        http2_protocol_options=core.Http2ProtocolOptions(
            max_concurrent_streams=_STREAMS_MAX,
            initial_stream_window_size=BUFFER_BYTES,
            initial_connection_window_size=_WINDOW_BYTES,
        ),
        stream_idle_timeout=span(0),
    )
