"""Envoy's matchers of strings, headers and paths. An unknown matcher is an error, never a guess."""

import re
from typing import Any

from lab.conformance.facts.calls import Call

Json = dict[str, Any]


class Unknown(ValueError):
    """A matcher that the comparison does not know; add it."""


def string(matcher: Json, value: str) -> bool:
    """Return whether a StringMatcher matches."""
    if matcher.get("ignore_case"):
        value = value.lower()
    for kind, wanted in matcher.items():
        if kind == "ignore_case":
            continue
        text = wanted.lower() if matcher.get("ignore_case") and kind != "safe_regex" else wanted
        if kind == "exact":
            return value == text
        if kind == "prefix":
            return value.startswith(text)
        if kind == "suffix":
            return value.endswith(text)
        if kind == "contains":
            return text in value
        if kind == "safe_regex":
            return re.fullmatch(wanted["regex"], value) is not None
        raise Unknown(f"string matcher {kind}")
    return value == ""


def header(matcher: Json, call: Call) -> bool:
    """Return whether a HeaderMatcher matches."""
    value = call.header(matcher["name"])
    inverted = bool(matcher.get("invert_match"))
    if "present_match" in matcher or set(matcher) <= {"name", "invert_match"}:
        wanted = bool(matcher.get("present_match", True))
        return ((value is not None) is wanted) is not inverted
    if value is None:
        return inverted and bool(matcher.get("treat_missing_header_as_empty"))
    return _value(matcher, value) is not inverted


def _value(matcher: Json, value: str) -> bool:
    if "string_match" in matcher:
        return string(matcher["string_match"], value)
    old = {"exact_match": "exact", "prefix_match": "prefix", "suffix_match": "suffix"}
    for name, kind in old.items():
        if name in matcher:
            return string({kind: matcher[name]}, value)
    if "safe_regex_match" in matcher:
        return string({"safe_regex": matcher["safe_regex_match"]}, value)
    raise Unknown(f"header matcher {sorted(matcher)}")


def template(pattern: str, path: str) -> bool:
    """Return whether a URI template such as "/v1/accounts/{*}" matches a path."""
    parts = re.split(r"(\{\*\*\}|\{\*\}|\*\*|\*|\{[^}]*\})", pattern)
    regex = "".join(
        (".*" if "**" in part else "[^/]+") if index % 2 else re.escape(part)
        for index, part in enumerate(parts)
    )
    return re.fullmatch(regex, path) is not None


def path(matcher: Json, call: Call) -> bool:
    """Return whether the path of a RouteMatch matches."""
    if "path" in matcher:
        return call.path == matcher["path"]
    if "safe_regex" in matcher:
        return re.fullmatch(matcher["safe_regex"]["regex"], call.path) is not None
    if "path_separated_prefix" in matcher:
        start = matcher["path_separated_prefix"]
        return call.path == start or call.path.startswith(f"{start}/")
    if "connect_matcher" in matcher:
        return call.verb == "CONNECT"
    return call.path.startswith(matcher.get("prefix", ""))
