"""Samples the calls of a canary from the proxies, and watches a step until its calls suffice."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from ops.bpctl.mesh import proxy_admin, rates
from ops.bpctl.mesh.canary_text import WHOLE, Canary
from ops.bpctl.mesh.rates import Calls

CALLS_MIN = 20
"""Fewer calls say nothing about a rate, unless nearly all of them fail."""
CHANCE = 0.01
"""Few calls roll a step back if so many failures are less probable than this at the threshold."""
SAMPLE_EVERY_S = 1.0
COUNTERS = "/stats/prometheus?filter=^calls\\."
Instances = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Limits:
    """How a step is judged: how long it is watched if it has `calls_min` calls by then, how long if
    it has fewer, and the share of failed calls that rolls it back."""

    every_s: float
    longest_s: float
    threshold_percent: float
    calls_min: int = CALLS_MIN


def is_too_bad(calls: Calls, threshold_percent: float) -> bool:
    """Return whether calls have failed that a canary within the threshold would not fail.

    Enough calls are compared by their share. For few calls this is an exact binomial test.
    """
    if not calls.failed or calls.percent <= threshold_percent:
        return False
    if calls.total >= CALLS_MIN:
        return True
    return chance(calls.total, calls.failed, threshold_percent / 100) < CHANCE


def chance(total: int, failed: int, share: float) -> float:
    """Return how probable at least so many failures are if each call fails with this chance."""
    each = (
        math.comb(total, n) * share**n * (1 - share) ** (total - n)
        for n in range(failed, total + 1)
    )
    return math.fsum(each)


def sample(service: str, version: str, instances: Instances) -> Calls:
    """Return the calls of one version since the proxies started."""
    cluster = f"service/{service}/{version}"
    target = rates.stats_target(cluster)
    answers = [text for node in proxy_admin.nodes() if (text := proxy_admin.read(node, target))]
    own = [
        text
        for each in instances
        if each["version"] == version
        and (text := proxy_admin.read(str(each["instance"]), COUNTERS)) is not None
    ]
    known = rates.of_callers(answers, cluster) + Calls(0, rates.of_instances(own, service))
    return known + rates.unanswered(own, service)


def watch(canary: Canary, instances: Instances, limits: Limits) -> Calls:
    """Watch a step; return its calls. It ends early when too many of them fail, and late when they
    are too few to judge it."""
    before = sample(canary.service, canary.version, instances)
    begun_s = time.monotonic()
    while True:
        found = sample(canary.service, canary.version, instances).since(before)
        left_s = left(limits, found, time.monotonic() - begun_s)
        if left_s <= 0:
            return found
        time.sleep(min(SAMPLE_EVERY_S, left_s))


def left(limits: Limits, calls: Calls, passed_s: float) -> float:
    """Return how long a step that was watched for some time has to be watched further."""
    if is_too_bad(calls, limits.threshold_percent):
        return 0.0
    enough = calls.total >= limits.calls_min
    whole_s = limits.every_s if enough else max(limits.every_s, limits.longest_s)
    return max(0.0, whole_s - passed_s)


def rows(canary: Canary | None, instances: Instances) -> list[dict[str, Any]]:
    """Return a row for each version: weight, instances, and its calls during the canary."""
    weights = (
        {canary.stable: WHOLE - canary.weight, canary.version: canary.weight} if canary else {}
    )
    versions = sorted({str(each["version"]) for each in instances})
    made: list[dict[str, Any]] = []
    for version in versions:
        mine = [each for each in instances if each["version"] == version]
        calls = sample(canary.service, version, instances) if canary else Calls()
        made.append(
            {
                "version": version,
                "weight": f"{weights[version]} %" if version in weights else "",
                "instances": ", ".join(f"{each['instance']} {each['state']}" for each in mine),
                "calls": calls.total if canary else "",
                "failed": calls.failed if canary else "",
            }
        )
    return made
