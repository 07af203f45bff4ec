"""Values for a field: good ones, which the control plane mostly accepts, and hostile ones."""

import math
from typing import Any

from hypothesis import strategies as st

from lab.fuzz.configs.fields import Field

Drawn = st.SearchStrategy[Any]
_HUGE = 2**32 - 1
_COUNTS = (1, 2, 7, 100, 1000, 65_536, 2**31, _HUGE)
_CALLERS = ("payments", "transfers", "auth", "customers", "notifications", "audit")
_VERSIONS = ("TLSV1_2", "TLSV1_3")
EXPRESSIONS = (
    "response.code >= 500",
    "true",
    "request.duration > duration('2s')",
    "response.code in [500, 503] && !connection.mtls",
    "has(request.headers.x) ? request.headers['x'].startsWith('a') : true",
    "[1, 2].exists(code, code == response.grpc_status)",
    "size(request.path) > 3u",
    "type(response.code) == int && string(response.code).startsWith('5')",
    "response.code == 200 && !(response.grpc_status == 0)",
    "request.path.matches('a{3}')",
    "request.time.getHours() > 3",
    "r'\\d' != request.path",
    "'é\\u00e9\\n' != request.path",
    " || ".join(["response.code >= 500"] * 40),
)
"""Filters of the access log; Envoy does not know every function of the language."""
_BAD_EXPRESSIONS = (
    *("response.code >= ", "unknown_function(request.duration)", "1/0 > 1", "(" * 300),
    *("request.path.matches('(')", "request.path.matches('a{2000}')", "response.code == '500'"),
    *("reply.code == 1", "[1][9] > 1", "9999999999999999999 > 1", "'\x00' == request.path"),
    " || ".join(["response.code >= 500"] * 3000),
)
_DURATIONS: dict[str, tuple[Any, ...]] = {
    "timeout": ("4s", "5s", "10s", "30s", "45s", "44.999s"),
    "perTryTimeout": ("1ms", "50ms", "100ms", "0.25s"),
    "backoff": ("1ms", "25ms", "100ms", "0.001s"),
    "connectTimeout": ("1ms", "100ms", "999ms", "0.5s"),
    "idleTimeout": ("1s", "5m", "1h1m1s1ms", "8760h", "61s"),
    "interval": ("1ms", "500ms", "1s", "0.999s"),
    "baseEjectionTime": ("1s", "30s", "400s", "8760h"),
    "requestTimeout": ("1ms", "1s", "15s"),
    "tokenLifetime": ("1s", "5m", "10m"),
    "maxAge": ("1s", "10m", "24h"),
    "fixedDelay": ("1ms", "250ms", "999ms"),
}
_NUMBERS: dict[str, tuple[Any, ...]] = {
    "maxEjectionPercent": (1, 50, 100),
    "consecutive5xxErrors": (1, 5, _HUGE, 0),
    "attempts": (0, 1, 2, 10),
    "bodyBytes": (1024, 65_536, 100_000),
    "publicBodyBytes": (1024, 8192),
    "headersKiB": (1, 8, 48),
    "headersCount": (10, 64, 80),
    "heapMiB": (1024, 65_536),
    "trackedMax": (1, 1000, 1_000_000),
    "weight": (1, 90, 1_000_000, 0),
    "maxConcurrentStreams": (1, 100, 2**31 - 1),
    "minimumRingSize": (1, 1024, 65_536),
}
_TEXTS: dict[str, tuple[Any, ...]] = {
    "retryOn": (
        *("5xx", "connect-failure,refused-stream", "unavailable,cancelled"),
        *("retriable-4xx,reset-before-request", "gateway-error, reset", "envoy-ratelimited"),
    ),
    "retryIgnorePreviousHosts": (True, False),
    "simple": ("ROUND_ROBIN", "LEAST_REQUEST", "RANDOM"),
    "minProtocolVersion": _VERSIONS,
    "maxProtocolVersion": _VERSIONS,
    "exportTo": (["."], ["*"]),
    "gateways": (["mesh"],),
    "sni": ("fraud.example", "a.b.c", "x" * 63 + ".example"),
    "subjectAltNames": (["fraud.example"], ["a.example", "b.example"], ["x" * 63 + ".example"]),
    "audiences": (["https://api.bp.example"], ["a", "b"], ["!~"]),
    "allowOrigins": (["https://app.bp.example"], ["http://localhost:3000", "https://a.example"]),
    "allowHeaders": (["authorization"], ["X-A", "x-b"], ["authorization", "x" * 200]),
    "exposeHeaders": ([], ["etag"], ["X-A", "retry-after"]),
    "issuer": ("https://oauth.example", "https://issuer.example/a?b", "https://oauth.example/"),
    "jwksUri": (
        "https://oauth.example/jwks",
        "https://oauth.example/",
        "https://oauth.example/a?b",
    ),
    "expression": EXPRESSIONS,
}
_SHARED = {
    *("perSecond", "burst", "maxConnections", "http1MaxPendingRequests", "http2MaxRequests"),
    *("maxRetries", "maxRequestsPerConnection", "consecutiveLocalOriginFailures"),
}
_TABLES: tuple[dict[str, tuple[Any, ...]], ...] = (_DURATIONS, _NUMBERS, _TEXTS)
_SIZES = {
    "perAddressKiB": (1000, 16_384),
    "perSiteKiB": (16_384, 65_536),
    "totalKiB": (70_000, 500_000),
}
_OWN: dict[Field, tuple[Any, ...]] = {
    ("RequestAuthentication", "jwtRules.timeout"): ("1ms", "1s", "5s"),
    ("EdgePolicy", "partners.principals"): (
        ["spiffe://ach-network.example/webhooks"],
        ["spiffe://a/b", 'spiffe://c/d"]]\\'],
        ["spiffe://x/" + "y" * 500],
    ),
    ("EdgePolicy", "limits.idleTimeout"): ("61s", "5m", "8760h"),
    ("Telemetry", "selector.matchLabels"): tuple({"app": each} for each in _CALLERS),
    ("DestinationRule", "workloadSelector.matchLabels"): ({"app": "payments"},),
    ("Metadata", "labels"): ({"team": "mesh"}, {"a.example/b": ""}, {"x" * 63: "y" * 63}),
    ("Metadata", "annotations"): ({"owner": "é\n"}, {"a.example/b": "x" * 4096}, {}),
    ("Metadata", "name"): ("other", "a.b-c", "x" * 63),
    ("VirtualService", "http.retries.attempts"): (1, 2, 10, 0),
}


def has_good(field: Field) -> bool:
    """Return whether a field has several good values."""
    name = field[1].rpartition(".")[2]
    return field in _OWN or any(name in each for each in (_SHARED, _SIZES, *_TABLES))


def good(field: Field) -> Drawn:
    """Return values that a field may have."""
    name = field[1].rpartition(".")[2]
    if field in _OWN:
        return st.sampled_from(_OWN[field])
    if name in _SHARED:
        return st.sampled_from(_COUNTS)
    if name in _SIZES:
        return st.integers(*_SIZES[name])
    return st.sampled_from(next(each[name] for each in _TABLES if name in each))


NUMBERS = (
    *(0, 1, -1, 99, 101, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63, 2**64),
    *(10**9, 10**30, -(2**31), 0.5, 1.5, -0.0, 1e9, 1e308, 5e-324, 100.00001, math.inf, math.nan),
)
TIMES = (
    *("0s", "0ms", "-1s", "1", "s", "1.5", "1e9s", "1e3ms", "0.0004s", "1.0005s", "1ns", "1d"),
    *("8760h", "8761h", "99999999999999h", f"{'9' * 5000}s", "1s1s", "1h 1m", "٣s", "1.s", ".5s"),
    *("0.001s", "46s", "24h1s", "1000000000s", "0h0m0s1ms", "000000000000000000000000000000001s"),
)
TEXTS = (
    *("", " ", "\x00", "\n", "\r\n", "\t", "\x7f", "é", "日本", "\u202e", "\ufeff", "\U0001f4a3"),
    *("\ud800", "a" * 253, "a" * 254, "a" * 5000, "A", "a b", "a,b", "'", '"', "`", "\\", "$(id)"),
    *(
        "%",
        "%%",
        "%REQ(a)%",
        "{{x}}",
        "${x}",
        "null",
        "true",
        "~",
        "*",
        "**",
        "*.",
        ".",
        "..",
        "./",
    ),
    *("~/*", "./*", "*/*", "bp/*", "https://", "http://a", "spiffe://", 'spiffe://a/"]]', "a/../b"),
)
NAMES = (
    *(":path", ":authority", ":method", ":status", "host", "Host", "te", "content-length"),
    *("x-bp-subject", "x-envoy-retry-on", "x-forwarded-for", "grpc-timeout", "X-A", "x_a", "x a"),
    *("x-é", "x\n", "", "a" * 65, "-", "--", "connection", "transfer-encoding", "grpc-status"),
)
HOSTS = (
    *("fraud.example", "nobody.example", "customers", "customers.bp.svc.cluster.local", "a..b"),
    *("*.bp.svc.cluster.local", "*.example", "*", "*.*", "a.*.b", "A.example", "a_b.example"),
    *("xn--bcher-kva.example", "1.2.3.4", "::1", "[::1]", "10.0.0.0/8", "300.0.0.0/33", "a:80"),
    *("a.example.", "-a.example", "x" * 64 + ".example", f"{'a.' * 126}a", f"{'a.' * 127}a"),
)
REGEXES = (
    *("(", ")", "[", "a{1001}", "a{1000}", "[a-z]{200}", "((a{10}){10}){10}", "(a{500}){3}"),
    *("(?=a)", "(?!a)", "(?<=a)", "(?<!a)b", "(?P<a>b)", "(?P=a)", r"(a)\1", "a**", "a*+", "a++"),
    *("(a*)*", "(a+)+$", ".*.*.*.*", "[[:alpha:]]", "[z-a]", r"\Z", r"\z", r"\pL", r"\x{41}", "a|"),
    *(
        "(?i)a",
        "(?x) a",
        "a(?i)",
        "|".join("abcdefgh" * 14),
        r"\é",
        "é+",
        "[é]",
        r"[\b]",
        "^*",
        "()",
    ),
    *("(x{0}){1000}", "(?:a|b)" * 30, "[^a]{60}", r"\w{30}", ".{0,40}", "(?P<é>a)", r"\N{DASH}"),
    *(r"\u0041", r"\Qa\E", "\x00", "a{,3}", "a{3,1}", "(?#a)", "[a&&b]", "[a--b]", r"\08", "(?a)b"),
)
IDENTITIES = (
    *("*", "**", "*a*", "a*b", "bp.internal/ns/bp/sa/nobody", "bp.internal/ns/bp/sa/payments"),
    *(
        "spiffe://bp.internal/ns/bp/sa/payments",
        "bp.internal/*",
        "*/payments",
        "/",
        "",
        "10.0.0.0/8",
    ),
)
SHAPES: tuple[Any, ...] = (
    *(None, True, False, [], {}, [[]], [None], {"": None}, {"a": {}}, [1, "a"], [{}], {"*": "*"}),
)
_LITERALS = (
    *("ISTIO_MUTUAL", "MUTUAL", "DISABLE", "PERMISSIVE", "UNSET", "PASSTHROUGH", "LEAST_CONN"),
    *("ALLOW_ANY", "STATIC", "NONE", "HTTP2", "GRPC", "TLS", "UDP", "AUDIT", "CUSTOM", "DENY"),
    *("TLSV1_0", "TLS_AUTO", "edge", "oauth", "ach-network-client", "fraud", "nobody", "bp"),
)
_ALIKE: tuple[tuple[set[str], tuple[Any, ...]], ...] = (
    ({*_DURATIONS, "timeout"}, TIMES),
    ({*_NUMBERS, *_SHARED, *_SIZES, "number", "targetPort", "value", "httpStatus"}, NUMBERS),
    ({"regex"}, REGEXES),
    ({"set", "add", "remove", "httpHeaderName", "allowHeaders", "exposeHeaders"}, NAMES),
    ({"host", "hosts", "sni", "subjectAltNames", "address", "authority"}, HOSTS),
    ({"principals", "notPrincipals", "paths", "notPaths"}, IDENTITIES),
    ({"expression"}, _BAD_EXPRESSIONS),
)


_ATOMS = (
    *("a", "K", "0", "_", r"\.", r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", ".", "[a-z]", "[^a]"),
    *(r"[\w.-]", r"[^\s\d]", "[]a]", "[^]a]", r"\b", "^", "$", r"\x41", r"\t", "|", "()", r"\B"),
)
_REPEATED = ("", "", "", "*", "+", "?", "*?", "{2}", "{3,}", "{0,4}", "{12}", "{0,30}", "{90}")


def regexes() -> Drawn:
    """Return regular expressions: known hard ones, and made ones of which Envoy accepts most."""
    one = st.tuples(st.sampled_from(_ATOMS), st.sampled_from(_REPEATED)).map("".join)
    several = st.recursive(
        st.lists(one, min_size=1, max_size=3).map("".join),
        lambda inner: st.tuples(
            st.sampled_from(["(", "(?:", "(?i:", "(?s:"]), inner, st.just(")"), inner
        ).map("".join),
        max_leaves=4,
    )
    return st.one_of(st.sampled_from(REGEXES), several, several)


def hostile(field: Field, current: Any) -> Drawn:
    """Return values that a field mostly may not have, in the form of the current value."""
    name = field[1].rpartition(".")[2]
    alike = next((found for names, found in _ALIKE if name in names), _LITERALS)
    every = (*NUMBERS, *TIMES, *TEXTS, *NAMES, *HOSTS, *REGEXES, *IDENTITIES, *_LITERALS)
    one = st.one_of(st.sampled_from(alike), st.sampled_from(alike), st.sampled_from(every))
    if name == "regex":
        one = st.one_of(one, regexes())
    if isinstance(current, list):
        one = st.one_of(one.map(lambda each: [*current, each]), one.map(lambda each: [each]))
    elif isinstance(current, dict):
        one = one.map(lambda each: dict.fromkeys(current or ("app",), each))
    return st.one_of(one, one, st.sampled_from(SHAPES), st.text(max_size=8), st.integers())
