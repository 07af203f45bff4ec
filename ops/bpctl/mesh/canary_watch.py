"""Samples the calls of a canary from the proxies, and watches a step."""

from __future__ import annotations

import time
from typing import Any

from ops.bpctl.mesh import proxy_admin, rates
from ops.bpctl.mesh.canary_text import WHOLE, Canary
from ops.bpctl.mesh.rates import Calls

CALLS_MIN = 20
"""Fewer calls say nothing about a rate."""
SAMPLE_EVERY_S = 1.0
COUNTERS = "/stats/prometheus?filter=^calls\\."
Instances = list[dict[str, Any]]


def is_too_bad(calls: Calls, threshold_percent: float) -> bool:
    """Return whether enough calls have failed to roll back."""
    return calls.total >= CALLS_MIN and calls.percent > threshold_percent


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
    return rates.of_callers(answers, cluster) + Calls(0, rates.of_instances(own))


def watch(canary: Canary, instances: Instances, every_s: float, threshold: float) -> Calls:
    """Watch a step for some time, and end early when too many calls fail; return its calls."""
    before = sample(canary.service, canary.version, instances)
    until = time.monotonic() + every_s
    while True:
        found = sample(canary.service, canary.version, instances).since(before)
        left_s = until - time.monotonic()
        if left_s <= 0 or is_too_bad(found, threshold):
            return found
        time.sleep(min(SAMPLE_EVERY_S, left_s))


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
