"""The calls of the last minutes, from samples of counters that only grow. Pure.

A sample counts since the start of its proxy, so the window keeps the growth between two samples. A
restarted proxy counts from 0 again: its first sample after the restart is all growth. What proxies
counted before the window began is kept apart, as long as the window is shorter than it may be.
"""

import math
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
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
UPTIME_OFF_S = 10.0
"""Envoy updates its uptime every five seconds, in whole seconds, and a busy host delays this."""
_ANSWERED = "200"
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
    dry_runs: Mapping[str, int]
    """Calls that a policy in dry run has matched, by policy."""


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

    @property
    def unanswered(self) -> int:
        """The calls that ended without an answer: their caller left, or its deadline passed."""
        return sum(number for outcome, number in self.outcomes.items() if is_unanswered(outcome))

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
    dry_runs: Counter[str] = field(default_factory=Counter[str])

    def add(self, one: Growth) -> None:
        self.slices += 1
        self.calls.update(one.calls)
        self.times.update(one.times)
        self.retries.update(one.retries)
        self.dry_runs.update(one.dry_runs)

    def remove(self, one: Growth) -> None:
        """Remove what was added; a counter at 0 is forgotten."""
        self.slices -= 1
        self.calls -= Counter(one.calls)
        self.times -= Counter(one.times)
        self.retries -= Counter(one.retries)
        self.dry_runs -= Counter(one.dry_runs)

    def growth(self, node: str, at_s: float) -> Growth:
        calls, times = dict(self.calls), dict(self.times)
        return Growth(at_s, node, calls, times, dict(self.retries), dict(self.dry_runs))


@dataclass(slots=True)
class _Node:
    last: Sample | None = None
    at_s: float = 0.0
    """When the last sample was taken."""
    seen_s: float = 0.0
    """When it was asked first."""
    earlier: Growth | None = None
    """What it counted before it was asked first."""

    def has_restarted(self, found: Sample, now_s: float) -> bool:
        """Return whether a sample is of a process that started after the last sample.

        Without samples for a while, the new process may be older than the old one was then.
        """
        if self.last is None:
            return False
        pause_s, old_s = now_s - self.at_s, self.last.uptime_s
        # An uptime shrinks too when the clock is set back, but the process is then too old.
        is_young = found.uptime_s <= pause_s + 1
        return is_young and found.uptime_s < max(old_s, old_s + pause_s - UPTIME_OFF_S)


@dataclass(frozen=True, slots=True)
class View:
    """The calls of some time. It never changes, so a thread may read it."""

    seconds: float
    """The time from which the calls are: less than wanted if the window is shorter, and up to the
    pause between two samples more."""
    growth: tuple[Growth, ...]
    clusters: Mapping[tuple[str, str], ClusterState]
    """The newest state, by node and cluster."""
    earlier: bool = False
    """Whether it has calls from before the window began too."""

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

    def dry_runs(self) -> Counter[tuple[str, str]]:
        """Return the calls that policies in dry run have matched, by node and policy."""
        found = Counter[tuple[str, str]]()
        for each in self.growth:
            for policy, number in each.dry_runs.items():
                found[each.node, policy] += number
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
        # Whole seconds: a proxy that has just started may count one second more.
        if before is None and found.uptime_s > now_s - known.seen_s + 1:
            before = found  # it counted before the window began
            known.earlier = _growth(node, now_s, Sample(), found)
        if before is None or known.has_restarted(found, now_s):
            before = Sample()
        known.last, known.at_s = found, now_s
        grown = _growth(node, now_s, before, found)
        self._slices.append(grown)
        self._sums.setdefault(node, _Sum()).add(grown)
        if found.keys_fetched > before.keys_fetched:
            self._fetched_s = now_s
        if found.keys_failed > before.keys_failed:
            self._failed_s = now_s
        self._forget(now_s)

    def view(self, now_s: float, wanted_s: float = WINDOW_S, *, earlier: bool = False) -> View:
        """Return the calls of the last seconds.

        With `earlier` also all that each proxy counted before it was asked first, if that is not
        longer ago than the window may be.
        """
        self._forget(now_s)
        begun_s = now_s if self._begun_s is None else self._begun_s
        seconds = max(0.0, min(wanted_s, WINDOW_S, now_s - begun_s))
        if wanted_s >= WINDOW_S:
            growth = tuple(each.growth(node, now_s) for node, each in self._sums.items())
        else:
            older = bisect_right(self._slices, now_s - wanted_s, key=lambda each: each.at_s)
            growth = tuple(islice(self._slices, older, None))
            if older and growth:
                # The first of them also has the calls since the sample before it.
                seconds = now_s - self._slices[older - 1].at_s
        before = [each.earlier for each in self._nodes.values() if each.earlier is not None]
        if earlier:
            growth += tuple(before)
        return View(seconds, growth, self._clusters(), bool(earlier and before))

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
        for known in self._nodes.values():
            if known.earlier is not None and known.earlier.at_s <= now_s - WINDOW_S:
                known.earlier = None


def is_failed(outcome: str) -> bool:
    """Return whether the server failed: the statuses of HTTP and of gRPC, as in "200/14".

    An answer of gRPC has HTTP 200. To other answers to a call of gRPC, such as a 400 of the
    gateway's transcoder, Envoy gives a code that it derives from the status of HTTP: 13 for 400.
    """
    http, _, code = outcome.partition("/")
    return http.startswith("5") or (http == _ANSWERED and code in FAILED_CODES)


def is_unanswered(outcome: str) -> bool:
    """Return whether the call ended before an answer: its caller left, or its deadline passed."""
    return outcome.partition("/")[0] == "0"


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
        _grown(before.dry_runs, now.dry_runs),
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
