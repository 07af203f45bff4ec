"""A fault that is injected into a service, as the gateway's callers get it."""

from dataclasses import replace

import pytest
from envoy_data_plane.envoy.extensions.filters.http.fault import v3 as fault

from mesh.controlplane import model
from mesh.controlplane.translate.edge.routes import route_configuration
from mesh.controlplane.translate.edge.targets import HTTP_STATUS
from mesh.controlplane.translate.http import FAULT
from mesh.controlplane.translate.sidecar import outbound_routes
from tests.rigs.mesh.fixed_places import mesh

MESH = mesh()


def faulty(target: model.ServiceTarget, abort: model.Abort) -> model.ServiceTarget:
    """Return a service whose every call is aborted."""
    return replace(target, routes=tuple(replace(each, abort=abort) for each in target.routes))


@pytest.mark.parametrize("code", HTTP_STATUS)
def test_a_code_of_grpc_becomes_the_status_of_rest_at_the_gateway(code: str) -> None:
    """Envoy would answer a REST request with a plain body; services get the code itself."""
    abort = model.Abort(grpc_status=code)
    services = tuple(faulty(each, abort) for each in MESH.edge.services)
    found = route_configuration(replace(MESH.edge, services=services))
    faults = [
        fault.HttpFault.parse(each.typed_per_filter_config[FAULT].value).abort
        for host in found.virtual_hosts
        for each in host.routes
        if FAULT in each.typed_per_filter_config
    ]
    assert faults
    assert {each.http_status for each in faults if each} == {HTTP_STATUS[code]}
    inside = outbound_routes(services[:1], ())
    first = inside.virtual_hosts[0].routes[0].typed_per_filter_config[FAULT]
    inner = fault.HttpFault.parse(first.value).abort
    assert inner is not None
    assert inner.grpc_status
    assert not inner.http_status
