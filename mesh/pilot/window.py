"""The calls of the last minutes, from samples of counters that only grow. Pure.

A sample counts since the start of its proxy, so the window keeps the growth between two samples. A
restarted proxy counts from 0 again: its first sample after the restart is all growth.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from mesh.pilot.counted import CallKey, ClusterState, Sample, TimeKey

WINDOW_S = 900.0
"""How long calls are remembered."""
SLICES_MAX = 20_000
"""A bound for the memory: at more samples than this, the window covers less time."""
BOUNDS_MS = (
    *(0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000),
    *(600_000, 1_800_000, 3_600_000),
)
"""The upper bounds of Envoy's buckets (source/common/stats/histogram_impl.cc)."""
FAILED_CODES = frozenset({"2", "4", "12", "13", "14", "15"})
"""UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS: the server failed.
Other codes are answers to a caller's mistake."""
_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Growth:
    """What one proxy has counted between two samples."""

    at_s: float
    node: str
    calls: Mapping[CallKey, int]
    times: Mapping[TimeKey, int]
    """Calls in each bucket alone, unlike in a sample: most buckets are empty and are left out."""
    retries: Mapping[str, int]
    """By cluster."""


@dataclass(slots=True)
class Counted:
    """The calls of one caller's method, as one proxy has counted them."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    times: Counter[float] = field(default_factory=Counter[float])
    """Calls by the upper bound of their bucket, in milliseconds."""

    def add(self, other: "Counted") -> None:
        """Add the calls of another one."""
        self.outcomes.update(other.outcomes)
        self.times.update(other.times)

    @property
    def total(self) -> int:
        """All calls."""
        return self.outcomes.total()

    @property
    def failed(self) -> int:
        """The calls whose server failed."""
        return sum(number for outcome, number in self.outcomes.items() if is_failed(outcome))

    def quantile_ms(self, share: float) -> float | None:
        """Return the time that a share of the calls did not exceed, or None without calls."""
        return quantile_ms(self.times, share)


@dataclass(slots=True)
class _Sum:
    """The sum of the growth of one proxy."""

    slices: int = 0
    calls: Counter[CallKey] = field(default_factory=Counter[CallKey])
    times: Counter[TimeKey] = field(default_factory=Counter[TimeKey])
    retries: Counter[str] = field(default_factory=Counter[str])

    def add(self, one: Growth) -> None:
        self.slices += 1
        self.calls.update(one.calls)
        self.times.update(one.times)
        self.retries.update(one.retries)

    def remove(self, one: Growth) -> None:
        """Remove what was added; a counter at 0 is forgotten."""
        self.slices -= 1
        self.calls -= Counter(one.calls)
        self.times -= Counter(one.times)
        self.retries -= Counter(one.retries)

    def growth(self, node: str, at_s: float) -> Growth:
        return Growth(at_s, node, dict(self.calls), dict(self.times), dict(self.retries))


@dataclass(slots=True)
class _Node:
    last: Sample | None = None
    seen_s: float = 0.0
    """When it was asked first."""


@dataclass(frozen=True, slots=True)
class View:
    """The calls of some time. It never changes, so a thread may read it."""

    seconds: float
    """How much of the wanted time the window covers."""
    growth: tuple[Growth, ...]
    clusters: Mapping[tuple[str, str], ClusterState]
    """The newest state, by node and cluster."""

    def counted(self) -> dict[tuple[str, str, str], Counted]:
        """Return the calls by node, caller and method."""
        found: dict[tuple[str, str, str], Counted] = {}
        for each in self.growth:
            for (caller, method, outcome), number in each.calls.items():
                one = found.setdefault((each.node, caller, method), Counted())
                one.outcomes[outcome] += number
            for (caller, method, bound), number in each.times.items():
                one = found.setdefault((each.node, caller, method), Counted())
                one.times[bound] += number
        return found

    def retries(self) -> Counter[tuple[str, str]]:
        """Return the retries by node and cluster."""
        found = Counter[tuple[str, str]]()
        for each in self.growth:
            for cluster, number in each.retries.items():
                found[each.node, cluster] += number
        return found


class Window:
    """The growth of all proxies' counters; the caller gives the time, in seconds of one clock."""

    def __init__(self) -> None:
        self._slices: deque[Growth] = deque()
        self._sums: dict[str, _Sum] = {}
        """Of each node, over the whole window: most questions are about all of it."""
        self._nodes: dict[str, _Node] = {}
        self._begun_s: float | None = None
        self._fetched_s = self._failed_s = -math.inf

    def expect(self, node: str, now_s: float) -> None:
        """Note that a proxy may exist: all calls of a proxy that starts later are growth."""
        self._begun_s = now_s if self._begun_s is None else self._begun_s
        self._nodes.setdefault(node, _Node(seen_s=now_s))

    def keep(self, nodes: Iterable[str]) -> None:
        """Forget the last samples of proxies that no longer exist; their calls stay."""
        for node in self._nodes.keys() - set(nodes):
            del self._nodes[node]

    def add(self, node: str, now_s: float, found: Sample) -> None:
        """Add a sample."""
        self.expect(node, now_s)
        known = self._nodes[node]
        before = known.last
        if before is None and found.uptime_s > now_s - known.seen_s:
            before = found  # it counted before the window began
        if before is None or found.uptime_s < before.uptime_s:
            before = Sample()
        known.last = found
        grown = _growth(node, now_s, before, found)
        self._slices.append(grown)
        self._sums.setdefault(node, _Sum()).add(grown)
        if found.keys_fetched > before.keys_fetched:
            self._fetched_s = now_s
        if found.keys_failed > before.keys_failed:
            self._failed_s = now_s
        self._forget(now_s)

    def view(self, now_s: float, wanted_s: float = WINDOW_S) -> View:
        """Return the calls of the last seconds."""
        self._forget(now_s)
        if wanted_s >= WINDOW_S:
            growth = tuple(each.growth(node, now_s) for node, each in self._sums.items())
        else:
            growth = tuple(each for each in self._slices if each.at_s > now_s - wanted_s)
        begun_s = now_s if self._begun_s is None else self._begun_s
        seconds = max(0.0, min(wanted_s, WINDOW_S, now_s - begun_s))
        return View(seconds, growth, self._clusters())

    @property
    def issuer_is_down(self) -> bool:
        """Whether the gateway's newest fetch of the token issuer's keys has failed."""
        return self._failed_s > self._fetched_s

    def _clusters(self) -> dict[tuple[str, str], ClusterState]:
        return {
            (node, cluster): state
            for node, known in self._nodes.items()
            if known.last is not None
            for cluster, state in known.last.clusters.items()
        }

    def _forget(self, now_s: float) -> None:
        while self._slices and (
            self._slices[0].at_s <= now_s - WINDOW_S or len(self._slices) > SLICES_MAX
        ):
            old = self._slices.popleft()
            self._begun_s = max(self._begun_s or 0.0, old.at_s)
            self._sums[old.node].remove(old)
            if self._sums[old.node].slices == 0:
                del self._sums[old.node]


def is_failed(outcome: str) -> bool:
    """Return whether the server failed: the statuses of HTTP and of gRPC, as in "200/14"."""
    http, _, code = outcome.partition("/")
    return http.startswith("5") or code in FAILED_CODES


def quantile_ms(times: Mapping[float, int], share: float) -> float | None:
    """Return an estimate within the bucket, as Prometheus does, or None without calls.

    A call that took longer than the last bound counts as that bound.
    """
    total = sum(times.values())
    if total <= 0:
        return None
    wanted, below, lower = share * total, 0, 0.0
    for bound in sorted(times):
        lower = max((each for each in BOUNDS_MS if each < bound), default=0.0)
        if below + times[bound] >= wanted and times[bound]:
            if math.isinf(bound):
                return lower
            return lower + (bound - lower) * max(0.0, wanted - below) / times[bound]
        below += times[bound]
    return lower


def _growth(node: str, at_s: float, before: Sample, now: Sample) -> Growth:
    retries = {name: each.retries for name, each in now.clusters.items()}
    earlier = {name: each.retries for name, each in before.clusters.items()}
    return Growth(
        at_s,
        node,
        _grown(before.calls, now.calls),
        _apart(_grown(before.times, now.times)),
        _grown(earlier, retries),
    )


def _grown(before: Mapping[_Key, int], now: Mapping[_Key, int]) -> dict[_Key, int]:
    """Return the growth of each counter; a smaller one has started from 0 again."""
    pairs = ((key, before.get(key, 0), number) for key, number in now.items())
    grown = ((key, number - old if number >= old else number) for key, old, number in pairs)
    return {key: number for key, number in grown if number}


def _apart(times: Mapping[TimeKey, int]) -> dict[TimeKey, int]:
    """Return the calls in each bucket, from the calls up to each bound."""
    found: dict[TimeKey, int] = {}
    below: tuple[str, str, int] = ("", "", 0)
    for caller, method, bound in sorted(times):
        number = times[caller, method, bound]
        earlier = below[2] if below[:2] == (caller, method) else 0
        if number > earlier:
            found[caller, method, bound] = number - earlier
        below = caller, method, max(number, earlier)
    return found
