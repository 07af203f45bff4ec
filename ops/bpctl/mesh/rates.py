"""How many calls of a canary fail, from the counters of the proxies. Pure.

Callers' proxies count the responses of each subset by HTTP status; a status of gRPC is not in it.
The proxies of the canary's own instances count every call with both statuses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from mesh.pilot.window import FAILED_CODES

COUNTED = re.compile(
    r'^envoy_calls_total\{.*?outcome="(?P<http>\d+)/(?P<grpc>-|\d*)".*?\} (?P<n>\d+)'
)


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls, and how many of them failed."""

    total: int = 0
    failed: int = 0

    def __add__(self, other: Calls) -> Calls:
        """Return the sum."""
        return Calls(self.total + other.total, self.failed + other.failed)

    def since(self, before: Calls) -> Calls:
        """Return the calls after an earlier sample. A restarted proxy counts from 0 again."""
        return Calls(max(0, self.total - before.total), max(0, self.failed - before.failed))

    @property
    def percent(self) -> float:
        """The share of failed calls."""
        return 100.0 * self.failed / self.total if self.total else 0.0


def stats_target(cluster: str) -> str:
    """Return what to ask a caller's proxy for the counters of a cluster."""
    return f"/stats?format=json&filter=^cluster\\.{re.escape(cluster)}\\.upstream_rq_"


def of_callers(answers: Iterable[str], cluster: str) -> Calls:
    """Return the calls of a cluster from the counters of its callers' proxies."""
    total = failed = 0
    for text in answers:
        values = {
            str(each.get("name", "")): each.get("value", 0) for each in json.loads(text)["stats"]
        }
        total += int(values.get(f"cluster.{cluster}.upstream_rq_completed", 0))
        failed += int(values.get(f"cluster.{cluster}.upstream_rq_5xx", 0))
    return Calls(total, failed)


def of_instances(answers: Iterable[str]) -> int:
    """Return how many calls ended with HTTP 200 and a failure of gRPC, by the proxies of the
    instances themselves."""
    found = (COUNTED.match(line) for text in answers for line in text.splitlines())
    return sum(
        int(each["n"])
        for each in found
        if each and each["http"] == "200" and each["grpc"] in FAILED_CODES
    )
