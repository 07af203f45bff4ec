"""Random VirtualServices, DestinationRules and policies: most are valid, some are not."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from mesh.controlplane.ingest.values import GrpcCode, RetryCondition
from services import contracts

Drawn = st.SearchStrategy[Any]
PARTNERS = ("fraud.example", "ach-network.example", "directory.ach-network.example")
SERVICE = "customers.bp.svc.cluster.local"
_PATHS = [each.path for each in contracts.load().values() if each.deployable == "customers"]
_SA = "bp.internal/ns/bp/sa"
_OFTEN = 12


def _mostly(*good: object, bad: tuple[object, ...] = ()) -> Drawn:
    """Draw a good value, or rarely a bad one."""
    return st.sampled_from([*good * _OFTEN, *bad])


_SHARE = _mostly(0.0001, 0.5, 1, 33.3333, 100, bad=(0, 101))
_SHORT = _mostly("1ms", "25ms", "250ms", "999ms", bad=("46s",))
_LONG = _mostly("2s", "3s", "30s", "45s", bad=("46s",))
_HEADER = _mostly("x-a", "x-b", "user-agent", bad=("x-bp-subject", "X-A", ":path"))
_TEXT = _mostly("a", "b-c", "/x", "[a-z]+", "(", bad=("%REQ(a)%", "", "é"))
_REGEX = _mostly("a.*", "[a-z]+", "(a|b)c{1,3}", r"\d+", "^a$", ".*", bad=("(", "(?!a)", "a{1001}"))
_SUBSET = _mostly("v1", "v2", bad=("v3",))


def _some(required: Mapping[str, Drawn], optional: Mapping[str, Drawn]) -> Drawn:
    """Draw the required fields and any of the optional ones."""
    return st.fixed_dictionaries(dict(required), optional=dict(optional))


def _any_of(optional: Mapping[str, Drawn]) -> Drawn:
    """Draw at least one of the fields."""
    return _some({}, optional).filter(bool)


def _match(value: Drawn) -> Drawn:
    exact, prefix = st.just("exact"), st.just("prefix")
    return st.one_of(
        st.tuples(st.one_of(exact, prefix), value).map(lambda each: {each[0]: each[1]}),
        _REGEX.map(lambda each: {"regex": each}),
    )


def _matches(paths: Drawn) -> Drawn:
    present = st.one_of(_match(_TEXT), st.just({}))
    headers = st.dictionaries(_HEADER, present, min_size=1, max_size=2)
    place = st.tuples(paths, st.sampled_from(["exact", "prefix"]), st.booleans()).map(
        lambda each: {"uri": {each[1]: each[0]}, "ignoreUriCase": each[2]}
    )
    more = _any_of(
        {
            "method": _match(st.just("POST")),
            "headers": headers,
            "withoutHeaders": headers,
            "sourceLabels": _mostly({"app": "payments"}, {"app": "transfers"}, bad=({},)),
        }
    )
    return st.one_of(more, st.tuples(place, more).map(lambda each: {**each[0], **each[1]}))


_PERCENTAGE = st.fixed_dictionaries({"value": _SHARE})
_CODE = st.one_of(
    _mostly(400, 503, 599, bad=(200, 600)).map(lambda each: {"httpStatus": each}),
    st.sampled_from(GrpcCode.__args__).map(lambda each: {"grpcStatus": each}),
)
_FAULT = _any_of(
    {
        "delay": st.fixed_dictionaries({"fixedDelay": _SHORT, "percentage": _PERCENTAGE}),
        "abort": st.tuples(_CODE, _PERCENTAGE).map(lambda each: {**each[0], "percentage": each[1]}),
    }
)
_EDITS = _any_of(
    {
        "set": st.dictionaries(_HEADER, _TEXT, min_size=1, max_size=2),
        "add": st.dictionaries(_HEADER, _TEXT, min_size=1, max_size=2),
        "remove": st.lists(_HEADER, min_size=1, max_size=2, unique=True),
    }
)
_CONDITIONS = st.lists(
    st.sampled_from(RetryCondition.__args__), min_size=1, max_size=3, unique=True
).map(",".join)
_RETRIES = st.one_of(
    st.just({"attempts": 0}),
    _some(
        {"attempts": st.integers(1, 3), "retryOn": _CONDITIONS},
        {
            "perTryTimeout": _SHORT,
            "backoff": _SHORT,
            "retryIgnorePreviousHosts": st.booleans(),
        },
    ),
)


def _destination(host: str) -> Drawn:
    return _some({"host": st.just(host)}, {"subset": _SUBSET} if host == SERVICE else {})


def _split(host: str) -> Drawn:
    one = st.fixed_dictionaries({"destination": _destination(host)})
    share = st.fixed_dictionaries(
        {"destination": _destination(host), "weight": st.sampled_from([1, 90, 1000, 0])}
    )
    return st.one_of(one.map(lambda each: [each]), st.lists(share, min_size=2, max_size=3))


def _route(host: str, paths: Drawn) -> Drawn:
    extra: dict[str, Drawn] = {
        "name": st.sampled_from(["a", "b.c"]),
        "fault": _FAULT,
        "headers": _any_of({"request": _EDITS, "response": _EDITS}),
        "rewrite": _any_of({"uri": st.just("/new"), "authority": st.just("other.example")}),
    }
    if host == SERVICE:
        del extra["rewrite"]
        extra["mirror"] = _destination(host)
    return _some(
        {"route": _split(host), "timeout": _LONG, "retries": _RETRIES},
        {**extra},
    ).flatmap(
        lambda made: st.lists(_matches(paths), min_size=1, max_size=2).map(
            lambda match: {**made, "match": match}
        )
    )


def routes(host: str) -> Drawn:
    """Draw the `http` of a VirtualService; the last route is for every request."""
    paths = st.sampled_from([*_PATHS, "/bp.customers"] if host == SERVICE else ["/a", "/a/b"])
    last = st.fixed_dictionaries({"route": _split(host), "timeout": _LONG, "retries": _RETRIES})
    before = st.lists(_route(host, paths), max_size=2)
    return st.tuples(before, last).map(lambda each: [*each[0], each[1]])


_NUMBER = _mostly(1, 2, 100, 4096, 2**32 - 1, bad=(0,))
_BALANCERS = [
    *({"simple": each} for each in ("ROUND_ROBIN", "LEAST_REQUEST", "RANDOM")),
    {"consistentHash": {"httpHeaderName": "x-a"}},
    {"consistentHash": {"httpHeaderName": "x-a", "ringHash": {"minimumRingSize": 8_388_608}}},
]
_POOL = _any_of(
    {
        "tcp": _any_of({"maxConnections": _NUMBER, "connectTimeout": _SHORT}),
        "http": _any_of(
            {
                "http1MaxPendingRequests": _NUMBER,
                "http2MaxRequests": _NUMBER,
                "idleTimeout": _LONG,
                "maxRequestsPerConnection": _NUMBER,
                "maxConcurrentStreams": st.sampled_from([1, 100, 2**31 - 1]),
            },
        ),
    },
)
_ALWAYS = st.fixed_dictionaries(
    {
        "consecutive5xxErrors": _mostly(1, 5, 2**32 - 1, bad=(0,)),
        "interval": st.sampled_from(["1ms", "1s"]),
        "baseEjectionTime": st.sampled_from(["1s", "30s", "400s", "8760h"]),
        "maxEjectionPercent": _mostly(100, bad=(50,)),
        "minHealthPercent": st.just(0),
    }
)
_SPLIT = _NUMBER.map(
    lambda each: {"splitExternalLocalOriginErrors": True, "consecutiveLocalOriginFailures": each}
)
_BREAKER = st.tuples(_ALWAYS, st.one_of(st.just({}), _SPLIT)).map(
    lambda each: {**each[0], **each[1]}
)
_OVERRIDES: dict[str, Drawn] = {
    "loadBalancer": st.sampled_from(_BALANCERS),
    "connectionPool": _POOL,
    "outlierDetection": _BREAKER,
}


def overrides() -> Drawn:
    """Draw what a traffic policy may have in addition to `tls`."""
    return _some({}, _OVERRIDES)


def subsets() -> Drawn:
    """Draw the subsets of a service, v1 and v2."""
    own = [
        _some(
            {"name": st.just(f"v{number}"), "labels": st.just({"version": str(number)})},
            {"trafficPolicy": _any_of(_OVERRIDES)},
        )
        for number in (1, 2)
    ]
    return st.tuples(*own).map(list)


def _several(values: list[str]) -> Drawn:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


def policies() -> Drawn:
    """Draw the spec of an AuthorizationPolicy of customers."""
    names = [f"{_SA}/{each}" for each in ("payments", "transfers", "gateway")]
    callers = _several([*names, "*", f"{_SA}/*", "*/payments"])
    paths = _several([*_PATHS, "*", "/bp.*", "*Debit"])
    sources = _any_of({"principals": callers, "notPrincipals": callers})
    operations = _any_of({"paths": paths, "notPaths": paths})
    rule = _some(
        {},
        {
            "from": st.lists(st.fixed_dictionaries({"source": sources}), min_size=1, max_size=2),
            "to": st.lists(
                st.fixed_dictionaries({"operation": operations}), min_size=1, max_size=2
            ),
        },
    )
    return st.fixed_dictionaries(
        {
            "selector": st.just({"matchLabels": {"app": "customers"}}),
            "action": _mostly("DENY", bad=("ALLOW",)),
            "rules": st.lists(rule, min_size=1, max_size=2),
        }
    )
