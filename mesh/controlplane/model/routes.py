"""How a request to a host chooses its destination, and what happens to it on the way.

A host has an ordered list of routes; the first that matches applies. `resolve` removes the matches
of other callers, so all routes here are for the caller whose proxy gets them.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

from mesh.controlplane.model.traffic import Retry

WHOLE = 1_000_000
"""All requests, in parts of a million."""


class TextSort(Enum):
    """How a text is compared."""

    EXACT = auto()
    PREFIX = auto()
    SUFFIX = auto()
    REGEX = auto()
    """RE2 that matches the whole text."""
    PRESENT = auto()
    """Any text; `value` is empty."""


@dataclass(frozen=True, slots=True)
class Text:
    """A condition on a text."""

    sort: TextSort
    value: str

    def fits(self, text: str) -> bool:
        """Return whether a text meets the condition."""
        match self.sort:
            case TextSort.EXACT:
                return text == self.value
            case TextSort.PREFIX:
                return text.startswith(self.value)
            case TextSort.SUFFIX:
                return text.endswith(self.value)
            case TextSort.REGEX:
                return re.fullmatch(self.value, text) is not None
            case TextSort.PRESENT:
                return bool(text)


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """A condition on a header, or on a query parameter; `inverted` means that it must not hold."""

    name: str
    text: Text
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """Conditions that a request must meet together. None and () mean any request."""

    path: Text | None = None
    path_ignores_case: bool = False
    method: Text | None = None
    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[HeaderMatch, ...] = ()

    def may_fit_path(self, path: str) -> bool:
        """Return whether a request to this path can meet the conditions."""
        if self.path is None:
            return True
        if not self.path_ignores_case or self.path.sort is TextSort.REGEX:
            return self.path.fits(path)
        return Text(self.path.sort, self.path.value.lower()).fits(path.lower())

    @property
    def fits_every_request(self) -> bool:
        """Whether it has no condition."""
        return self == Match()


@dataclass(frozen=True, slots=True)
class HeaderEdits:
    """Changes of headers, in this order: remove, set, add. Names are in lower case."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Destination:
    """A share of the requests: `weight` out of the sum of all weights of the route.

    No `subset` means all instances of the host.
    """

    subset: str | None = None
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Delay:
    """A wait before the request is sent, for a share of the requests in parts of a million."""

    ms: int
    per_million: int = WHOLE


@dataclass(frozen=True, slots=True)
class Abort:
    """An answer instead of the call, for a share of the requests in parts of a million.

    Exactly one of the two codes is set.
    """

    http_status: int | None = None
    grpc_status: str | None = None
    """The name of the code, such as "UNAVAILABLE"."""
    per_million: int = WHOLE


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Changes of the path and the host that the destination sees.

    `path` replaces the part that the route's match has found: an exact path or a prefix.
    """

    path: str | None = None
    authority: str | None = None


@dataclass(frozen=True, slots=True)
class Mirror:
    """A copy of a share of the requests, in parts of a million; its answers are dropped."""

    subset: str | None
    per_million: int = WHOLE


@dataclass(frozen=True, slots=True)
class Route:
    """One route of a host. It applies if one of `matches` does; () means that it always applies.

    `timeout_ms` None means the deadline of the method. A service's method has the shorter of both.
    """

    name: str = ""
    matches: tuple[Match, ...] = ()
    destinations: tuple[Destination, ...] = (Destination(),)
    timeout_ms: int | None = None
    retry: Retry | None = None
    delay: Delay | None = None
    abort: Abort | None = None
    request_headers: HeaderEdits = HeaderEdits()
    response_headers: HeaderEdits = HeaderEdits()
    rewrite: Rewrite | None = None
    mirrors: tuple[Mirror, ...] = ()
