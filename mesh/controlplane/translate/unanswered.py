"""What a sidecar says about a call that its service did not answer, and who may repeat such a call.

A caller's Envoy knows the fate of a call only up to the callee's sidecar. Behind that, the service
may be gone: then the sidecar answers, and its answer looks like one of the service. So it says in a
header whether the service has got the call at all. A retry condition of a caller covers both parts
of the way: `connect-failure` and `refused-stream` the calls that the service did not get, `reset`
also those whose connection broke.
"""

from envoy_data_plane.envoy.config.accesslog import v3 as accesslog
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm

from mesh.controlplane import model
from mesh.controlplane.translate.http import cel_filter, retry_policy
from mesh.controlplane.translate.parts import exact, header

HEADER = "x-bp-call"
"""Only sidecars write it, and only the proxy of a caller reads it."""
NOT_RECEIVED = "not-received"
"""The service has not got the call: no connection, or the service refused the stream."""
BROKEN_OFF = "broken-off"
"""The connection broke before the answer; the service may have executed the call."""
_FLAGS_NOT_RECEIVED = ("UF",)
_FLAGS_BROKEN_OFF = ("UC", "UR")
_REFUSED = "response.code_details.contains('refused_stream')"
_RECEIVED_BY_NONE = {model.RetryCause.CONNECT_FAILURE, model.RetryCause.STREAM_REFUSED}


def told() -> hcm.LocalReplyConfig:
    """Return the header of a sidecar's own answers to a call that it could not pass on."""
    return hcm.LocalReplyConfig(
        mappers=[
            _mapper(NOT_RECEIVED, _flagged(*_FLAGS_NOT_RECEIVED)),
            _mapper(NOT_RECEIVED, cel_filter(_REFUSED)),
            _mapper(BROKEN_OFF, _flagged(*_FLAGS_BROKEN_OFF)),
        ]
    )


def service_retry(retry: model.Retry | None) -> route.RetryPolicy | None:
    """Return the retry policy of calls to a service, which also reads what its sidecar says."""
    made = retry_policy(retry)
    if made is None or retry is None:
        return made
    read = [NOT_RECEIVED] if _RECEIVED_BY_NONE & set(retry.on) else []
    if model.RetryCause.RESET in retry.on:
        read = [NOT_RECEIVED, BROKEN_OFF]
    if read:
        made.retry_on += ",retriable-headers"
        made.retriable_headers = [
            route.HeaderMatcher(name=HEADER, string_match=exact(value)) for value in read
        ]
    return made


def _mapper(value: str, applies: accesslog.AccessLogFilter) -> hcm.ResponseMapper:
    return hcm.ResponseMapper(filter=applies, headers_to_add=[header(HEADER, value)])


def _flagged(*flags: str) -> accesslog.AccessLogFilter:
    return accesslog.AccessLogFilter(
        response_flag_filter=accesslog.ResponseFlagFilter(flags=list(flags))
    )
