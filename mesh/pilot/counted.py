"""Reads the counters on a proxy's admin page. Pure: text in, plain values out.

Two pages: the calls with their tags, in the form of Prometheus; and some counters of clusters, in
JSON, because the form of Prometheus cuts names of clusters at their first dot.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from mesh.controlplane.translate.counters import MILLISECONDS, SCOPE, TOTAL

CALLS_PAGE = f"/stats/prometheus?filter=^{SCOPE}\\."
_SUFFIXES = (
    "upstream_rq_retry",
    "outlier_detection.ejections_active",
    "circuit_breakers.default.cx_open",
    "circuit_breakers.default.rq_open",
    "circuit_breakers.default.rq_pending_open",
)
_RETRIES, _EJECTED, *_FULL = _SUFFIXES
_KEYS = ("http.edge.jwt_authn.jwks_fetch_success", "http.edge.jwt_authn.jwks_fetch_failed")
_UPTIME = "server.uptime"
_CLUSTERS = "|".join(re.escape(each) for each in _SUFFIXES)
_DRY_RUNS = r"http\.inbound\.rbac\.policy\..+\.shadow_(denied|allowed)"
OTHERS_PAGE = (
    "/stats?format=json&filter="
    f"^(cluster\\.(service|partner)/.*\\.({_CLUSTERS})|{_DRY_RUNS}|{'|'.join((_UPTIME, *_KEYS))})$"
)
SERIES_MAX = 20_000
"""More lines of one page are not read, so that no proxy takes all the memory."""
_LINE = re.compile(r"^(?P<name>[a-z_]+)\{(?P<tags>.*)\} (?P<value>\d+)$")
_TAG = re.compile(r'(?P<name>[A-Za-z_]+)="(?P<value>(?:[^"\\]|\\.)*)"')
_DRY_RUN = re.compile(r"^http\.inbound\.rbac\.policy\.(?P<policy>.+)\.shadow_(denied|allowed)$")
_TOTAL, _BUCKET = f"envoy_{SCOPE}_{TOTAL}", f"envoy_{SCOPE}_{MILLISECONDS}_bucket"

CallKey = tuple[str, str, str]
"""Caller, method, outcome."""
TimeKey = tuple[str, str, float]
"""Caller, method, and the upper bound of a bucket in milliseconds: calls that took up to it."""


@dataclass(frozen=True, slots=True)
class ClusterState:
    """How a proxy reaches one destination."""

    retries: int = 0
    ejected: int = 0
    """Addresses that the circuit breaker keeps from calls."""
    full: bool = False
    """A limit of the connection pool is reached."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters of one proxy since it started."""

    uptime_s: int = 0
    calls: Mapping[CallKey, int] = field(default_factory=dict[CallKey, int])
    times: Mapping[TimeKey, int] = field(default_factory=dict[TimeKey, int])
    clusters: Mapping[str, ClusterState] = field(default_factory=dict[str, ClusterState])
    """By the name of the cluster."""
    keys_fetched: int = 0
    keys_failed: int = 0
    """The gateway's fetches of the token issuer's keys."""
    dry_runs: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many calls each policy in dry run has matched."""


def sample(calls_page: str, others_page: str) -> Sample:
    """Return what both pages say. Raises ValueError if a page has another form."""
    calls, times = dict[CallKey, int](), dict[TimeKey, int]()
    for name, tags, value in _series(calls_page):
        who = tags.get("caller", ""), tags.get("method", "")
        if name == _TOTAL:
            calls[*who, tags.get("outcome", "")] = value
        elif name == _BUCKET:
            times[*who, float(tags["le"].replace("+Inf", "inf"))] = value
    values = _values(others_page)
    fetched, failed = (values.get(name, 0) for name in _KEYS)
    return Sample(
        *(values.get(_UPTIME, 0), calls, times, _clusters(values)),
        *(fetched, failed, _dry_runs(values)),
    )


def _series(page: str) -> Iterator[tuple[str, dict[str, str], int]]:
    for line in page.splitlines()[:SERIES_MAX]:
        if found := _LINE.match(line):
            tags = {
                each["name"]: _unescaped(each["value"]) for each in _TAG.finditer(found["tags"])
            }
            yield found["name"], tags, int(found["value"])


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], value)


def _values(page: str) -> dict[str, int]:
    found: Any = orjson.loads(page)
    stats: list[dict[str, Any]] = found["stats"] if isinstance(found, dict) else []
    return {
        str(each["name"]): int(each["value"])
        for each in stats[:SERIES_MAX]
        if isinstance(each.get("value"), int)
    }


def _dry_runs(values: Mapping[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, value in values.items():
        if one := _DRY_RUN.match(name):
            found[one["policy"]] = found.get(one["policy"], 0) + value
    return found


def _clusters(values: Mapping[str, int]) -> dict[str, ClusterState]:
    found: dict[str, dict[str, int]] = {}
    for name, value in values.items():
        for suffix in _SUFFIXES:
            if name.startswith("cluster.") and name.endswith(f".{suffix}"):
                cluster = name.removeprefix("cluster.").removesuffix(f".{suffix}")
                found.setdefault(cluster, {})[suffix] = value
    return {
        name: ClusterState(
            each.get(_RETRIES, 0),
            each.get(_EJECTED, 0),
            any(each.get(suffix, 0) for suffix in _FULL),
        )
        for name, each in found.items()
    }
