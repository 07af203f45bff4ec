"""Envoy's routes to one host: matches, shares, faults, header edits, rewrites and mirrors.

A method of a service has its own route for each route of the host that may apply to it, because its
deadline limits the timeout. Its name is the method's path.
"""

from collections.abc import Iterator
from dataclasses import replace

from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.filters.common.fault import v3 as common_fault
from envoy_data_plane.envoy.extensions.filters.http.fault import v3 as fault
from envoy_data_plane.envoy.type import v3 as types
from google.rpc.code_pb2 import Code

from mesh.controlplane import model
from mesh.controlplane.translate.clusters import partner_cluster_name, service_cluster_name
from mesh.controlplane.translate.http import FAULT, retry_policy
from mesh.controlplane.translate.matches import ANY_PATH, matching
from mesh.controlplane.translate.parts import appended, header, packed, span
from mesh.controlplane.translate.unanswered import service_retry

GRACE_MS = 500
"""A sidecar's timeout is this much longer than the deadline in the contract. The service and the
gateway end a call on time with DEADLINE_EXCEEDED; a sidecar would end it with UNAVAILABLE."""
_NOWHERE, _NO_POOL = model.Address("", 0), model.Pool(0, 0, 0, 0, 0)
_DENOMINATORS = types.FractionalPercentDenominatorType


def routed(target: model.ServiceTarget) -> model.ServiceTarget:
    """Return the service without what its routes do not depend on, such as its instances."""
    return replace(
        target,
        place=_NOWHERE,
        instances=(),
        traffic=_balanced(target.traffic),
        subsets=tuple(
            replace(each, instances=(), traffic=_balanced(each.traffic)) for each in target.subsets
        ),
    )


def _balanced(traffic: model.Traffic) -> model.Traffic:
    return model.Traffic(None, None, None, _NO_POOL, balancer=traffic.balancer)


def service_routes(target: model.ServiceTarget) -> list[route.Route]:
    """Return the routes to a service, in the order in which they are tried."""
    found: list[route.Route] = []
    for one in target.routes:
        for match in one.matches or (model.Match(),):
            found += [
                _method_route(target, one, match, grant)
                for grant in target.methods
                if match.may_fit_path(grant.path)
            ]
            # Methods outside the contract still go to the target; its own sidecar rejects them.
            found.append(_other_route(target, one, match))
    return found


def partner_routes(partner: model.Partner) -> list[route.Route]:
    """Return the routes to a partner, in the order in which they are tried."""
    to, sent = partner_cluster_name(partner.host), partner.authority_sent
    found: list[route.Route] = []
    for one in partner.routes:
        for match in one.matches or (model.Match(),):
            action = route.RouteAction(cluster=to, retry_policy=retry_policy(one.retry))
            action.timeout = None if one.timeout_ms is None else span(one.timeout_ms)
            action.host_rewrite_literal = "" if sent == partner.host else sent
            _rewrite(action, one, match.path)
            found.append(completed(route.Route(name=to, match=matching(match), route=action), one))
    return found


def service_action(target: model.ServiceTarget, one: model.Route) -> route.RouteAction:
    """Return where a route to a service sends its requests, without timeout and rewrites."""
    shares = [(_cluster(target, each.subset), each.weight) for each in one.destinations]
    shares = [(name, weight) for name, weight in shares if weight]
    action = route.RouteAction(retry_policy=service_retry(one.retry))
    if len(shares) == 1:
        action.cluster = shares[0][0]
    else:
        weighted = [route.WeightedClusterClusterWeight(name=n, weight=w) for n, w in shares]
        action.weighted_clusters = route.WeightedCluster(clusters=weighted)
    action.hash_policy = [_by_header(name) for name in _hash_headers(target, one)]
    action.request_mirror_policies = [_mirrored(target, each) for each in one.mirrors]
    return action


def rewritten(path: str, one: model.Route, found: model.Text | None) -> str | None:
    """Return what a route makes of a known path, or None if it stays as it is."""
    if one.rewrite is None or one.rewrite.path is None:
        return None
    if found is not None and found.sort is model.TextSort.EXACT:
        return one.rewrite.path
    matched = ANY_PATH if found is None else found.value
    return one.rewrite.path + path[len(matched) :]


def _method_route(
    target: model.ServiceTarget, one: model.Route, match: model.Match, grant: model.Grant
) -> route.Route:
    action = service_action(target, one)
    deadline_ms = grant.deadline_ms + GRACE_MS
    action.timeout = span(min(one.timeout_ms or deadline_ms, deadline_ms))
    action.prefix_rewrite = rewritten(grant.path, one, match.path) or ""
    _rewrite_authority(action, one)
    made = matching(match)
    # A condition on the path is met, so the whole path takes its place.
    at = route.RouteMatch(
        path=grant.path, headers=made.headers, query_parameters=made.query_parameters
    )
    return completed(route.Route(name=grant.path, match=at, route=action), one)


def _other_route(target: model.ServiceTarget, one: model.Route, match: model.Match) -> route.Route:
    action = service_action(target, one)
    action.timeout = None if one.timeout_ms is None else span(one.timeout_ms)
    _rewrite(action, one, match.path)
    name = service_cluster_name(target.name)
    return completed(route.Route(name=name, match=matching(match), route=action), one)


def completed(made: route.Route, one: model.Route) -> route.Route:
    """Add to a route what happens to a request on the way: faults and edits of headers."""
    asked, answered = one.request_headers, one.response_headers
    made.request_headers_to_add = list(_header_options(asked))
    made.request_headers_to_remove = list(asked.remove)
    made.response_headers_to_add = list(_header_options(answered))
    made.response_headers_to_remove = list(answered.remove)
    if one.delay or one.abort:
        made.typed_per_filter_config[FAULT] = packed(_fault(one.delay, one.abort))
    return made


def _rewrite(action: route.RouteAction, one: model.Route, found: model.Text | None) -> None:
    if one.rewrite is not None and one.rewrite.path is not None:
        action.prefix_rewrite = one.rewrite.path
    _rewrite_authority(action, one)


def _rewrite_authority(action: route.RouteAction, one: model.Route) -> None:
    if one.rewrite is not None and one.rewrite.authority is not None:
        action.host_rewrite_literal = one.rewrite.authority


def _header_options(edits: model.HeaderEdits) -> Iterator[core.HeaderValueOption]:
    for name, value in edits.set:
        yield header(name, value)
    for name, value in edits.add:
        yield appended(name, value)


def _fault(delay: model.Delay | None, abort: model.Abort | None) -> fault.HttpFault:
    made = fault.HttpFault()
    if delay is not None:
        made.delay = common_fault.FaultDelay(
            fixed_delay=span(delay.ms), percentage=_share(delay.per_million)
        )
    if abort is not None:
        made.abort = fault.FaultAbort(percentage=_share(abort.per_million))
        if abort.grpc_status is not None:
            made.abort.grpc_status = Code.Value(abort.grpc_status)
        else:
            made.abort.http_status = abort.http_status
    return made


def _share(per_million: int) -> types.FractionalPercent:
    return types.FractionalPercent(numerator=per_million, denominator=_DENOMINATORS.MILLION)


def _cluster(target: model.ServiceTarget, subset: str | None) -> str:
    return service_cluster_name(target.name, subset)


def _mirrored(
    target: model.ServiceTarget, mirror: model.Mirror
) -> route.RouteActionRequestMirrorPolicy:
    share = core.RuntimeFractionalPercent(default_value=_share(mirror.per_million))
    return route.RouteActionRequestMirrorPolicy(
        cluster=_cluster(target, mirror.subset), runtime_fraction=share
    )


def _hash_headers(target: model.ServiceTarget, one: model.Route) -> list[str]:
    """Return the headers by which the destinations of a route choose an instance."""
    of_subset = {each.name: each.traffic for each in target.subsets}
    policies = [
        of_subset[each.subset] if each.subset else target.traffic for each in one.destinations
    ]
    hashed = [each.balancer.hash_header for each in policies if _is_hash(each)]
    return sorted(set(hashed))


def _is_hash(traffic: model.Traffic) -> bool:
    return traffic.balancer.sort is model.Balancing.HASH


def _by_header(name: str) -> route.RouteActionHashPolicy:
    return route.RouteActionHashPolicy(header=route.RouteActionHashPolicyHeader(header_name=name))
