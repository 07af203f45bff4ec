"""Random routes, traffic policies and access policies: most are valid, some are not."""

import re
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from lab.fuzz.configs import values
from mesh.controlplane.ingest.values import GrpcCode, RetryCondition
from mesh.controlplane.resolve.route_checks import reads_only
from services import contracts

Drawn = st.SearchStrategy[Any]
PARTNERS = ("fraud.example", "ach-network.example", "directory.ach-network.example")
SERVICE = "customers.bp.svc.cluster.local"
CONTRACTS = contracts.load()
SERVICES = tuple(sorted({each.deployable for each in CONTRACTS.values()}))
_HOSTS = ".bp.svc.cluster.local"
_READS_ONLY = frozenset(each.path for each in CONTRACTS.values() if reads_only(each))
_CALLERS = {
    "customers": ("payments", "transfers", "notifications"),
    "fraud.example": ("payments",),
    "ach-network.example": ("payments",),
    "directory.ach-network.example": ("payments",),
}
"""The workloads that call a host, as the Sidecars say."""
_SA = "bp.internal/ns/bp/sa"
_OFTEN = 60
"""How many good values are drawn for a bad one."""


def _mostly(*good: object, bad: tuple[object, ...] = ()) -> Drawn:
    """Draw a good value, or rarely a bad one."""
    often = max(1, _OFTEN * len(bad) // len(good))
    return st.sampled_from([*good * often, *bad])


_SHARE = _mostly(0.0001, 0.5, 1, 33.3333, 100, bad=(0, 101))
_SHORT = _mostly("1ms", "25ms", "250ms", "999ms", bad=("46s",))
_LONG = _mostly("2s", "3s", "30s", "45s", bad=("46s",))
_HEADER = _mostly("x-a", "x-b", "user-agent", bad=("x-bp-subject", "X-A", ":path"))
_TEXT = _mostly("a", "b-c", "/x", "[a-z]+", "(", "~" * 256, bad=("%REQ(a)%", "", "é"))
_GOOD_REGEX = st.sampled_from(["a.*", "[a-z]+", "(a|b)c{1,3}", r"\d+", "^a$", ".*", "(?i)ab"])
_REGEX = st.integers(1, 30).flatmap(lambda each: values.regexes() if each == 30 else _GOOD_REGEX)
_PATHS = ("/a", "/a/b", "/a?b#c", "/\\1", "/" + "~" * 511)
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


_PARAMETERS = st.dictionaries(
    _mostly("a", "b.c", bad=("a b",)), _match(_TEXT), min_size=1, max_size=2
)


def _matches(host: str, paths: Drawn) -> Drawn:
    present = st.one_of(_match(_TEXT), st.just({}))
    callers = _CALLERS.get(host.removesuffix(_HOSTS), ())
    named = [{"app": each} for each in callers] or [{"app": "gateway"}]
    headers = st.dictionaries(_HEADER, present, min_size=1, max_size=2)
    place = st.tuples(paths, st.sampled_from(["exact", "prefix"]), st.booleans()).map(
        lambda each: {"uri": {each[1]: each[0]}, "ignoreUriCase": each[2]}
    )
    more = _any_of(
        {
            "method": _match(_mostly("POST", "PO", bad=("GET", "post"))),
            "headers": headers,
            "withoutHeaders": headers,
            **({} if _is_service(host) else {"queryParams": _PARAMETERS}),
            "sourceLabels": _mostly(*named, bad=({}, {"app": "nobody"})),
            "name": st.sampled_from(["a", "b.c"]),
        }
    )
    pattern = st.tuples(paths, _mostly("[A-Z].*", "(a|b)?", bad=("(",))).map(
        lambda each: {"uri": {"regex": re.escape(each[0][:4]) + ".*" + each[1]}}
    )
    whole = st.tuples(st.one_of(place, place, pattern), more)
    return st.one_of(more, whole.map(lambda each: {**each[0], **each[1]}))


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


def retries() -> Drawn:
    """Draw the retries of a route."""
    return _RETRIES


def _is_service(host: str) -> bool:
    return host.endswith(_HOSTS)


def _destination(host: str) -> Drawn:
    return _some({"host": st.just(host)}, {"subset": _SUBSET} if _is_service(host) else {})


def _split(host: str) -> Drawn:
    one = st.fixed_dictionaries({"destination": _destination(host)})
    share = st.fixed_dictionaries(
        {"destination": _destination(host), "weight": _mostly(1, 90, 1000, bad=(0,))}
    )
    return st.one_of(one.map(lambda each: [each]), st.lists(share, min_size=2, max_size=3))


def _route(host: str, paths: Drawn) -> Drawn:
    extra: dict[str, Drawn] = {
        "name": st.sampled_from(["a", "b.c"]),
        "fault": _FAULT,
        "headers": _any_of({"request": _EDITS, "response": _EDITS}),
        "rewrite": _any_of({"uri": st.sampled_from(_PATHS), "authority": st.just("other.example")}),
    }
    if _is_service(host):
        del extra["rewrite"]
    required = {"route": _split(host), "timeout": _LONG, "retries": _RETRIES}
    return _some(required, extra).flatmap(
        lambda made: st.lists(_matches(host, paths), min_size=1, max_size=2).map(
            lambda match: {**made, "match": match}
        )
    )


def _mirrored(host: str, paths: list[str]) -> Drawn:
    """Draw a route with a mirror: for methods that only read."""
    match = st.sampled_from(paths).map(lambda each: [{"uri": {"exact": each}}])
    required = {
        "match": match,
        "route": st.just([{"destination": {"host": host, "subset": "v1"}}]),
        "timeout": _LONG,
        "retries": st.just({"attempts": 0}),
        "mirror": st.just({"host": host, "subset": "v2"}),
    }
    return _some(required, {"mirrorPercentage": _PERCENTAGE})


def routes(host: str) -> Drawn:
    """Draw the `http` of a VirtualService; the last route is for every request."""
    own = [each.path for each in CONTRACTS.values() if host == f"{each.deployable}{_HOSTS}"]
    paths = st.sampled_from([*own, own[0][:-1]] if own else list(_PATHS))
    last = st.fixed_dictionaries({"route": _split(host), "timeout": _LONG, "retries": _RETRIES})
    one = _route(host, paths)
    if quiet := [each for each in own if each in _READS_ONLY]:
        one = st.one_of(one, one, _mirrored(host, quiet))
    return st.tuples(st.lists(one, max_size=2), last).map(lambda each: [*each[0], each[1]])


_NUMBER = _mostly(1, 2, 100, 4096, 2**32 - 1, bad=(0,))
_BALANCERS = [
    *({"simple": each} for each in ("ROUND_ROBIN", "LEAST_REQUEST", "RANDOM")),
    {"consistentHash": {"httpHeaderName": "x-a"}},
    {"consistentHash": {"httpHeaderName": "x-a", "ringHash": {"minimumRingSize": 65_536}}},
]
_HTTP_POOL = {
    "http1MaxPendingRequests": _NUMBER,
    "http2MaxRequests": _NUMBER,
    "idleTimeout": _LONG,
    "maxRequestsPerConnection": _NUMBER,
    "maxConcurrentStreams": st.sampled_from([1, 100, 2**31 - 1]),
}
_TCP_POOL = _any_of({"maxConnections": _NUMBER, "connectTimeout": _SHORT})
_POOL = _any_of(
    {
        "tcp": _TCP_POOL,
        "http": _any_of(_HTTP_POOL),
    },
)
_POOL_OF_RETRIED = _some({"http": _some({"maxRetries": _NUMBER}, _HTTP_POOL)}, {"tcp": _TCP_POOL})
"""`maxRetries` is refused for routes without retries."""
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


def _overrides(*, retried: bool) -> dict[str, Drawn]:
    pool = st.one_of(_POOL, _POOL_OF_RETRIED) if retried else _POOL
    return {**_OVERRIDES, "connectionPool": pool}


def overrides(*, partner: bool = False, retried: bool = False) -> Drawn:
    """Draw what a traffic policy may have in addition to `tls`; a partner has one address."""
    simple = st.sampled_from([each for each in _BALANCERS if "simple" in each])
    own = {"loadBalancer": simple} if partner else {}
    return _some({}, {**_overrides(retried=retried), **own})


def subsets(*, retried: bool = False) -> Drawn:
    """Draw the subsets of a service, v1 and v2."""
    own = [
        _some(
            {"name": st.just(f"v{number}"), "labels": st.just({"version": str(number)})},
            {"trafficPolicy": _any_of(_overrides(retried=retried))},
        )
        for number in (1, 2)
    ]
    return st.tuples(*own).map(list)


def _several(values: list[str]) -> Drawn:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


def policies(app: str = "customers") -> Drawn:
    """Draw the spec of an AuthorizationPolicy for a service."""
    own = [each for each in CONTRACTS.values() if each.deployable == app]
    names = sorted({f"{_SA}/{name}" for each in own for name in _callers(each)})
    callers = _several([*names, "*", f"{_SA}/*", "*/gateway"])
    paths = _several([*(each.path for each in own), "*", "/bp.*", f"*{own[0].name}"])
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
    rules = st.fixed_dictionaries(
        {
            "selector": st.just({"matchLabels": {"app": app}}),
            "action": _mostly("DENY", bad=("ALLOW",)),
            "rules": st.lists(rule, min_size=1, max_size=2),
        }
    )
    return st.one_of(rules, rules, _repeated(own))


def _repeated(own: list[contracts.MethodContract]) -> Drawn:
    """Draw a policy that allows what a contract allows."""
    known = [each for each in own if _callers(each)]
    return st.sampled_from(known).map(
        lambda each: {
            "selector": {"matchLabels": {"app": each.deployable}},
            "action": "ALLOW",
            "rules": [
                {
                    "from": [{"source": {"principals": [f"{_SA}/{_callers(each)[0]}"]}}],
                    "to": [{"operation": {"paths": [each.path]}}],
                }
            ],
        }
    )


def _callers(contract: contracts.MethodContract) -> tuple[str, ...]:
    internal = contract.audience is contracts.Audience.INTERNAL
    return (*contract.services, *(() if internal else (contracts.GATEWAY,)))
