"""The conditions under which a route applies, as Envoy has them."""

import re

from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.type.matcher import v3 as matcher

from mesh.controlplane import model
from mesh.controlplane.translate.parts import text_matcher

ANY_PATH = "/"


def matching(match: model.Match) -> route.RouteMatch:
    """Return the match of a route."""
    made = route.RouteMatch(
        headers=header_matchers(match), query_parameters=[_parameter(each) for each in match.query]
    )
    if match.path_ignores_case:
        made.case_sensitive = False
    path = match.path
    if path is None or path.sort is model.TextSort.PRESENT:
        made.prefix = ANY_PATH
    elif path.sort is model.TextSort.EXACT:
        made.path = path.value
    elif path.sort is model.TextSort.PREFIX:
        made.prefix = path.value
    elif path.sort is model.TextSort.REGEX:
        made.safe_regex = matcher.RegexMatcher(regex=path.value)
    else:
        made.safe_regex = matcher.RegexMatcher(regex=f".*{re.escape(path.value)}")
    return made


def header_matchers(match: model.Match) -> list[route.HeaderMatcher]:
    """Return the conditions on the HTTP method and on headers."""
    method = [] if match.method is None else [model.HeaderMatch(":method", match.method)]
    return [_header(each) for each in (*method, *match.headers)]


def _header(each: model.HeaderMatch) -> route.HeaderMatcher:
    made = route.HeaderMatcher(name=each.name, invert_match=each.inverted)
    if each.text.sort is model.TextSort.PRESENT:
        made.present_match = True
    else:
        made.string_match = text_matcher(each.text)
    return made


def _parameter(each: model.HeaderMatch) -> route.QueryParameterMatcher:
    if each.text.sort is model.TextSort.PRESENT:
        return route.QueryParameterMatcher(name=each.name, present_match=True)
    return route.QueryParameterMatcher(name=each.name, string_match=text_matcher(each.text))
