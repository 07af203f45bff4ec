"""Token buckets at the gateway: one for each address, then one for each caller and class.

A request with a large body also takes a token from a bucket of its address and from one of all
addresses, because the gateway needs milliseconds to read it.

An IPv6 address stands for its /64 network, because each customer has one and can change the rest of
the address. A bucket is created when a caller first appears. Each kind keeps at most `tracked_max`
buckets and drops the least recently used.
"""

from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.common.ratelimit import v3 as ratelimit
from envoy_data_plane.envoy.extensions.filters.http.local_ratelimit import v3 as local
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
from envoy_data_plane.envoy.type import v3 as types
from envoy_data_plane.envoy.type.metadata import v3 as metadata

from mesh.controlplane import model
from mesh.controlplane.translate.edge import names
from mesh.controlplane.translate.http import http_filter
from mesh.controlplane.translate.parts import always, span

_FILL_MS = 1000
_V6_NETWORK_BITS = 64
LARGE = "LARGE"
_LENGTH_MAX = 2**62
_UNLIMITED = model.Bucket(per_second=1_000_000, burst=1_000_000)


def address_limit(edge: model.Edge) -> hcm.HttpFilter:
    """Return the filter with a bucket for each address; it counts every request, routed or not."""
    config = _filter("edge_address", edge.tracked_max)
    config.descriptors = [_descriptor(edge.per_address, (names.ADDRESS_KEY, ""))]
    config.rate_limits = [route.RateLimit(actions=[_by_address()])]
    return http_filter(names.LIMIT_ADDRESS, config)


def class_limit(edge: model.Edge) -> hcm.HttpFilter:
    """Return the filter with a bucket for each class and caller; route metadata names the class."""
    by_caller = {
        names.CUSTOMER_CLASS: (names.SUBJECT_KEY, _by_subject()),
        names.PARTNER_CLASS: (names.PARTNER_KEY, _by_partner()),
        names.ADDRESS_CLASS: (names.ADDRESS_KEY, _by_address()),
    }
    config = _filter("edge_class", edge.tracked_max)
    config.descriptors = [
        _descriptor(bucket, (kind, name), (key, ""))
        for name, bucket in edge.classes
        for kind, (key, _) in by_caller.items()
    ]
    config.descriptors += _large_body_descriptors(edge)
    config.rate_limits = [
        *(
            route.RateLimit(actions=[_by_class(kind), caller])
            for kind, (_, caller) in by_caller.items()
        ),
        *_large_body_limits(edge),
    ]
    return http_filter(names.LIMIT_CLASS, config)


def _large_body_descriptors(edge: model.Edge) -> list[ratelimit.LocalRateLimitDescriptor]:
    large = ((names.LARGE_BODY_CLASS, LARGE), (names.LENGTH_KEY, LARGE))
    return [
        _descriptor(edge.large_bodies_per_address, *large, (names.ADDRESS_KEY, "")),
        _descriptor(edge.large_bodies_total, *large),
    ]


def _large_body_limits(edge: model.Edge) -> list[route.RateLimit]:
    """Count a body that says that it is large; without a length it does not get this far."""
    large = types.Int64Range(start=edge.limits.body_bytes + 1, end=_LENGTH_MAX)
    length = route.HeaderMatcher(name="content-length", range_match=large)
    return [
        route.RateLimit(actions=[_by_class(names.LARGE_BODY_CLASS), _by_length(length), *more])
        for more in ([_by_address()], [])
    ]


def _by_length(length: route.HeaderMatcher) -> route.RateLimitAction:
    return route.RateLimitAction(
        header_value_match=route.RateLimitActionHeaderValueMatch(
            descriptor_key=names.LENGTH_KEY, descriptor_value=LARGE, headers=[length]
        )
    )


def _by_address() -> route.RateLimitAction:
    return route.RateLimitAction(
        masked_remote_address=route.RateLimitActionMaskedRemoteAddress(
            v6_prefix_mask_len=_V6_NETWORK_BITS
        )
    )


def _by_subject() -> route.RateLimitAction:
    return _by_header(names.SUBJECT_HEADER, names.SUBJECT_KEY)


def _by_partner() -> route.RateLimitAction:
    return _by_header(names.PARTNER_HEADER, names.PARTNER_KEY)


def _by_header(name: str, key: str) -> route.RateLimitAction:
    return route.RateLimitAction(
        request_headers=route.RateLimitActionRequestHeaders(header_name=name, descriptor_key=key)
    )


def _by_class(kind: str) -> route.RateLimitAction:
    return route.RateLimitAction(
        metadata=route.RateLimitActionMetaData(
            descriptor_key=kind,
            metadata_key=metadata.MetadataKey(
                key=names.EDGE, path=[metadata.MetadataKeyPathSegment(key=kind)]
            ),
            source=route.RateLimitActionMetaDataSource.ROUTE_ENTRY,
        )
    )


def _filter(stat: str, tracked_max: int) -> local.LocalRateLimit:
    return local.LocalRateLimit(
        stat_prefix=stat,
        token_bucket=_tokens(_UNLIMITED),
        filter_enabled=always(),
        filter_enforced=always(),
        always_consume_default_token_bucket=False,
        max_dynamic_descriptors=tracked_max,
    )


def _descriptor(
    bucket: model.Bucket, *entries: tuple[str, str]
) -> ratelimit.LocalRateLimitDescriptor:
    # An entry without a value matches every value; each value gets its own bucket.
    return ratelimit.LocalRateLimitDescriptor(
        entries=[ratelimit.RateLimitDescriptorEntry(key=k, value=v) for k, v in entries],
        token_bucket=_tokens(bucket),
    )


def _tokens(bucket: model.Bucket) -> types.TokenBucket:
    return types.TokenBucket(
        max_tokens=bucket.burst, tokens_per_fill=bucket.per_second, fill_interval=span(_FILL_MS)
    )
