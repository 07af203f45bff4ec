"""How many calls of a canary fail, from the counters of the proxies. Pure.

Callers' proxies count the responses of each subset by HTTP status; a status of gRPC is not in it.
The proxies of the canary's own instances count every call with both statuses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mesh.pilot.window import FAILED_CODES
from services.contracts import GATEWAY

_NO_STATUS = "0"
COUNTED = re.compile(
    r'^envoy_calls_total\{caller="(?P<caller>[^"]*)".*?'
    r'outcome="(?P<http>\d+)/(?P<grpc>-|\d*)".*?\} (?P<n>\d+)'
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


def of_instances(answers: Iterable[str], service: str) -> int:
    """Return how many calls ended with HTTP 200 and a failure of gRPC, by the proxies of the
    instances themselves."""
    return sum(
        int(each["n"])
        for each in _received(answers, service)
        if each["http"] == "200" and each["grpc"] in FAILED_CODES
    )


def unanswered(answers: Iterable[str], service: str) -> Calls:
    """Return the calls that waited until the deadlines of other services, as when an instance
    hangs. The callers' proxies count neither their end nor a status.

    Calls of the gateway are left out: they end so when a customer leaves.
    """
    number = sum(
        int(each["n"])
        for each in _received(answers, service)
        if each["http"] == _NO_STATUS and _name(each["caller"]) != GATEWAY
    )
    return Calls(number, number)


def _received(answers: Iterable[str], service: str) -> Iterator[re.Match[str]]:
    """Yield the counters of the calls that a service receives; its proxy counts its own too."""
    found = (COUNTED.match(line) for text in answers for line in text.splitlines())
    return (each for each in found if each and _name(each["caller"]) != service)


def _name(caller: str) -> str:
    """Return the workload of a SPIFFE ID."""
    return caller.rpartition("/")[2]
