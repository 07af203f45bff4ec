"""Counters of calls by caller, method and outcome, which operators read from a proxy's admin page.

Each part of a name has few values: callers have certificates of the mesh, methods are names of
routes, outcomes are status codes. The service that is called chooses its codes, so all that do not
exist are counted as one: Envoy never forgets a counter.
"""

from envoy_data_plane.envoy.config.accesslog import v3 as accesslog
from envoy_data_plane.envoy.extensions.access_loggers.stats import v3 as stats
from envoy_data_plane.envoy.extensions.matching.actions.transform_stat import v3 as transform
from envoy_data_plane.envoy.extensions.matching.common_inputs.stats import v3 as inputs
from envoy_data_plane.xds.core import v3 as xds
from envoy_data_plane.xds.type.matcher import v3 as matcher

from mesh.controlplane.translate.parts import packed

SCOPE, TOTAL, MILLISECONDS = "calls", "total", "ms"
PEER = "%DOWNSTREAM_PEER_URI_SAN%"
"""The caller of an incoming call; "-" without a certificate."""
_METHOD = "%ROUTE_NAME%"
_OUTCOME = "%RESPONSE_CODE%/%GRPC_STATUS_NUMBER%"
_KNOWN = "(0|[1-5][0-9][0-9])/(-|[0-9]|1[0-6])?"
UNKNOWN = "502/2"
"""Stands for every outcome that is not one: a bad answer, with the code UNKNOWN of gRPC."""


def call_counters(caller: str) -> accesslog.AccessLog:
    """Return the logger that counts. `caller` is a fixed name or `PEER`."""
    who = [_tag("caller", caller), _tag("method", _METHOD)]
    counted = stats.ConfigStat(name=TOTAL, tags=[*who, _outcome()])
    timed = stats.ConfigStat(name=MILLISECONDS, tags=who)
    config = stats.Config(
        stat_prefix=SCOPE,
        counters=[stats.ConfigCounter(stat=counted, value_fixed=1)],
        histograms=[
            stats.ConfigHistogram(
                stat=timed,
                unit=stats.ConfigHistogramUnit.Milliseconds,
                value_format="%DURATION%",
            )
        ],
    )
    return accesslog.AccessLog(name="envoy.access_loggers.stats", typed_config=packed(config))


def _tag(name: str, value: str) -> stats.ConfigTag:
    return stats.ConfigTag(name=name, value_format=value)


def _outcome() -> stats.ConfigTag:
    made = _tag("outcome", _OUTCOME)
    value = xds.TypedExtensionConfig(name="value", typed_config=packed(inputs.StatTagValueInput()))
    text = matcher.StringMatcher(
        safe_regex=matcher.RegexMatcher(google_re2=matcher.RegexMatcherGoogleRe2(), regex=_KNOWN)
    )
    known = matcher.MatcherMatcherListPredicateSinglePredicate(input=value, value_match=text)
    update = transform.TransformStat(
        update_tag=transform.TransformStatUpdateTag(new_tag_value=UNKNOWN)
    )
    replaced = matcher.MatcherMatcherListFieldMatcher(
        predicate=matcher.MatcherMatcherListPredicate(
            not_matcher=matcher.MatcherMatcherListPredicate(single_predicate=known)
        ),
        on_match=matcher.MatcherOnMatch(
            action=xds.TypedExtensionConfig(name="other", typed_config=packed(update))
        ),
    )
    made.rules = matcher.Matcher(matcher_list=matcher.MatcherMatcherList(matchers=[replaced]))
    return made
