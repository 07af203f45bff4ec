"""Envoy's own error responses at the gateway, as google.rpc.Status in JSON: never plain text."""

from collections.abc import Iterator
from dataclasses import replace

from envoy_data_plane.envoy.config.accesslog import v3 as accesslog
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm

from gateway.replies import (
    CHALLENGE,
    FALLBACK,
    INVALID_TOKEN,
    REPLIES,
    TOO_LARGE,
    GatewayReply,
    status_json,
)
from mesh.controlplane import model
from mesh.controlplane.translate.edge import names
from mesh.controlplane.translate.http import cel_filter
from mesh.controlplane.translate.parts import exact, header, struct

_JSON = "application/json"
_MALFORMED = 400
_UNAUTHENTICATED = 401
_FORBIDDEN = 403
_NOT_IMPLEMENTED = 501
_UNAVAILABLE = 503
_ERRORS_FROM = 400
_COMPLETE = f"response.code_details == 'lua_response' && response.code != {TOO_LARGE}"
_NOT_SENT = "Jwt_is_missing"
"""The detail that Envoy's token filter gives for a request without a token."""
_NO_KEYS = "Jwks_remote_fetch_is_failed"
"""The detail that Envoy's token filter gives when it could not fetch the provider's key set."""


def local_replies(policy: model.Cors) -> hcm.LocalReplyConfig:
    """Return the mapping; answers of the Lua filters are JSON and stay unchanged, except a 413.

    A Lua filter gives only the status of a 413, because its text depends on the route. The CORS
    filter skips answers without a route to a service, so the mappers add its headers.
    """
    plain = list(_mappers())
    return hcm.LocalReplyConfig(
        mappers=[
            hcm.ResponseMapper(filter=cel_filter(_COMPLETE)),
            *(_readable(policy, each) for each in plain),
            *plain,
        ],
        body_format=core.SubstitutionFormatString(
            text_format_source=core.DataSource(inline_string="%LOCAL_REPLY_BODY%"),
            content_type=_JSON,
        ),
    )


def _mappers() -> Iterator[hcm.ResponseMapper]:
    # Without the provider's keys the gateway cannot tell whether a token is valid.
    away = next(reply for reply in REPLIES if reply.http == _UNAVAILABLE)
    no_keys = _mapper(away, cel_filter(f"response.code_details.contains('{_NO_KEYS}')"))
    no_keys.status_code = _UNAVAILABLE
    yield no_keys
    # Envoy answers a token for another audience with 403; to the caller it is an invalid token.
    unknown = next(reply for reply in REPLIES if reply.http == _UNAUTHENTICATED)
    any_refusal = "response.code_details.startsWith('jwt_authn_')"
    sent = f"{any_refusal} && !response.code_details.contains('{_NOT_SENT}')"
    for applies, challenge in ((sent, INVALID_TOKEN), (any_refusal, CHALLENGE)):
        refused = _mapper(unknown, cel_filter(applies), challenge)
        refused.status_code = _UNAUTHENTICATED
        yield refused
    # An unknown transfer coding is the caller's error, not the bank's.
    malformed = next(reply for reply in REPLIES if reply.http == _MALFORMED)
    unknown_coding = _mapper(malformed, _status(accesslog.ComparisonFilterOp.EQ, _NOT_IMPLEMENTED))
    unknown_coding.status_code = _MALFORMED
    yield unknown_coding
    for reply in REPLIES:
        yield _mapper(reply, _status(accesslog.ComparisonFilterOp.EQ, reply.http))
    yield _mapper(FALLBACK, _status(accesslog.ComparisonFilterOp.GE, _ERRORS_FROM))


def _readable(policy: model.Cors, plain: hcm.ResponseMapper) -> hcm.ResponseMapper:
    """Return the mapper for requests from an allowed origin, so that the app may read the reply."""
    from_app = _from_any_of(policy.allow_origins)
    both = [from_app, plain.filter] if plain.filter else [from_app]
    return replace(
        plain,
        filter=accesslog.AccessLogFilter(and_filter=accesslog.AndFilter(filters=both)),
        headers_to_add=[
            *plain.headers_to_add,
            header("access-control-allow-origin", "%REQ(origin)%"),
            header("access-control-expose-headers", ", ".join(policy.expose_headers)),
        ],
    )


def _from_any_of(origins: tuple[str, ...]) -> accesslog.AccessLogFilter:
    """Match each origin on its own: Envoy limits the size of a regular expression."""
    each = [
        accesslog.AccessLogFilter(
            header_filter=accesslog.HeaderFilter(
                header=route.HeaderMatcher(name="origin", string_match=exact(origin))
            )
        )
        for origin in origins
    ]
    if len(each) == 1:
        return each[0]
    return accesslog.AccessLogFilter(or_filter=accesslog.OrFilter(filters=each))


def _mapper(
    reply: GatewayReply, applies: accesslog.AccessLogFilter, challenge: str = CHALLENGE
) -> hcm.ResponseMapper:
    # The reason, message and metadata of a 403 depend on the route: a customer lacks a scope, which
    # the metadata names, and a partner lacks an accepted certificate.
    metadata = None
    if reply.http == _FORBIDDEN:
        reply = replace(
            reply,
            reason=_of_route(names.FORBIDDEN_REASON),
            message=_of_route(names.FORBIDDEN_MESSAGE),
        )
        metadata = _of_route(names.FORBIDDEN_METADATA)
    if reply.http == TOO_LARGE:
        # A method may accept larger bodies than the others.
        reply = replace(reply, message=_of_route(names.TOO_LARGE_MESSAGE))
    headers = [header("retry-after", str(reply.retry_after_s))] if reply.retry_after_s else []
    if reply.http == _UNAUTHENTICATED:
        # It replaces Envoy's challenge, which copies the caller's URL, even unescaped quotes.
        headers.append(header("www-authenticate", challenge))
    return hcm.ResponseMapper(
        filter=applies,
        body_format_override=core.SubstitutionFormatString(
            json_format=struct(status_json(reply, metadata)), content_type=_JSON
        ),
        headers_to_add=headers,
    )


def _of_route(key: str) -> str:
    """Return the format of a value in the route's metadata; the value keeps its type."""
    return f"%METADATA(ROUTE:{names.EDGE}:{key})%"


def _status(op: accesslog.ComparisonFilterOp, value: int) -> accesslog.AccessLogFilter:
    comparison = accesslog.ComparisonFilter(
        op=op, value=core.RuntimeUInt32(default_value=value, runtime_key="bp.edge.reply")
    )
    return accesslog.AccessLogFilter(
        status_code_filter=accesslog.StatusCodeFilter(comparison=comparison)
    )
