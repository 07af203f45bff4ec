"""Checks a CEL expression for names and types that can never make it true.

Envoy parses an expression and knows its functions, but it does not check names and types: with an
unknown attribute every evaluation fails, and the access log stays empty. Envoy itself reports
syntax errors and unknown functions, so such an expression passes here.
Attributes: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes
Grammar: https://github.com/google/cel-spec/blob/master/doc/langdef.md
"""

import re
from collections.abc import Callable

_BOOL, _INT, _UINT, _DOUBLE, _STRING = "bool", "int", "uint", "double", "string"
_DURATION, _TIMESTAMP, _HEADERS, _LIST, _NULL = "duration", "timestamp", "headers", "list", "null"
_ANY = "any"
"""A type that is not known here, such as the type of metadata."""
_NUMBERS = {_INT, _UINT, _DOUBLE}
_OF_MESSAGE = {"headers": _HEADERS, "headers_bytes": _INT, "size": _INT, "total_size": _INT}
_OF_TLS = dict.fromkeys(
    (
        *("tls_version", "peer_certificate", "sha256_peer_certificate_digest"),
        *("subject_local_certificate", "subject_peer_certificate"),
        *("uri_san_local_certificate", "uri_san_peer_certificate"),
        *("dns_san_local_certificate", "dns_san_peer_certificate"),
        "transport_failure_reason",
    ),
    _STRING,
)
_ENDPOINT = {"address": _STRING, "port": _INT}
_ATTRIBUTES: dict[str, dict[str, str] | None] = {
    "request": {
        **dict.fromkeys(
            (
                *("path", "url_path", "host", "scheme", "method", "referer", "useragent"),
                *("id", "protocol", "query"),
            ),
            _STRING,
        ),
        **_OF_MESSAGE,
        **{"time": _TIMESTAMP, "duration": _DURATION},
    },
    "response": {
        **{"code": _INT, "code_details": _STRING, "flags": _INT, "grpc_status": _INT},
        **_OF_MESSAGE,
        **{"trailers": _HEADERS, "backend_latency": _DURATION},
    },
    "connection": {
        **_OF_TLS,
        **{"id": _UINT, "mtls": _BOOL},
        **{"requested_server_name": _STRING, "termination_details": _STRING},
    },
    "upstream": {
        **_OF_TLS,
        **_ENDPOINT,
        **{"local_address": _STRING, "locality": _ANY, "request_attempt_count": _UINT},
        **{"cx_pool_ready_duration": _DURATION, "num_endpoints": _UINT},
    },
    **{"source": _ENDPOINT, "destination": _ENDPOINT},
    "xds": {
        **dict.fromkeys(
            ("cluster_name", "route_name", "virtual_host_name", "filter_chain_name"), _STRING
        ),
        **dict.fromkeys(
            (
                *("cluster_metadata", "route_metadata", "virtual_host_metadata"),
                *("upstream_host_metadata", "upstream_host_locality_metadata"),
                *("listener_metadata", "node"),
            ),
            _ANY,
        ),
        "listener_direction": _INT,
    },
    **dict.fromkeys(("metadata", "filter_state", "upstream_filter_state")),
}
"""Envoy's attributes; None stands for maps with keys of any name."""
_FUNCTIONS = {
    **{each: each for each in (_BOOL, _INT, _UINT, _DOUBLE, _STRING, _DURATION, _TIMESTAMP)},
    **{"has": _BOOL, "size": _INT, "bytes": "bytes", "type": "type"},
    **dict.fromkeys(("contains", "startsWith", "endsWith", "matches"), _BOOL),
}
_MACROS = {"all": _BOOL, "exists": _BOOL, "exists_one": _BOOL, "map": _LIST, "filter": _LIST}
_WORDS = {
    **{"true": _BOOL, "false": _BOOL, "null": _NULL},
    **dict.fromkeys((*_NUMBERS, _BOOL, _STRING, "bytes", "list", "map", "null_type"), "type"),
    # The first words of functions and constants with longer names, such as math.greatest.
    **dict.fromkeys(("base64", "google", "lists", "math", "optional", "re", "sets"), _ANY),
}
_TOKEN = re.compile(
    r"""(?:\s|//[^\n]*)*(?:
        (?P<string>[rR]?(?P<quote>\"{3}|'{3}|\"|')(?:\\.|(?!(?P=quote))[^\\])*(?P=quote))
        |(?P<double>[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
        |(?P<uint>(?:0x[0-9a-fA-F]+|[0-9]+)[uU])
        |(?P<int>0x[0-9a-fA-F]+|[0-9]+)
        |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
        |(?P<sign>\|\||&&|<=|>=|==|!=|[-+*/%<>!?:.,()\[\]{}])
        |(?P<end>$)
    )""",
    re.VERBOSE | re.DOTALL,
)
_LEVELS = ({"||"}, {"&&"}, {"<", "<=", ">=", ">", "==", "!=", "in"}, {"+", "-"}, {"*", "/", "%"})
_LOGIC, _RELATION = 2, 3
"""Levels of binary operators, loosest first: logic is below level 2, relations below level 3."""


class _Unreadable(Exception):
    """The expression has a syntax error; Envoy names it."""


def logged(expression: str) -> str:
    """Return the expression unchanged. Raises ValueError if it cannot select a request."""
    try:
        reader = _Reader(_tokens(expression))
        kind = reader.whole()
    except (_Unreadable, RecursionError):
        return expression
    _require_bool(kind, "the expression")
    return expression


def _tokens(expression: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    while not found or found[-1][0] != "end":
        match = _TOKEN.match(expression, at)
        kind = match.lastgroup if match else None
        if match is None or kind is None:
            raise _Unreadable
        found.append((kind, match[kind]))
        at = match.end()
    return found


def _require_bool(kind: str, what: str) -> None:
    if kind not in (_BOOL, _ANY):
        raise ValueError(f"{what} must be a bool, but is of type {kind}")


def _require_comparable(sign: str, left: str, right: str) -> None:
    known = {left, right} - {_ANY, _NULL}
    if sign != "in" and len(known) > 1 and not known <= _NUMBERS:
        raise ValueError(f"{left} {sign} {right} has no result; compare values of one type")


class _Reader:
    """A recursive reader of the grammar. Each method reads one rule and returns its type."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0
        self._bound: list[str] = []

    def whole(self) -> str:
        """Read the whole expression."""
        kind = self._expression()
        if self._tokens[self._at][0] != "end":
            raise _Unreadable
        return kind

    def _next(self, sort: str) -> str:
        kind, text = self._tokens[self._at]
        if kind != sort:
            raise _Unreadable
        self._at += 1
        return text

    def _take(self, *signs: str) -> str | None:
        kind, text = self._tokens[self._at]
        if kind not in ("sign", "name") or text not in signs:
            return None
        self._at += 1
        return text

    def _expect(self, sign: str) -> None:
        if self._take(sign) is None:
            raise _Unreadable

    def _expression(self) -> str:
        kind = self._binary(0)
        if self._take("?") is None:
            return kind
        _require_bool(kind, "the part before ?")
        first = self._binary(0)
        self._expect(":")
        second = self._expression()
        return first if first == second else _ANY

    def _binary(self, level: int) -> str:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while sign := self._take(*_LEVELS[level]):
            right = self._binary(level + 1)
            if level < _LOGIC:
                _require_bool(left, f"the part before {sign}")
                _require_bool(right, f"the part after {sign}")
                left = _BOOL
            elif level < _RELATION:
                _require_comparable(sign, left, right)
                left = _BOOL
            else:
                left = left if left == right else _ANY
        return left

    def _unary(self) -> str:
        if self._take("!"):
            _require_bool(self._unary(), "the part after !")
            return _BOOL
        return self._unary() if self._take("-") else self._member()

    def _member(self) -> str:
        kind = self._primary()
        while sign := self._take(".", "["):
            if sign == "[":
                self._expression()
                self._expect("]")
                kind = _STRING if kind == _HEADERS else _ANY
                continue
            name = self._next("name")
            kind = self._call(name) if self._take("(") else _field(kind, name)
        return kind

    def _primary(self) -> str:
        if self._take("("):
            kind = self._expression()
            self._expect(")")
            return kind
        if self._take("["):
            self._list("]", self._expression)
            return _LIST
        if self._take("{"):
            self._list("}", self._pair)
            return "map"
        for sort in (_STRING, _DOUBLE, _UINT, _INT):
            if self._tokens[self._at][0] == sort:
                self._at += 1
                return sort
        name = self._next("name")
        return self._call(name) if self._take("(") else self._word(name)

    def _word(self, name: str) -> str:
        if name in self._bound:
            return _ANY
        if name in _ATTRIBUTES:
            return name
        if name not in _WORDS:
            raise ValueError(f"{name} is unknown; Envoy knows {', '.join(sorted(_ATTRIBUTES))}")
        return _WORDS[name]

    def _call(self, name: str) -> str:
        if name in _MACROS:
            self._bound.append(self._next("name"))
            self._expect(",")
        self._list(")", self._expression)
        if name in _MACROS:
            self._bound.pop()
            return _MACROS[name]
        return _INT if name.startswith("get") else _FUNCTIONS.get(name, _ANY)

    def _pair(self) -> None:
        self._expression()
        self._expect(":")
        self._expression()

    def _list(self, end: str, read: Callable[[], object]) -> None:
        while not self._take(end):
            read()
            if not self._take(","):
                self._expect(end)
                return


def _field(kind: str, name: str) -> str:
    fields = _ATTRIBUTES.get(kind)
    if fields is None:
        return _STRING if kind == _HEADERS else _ANY
    if name not in fields:
        raise ValueError(f"{kind}.{name} is unknown; Envoy knows {', '.join(sorted(fields))}")
    return fields[name]
