"""Conditions of a VirtualService on the path of a call whose method is known."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

Match = dict[str, Any]


def fits(uri: Mapping[str, str] | None, path: str) -> bool:
    """Return whether a path may fulfil a condition on the uri."""
    if uri is None:
        return True
    if "exact" in uri:
        return uri["exact"] == path
    if "prefix" in uri:
        return path.startswith(uri["prefix"])
    return re.fullmatch(uri["regex"], path) is not None


def narrowed(matches: Iterable[Match] | None, path: str) -> list[Match]:
    """Return the matches that a path may fulfil, each with the exact path."""
    exact = {"uri": {"exact": path}}
    if not matches:
        return [exact]
    return [
        {key: one for key, one in {**each, **exact}.items() if key != "ignoreUriCase"}
        for each in matches
        if fits(each.get("uri"), path)
    ]
