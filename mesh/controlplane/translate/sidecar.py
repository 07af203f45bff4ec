"""One sidecar: incoming calls by mTLS with default deny, outgoing calls from a Unix socket."""

from dataclasses import replace

from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.listener import v3 as listener
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm

from mesh.controlplane import model
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.translate import access, clusters, tls, unanswered
from mesh.controlplane.translate.counters import PEER, call_counters
from mesh.controlplane.translate.host_routes import GRACE_MS, partner_routes, service_routes
from mesh.controlplane.translate.http import (
    BUFFER_BYTES,
    access_log,
    fault_filter,
    network_filter,
    retry_policy,
    router_filter,
    set_routes,
)
from mesh.controlplane.translate.parts import Sources, span, tcp, unix

INBOUND = "inbound"
OUTBOUND = "outbound"
_SOCKET_MODE = 0o600
_STREAMS_MAX = 1024
_WINDOW_BYTES = 262144
_FORBIDDEN = 403

_TO_ANOTHER_WORKER = model.Retry(
    attempts=2,
    on=(
        model.RetryCause.CONNECT_FAILURE,
        model.RetryCause.STREAM_REFUSED,
        model.RetryCause.RESET_BEFORE_REQUEST,
    ),
    per_try_timeout_ms=None,
    backoff_ms=25,
)
"""A worker that stops refuses new calls, and has not executed them. If no other worker takes them,
`unanswered` tells the caller's proxy."""


def listeners(
    sidecar: model.Sidecar, sources: Sources, passed_on: PassedOn
) -> list[listener.Listener]:
    """Return the sidecar's listeners."""
    listen = sidecar.listen
    inbound = [] if listen is None else [_inbound(sidecar, listen, sources, passed_on)]
    return [*inbound, _outbound(sidecar, sources, passed_on)]


def entrance(sidecar: model.Sidecar) -> model.Sidecar:
    """Return the sidecar without what its streamed listeners do not depend on."""
    return replace(sidecar, app_sockets=(), grants=(), services=(), partners=(), policies=())


def cluster_list(sidecar: model.Sidecar, sources: Sources) -> list[cluster.Cluster]:
    """Return the sidecar's clusters."""
    secrets_used = tls.own_secrets(sidecar.workload)
    own = [] if sidecar.listen is None else [clusters.app_cluster(sidecar.app_sockets, sources)]
    services = [
        each
        for target in sidecar.services
        for each in clusters.service_clusters(target, secrets_used, sources)
    ]
    partners = [clusters.partner_cluster(partner, sources) for partner in sidecar.partners]
    return [*own, *services, *partners]


def secrets(sidecar: model.Sidecar) -> list[tls.tls.Secret]:
    """Return the secrets that the sidecar's TLS contexts name."""
    every = [*tls.workload_secrets(sidecar.workload)]
    for partner in sidecar.partners:
        every += tls.partner_secrets(partner)
    return list({secret.name: secret for secret in every}.values())


def _inbound(
    sidecar: model.Sidecar, listen: model.Address, sources: Sources, passed_on: PassedOn
) -> listener.Listener:
    manager = _manager(sidecar, INBOUND, PEER, hcm.HttpConnectionManagerCodecType.HTTP2, passed_on)
    set_routes(manager, INBOUND, lambda: inbound_routes(sidecar.grants, sidecar.policies), sources)
    manager.http_filters = [*access.filters(), router_filter()]
    manager.local_reply_config = unanswered.told()
    # The service reads its caller's identity from this header, so the sidecar overwrites it.
    details = hcm.HttpConnectionManagerForwardClientCertDetails
    manager.forward_client_cert_details = details.SANITIZE_SET
    manager.set_current_client_cert_details = hcm.HttpConnectionManagerSetCurrentClientCertDetails(
        uri=True
    )
    socket = tls.inbound_socket(sidecar.workload, sidecar.peer_prefix, sources.secret)
    return listener.Listener(
        name=INBOUND,
        address=tcp(listen),
        per_connection_buffer_limit_bytes=BUFFER_BYTES,
        filter_chains=[
            listener.FilterChain(
                filters=[network_filter(manager)],
                transport_socket=socket,
                transport_socket_connect_timeout=span(tls.HANDSHAKE_MS_MAX),
            )
        ],
    )


def inbound_routes(
    grants: tuple[model.Grant, ...], policies: tuple[model.Policy, ...]
) -> route.RouteConfiguration:
    """Return a route for each method, with the only callers that may use it."""
    routes = [_inbound_route(grant, policies) for grant in grants]
    # The service cannot speak for its sidecar.
    host = route.VirtualHost(
        name=INBOUND,
        domains=["*"],
        routes=routes,
        response_headers_to_remove=[unanswered.HEADER],
    )
    return route.RouteConfiguration(name=INBOUND, virtual_hosts=[host])


def _inbound_route(grant: model.Grant, policies: tuple[model.Policy, ...]) -> route.Route:
    return route.Route(
        name=grant.path,
        match=route.RouteMatch(path=grant.path),
        route=route.RouteAction(
            cluster=clusters.APP,
            timeout=span(grant.deadline_ms + GRACE_MS),
            retry_policy=retry_policy(_TO_ANOTHER_WORKER),
        ),
        typed_per_filter_config=access.rules(grant, policies),
    )


def _outbound(sidecar: model.Sidecar, sources: Sources, passed_on: PassedOn) -> listener.Listener:
    manager = _manager(
        sidecar,
        OUTBOUND,
        sidecar.workload.identity,
        hcm.HttpConnectionManagerCodecType.AUTO,
        passed_on,
    )
    known = sidecar.services, sidecar.partners
    set_routes(manager, OUTBOUND, lambda: outbound_routes(*known), sources)
    manager.http_filters = [fault_filter(), router_filter()]
    return listener.Listener(
        name=OUTBOUND,
        address=unix(sidecar.outbound_socket, _SOCKET_MODE),
        per_connection_buffer_limit_bytes=BUFFER_BYTES,
        filter_chains=[listener.FilterChain(filters=[network_filter(manager)])],
    )


def outbound_routes(
    services: tuple[model.ServiceTarget, ...], partners: tuple[model.Partner, ...]
) -> route.RouteConfiguration:
    """Return the routes to the services and partners that a workload may call."""
    hosts = [
        *(service_host(target) for target in services),
        *(partner_host(partner) for partner in partners),
        no_way_out(),
    ]
    return route.RouteConfiguration(name=OUTBOUND, virtual_hosts=hosts)


def service_host(target: model.ServiceTarget) -> route.VirtualHost:
    """Return the routes to a service."""
    return route.VirtualHost(
        name=clusters.service_cluster_name(target.name),
        domains=[target.name, target.host],
        routes=service_routes(target),
        response_headers_to_remove=[unanswered.HEADER],
    )


def partner_host(partner: model.Partner) -> route.VirtualHost:
    """Return the routes to a partner."""
    return route.VirtualHost(
        name=clusters.partner_cluster_name(partner.host),
        domains=[partner.host],
        routes=partner_routes(partner),
    )


def no_way_out() -> route.VirtualHost:
    """Return the answer to a call to any other host."""
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
    caller: str,
    codec: hcm.HttpConnectionManagerCodecType,
    passed_on: PassedOn,
) -> hcm.HttpConnectionManager:
    return hcm.HttpConnectionManager(
        codec_type=codec,
        stat_prefix=name,
        access_log=[access_log(sidecar.workload, passed_on), call_counters(caller)],
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
